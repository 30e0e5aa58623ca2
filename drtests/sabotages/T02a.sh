# shellcheck shell=sh disable=SC2154
inject() {
    cd "$KEPT"
    cp -a /etc/secondsite/tls/host.crt "$KEPT/"
    openssl x509 -in host.crt -noout -ext subjectAltName | sed -n '2s/IP Address:/IP:/g; 2s/^ */subjectAltName=/p' > names
    openssl req -new -key /etc/secondsite/tls/host.key -subj "/CN=$SELF" -out request
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other -keyout ca.key -out ca.crt -days 20 2> /dev/null
    openssl x509 -req -in request -CA ca.crt -CAkey ca.key -extfile names -set_serial 1 -days 20 -out other.crt 2> /dev/null
    cat other.crt > /etc/secondsite/tls/host.crt
    systemctl reload nginx
}

revert() {
    cat "$KEPT/host.crt" > /etc/secondsite/tls/host.crt
    systemctl reload nginx
}
