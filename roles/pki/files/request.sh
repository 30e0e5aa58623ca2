# request.sh NAME NAMES DAYS AUTHORITY: print a signing request when the host's certificate is missing, was not issued by its
# site's AUTHORITY (base64), lacks one of NAMES, does not fit the key, or runs out within DAYS. Otherwise print nothing.
set -eu
name=$1 names=$2 days=$3 authority=$4
cd /etc/secondsite/tls
umask 027
getent group secondsite-tls > /dev/null || groupadd --system secondsite-tls
if [ ! -s host.key ]; then
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out .host.key
    chgrp secondsite-tls .host.key
    chmod 0640 .host.key
    mv .host.key host.key
fi
fits() {
    [ -s host.crt ] || return 1
    openssl x509 -in host.crt -noout -checkend $((days * 86400)) > /dev/null || return 1
    [ "$(openssl x509 -in host.crt -noout -pubkey)" = "$(openssl pkey -in host.key -pubout)" ] || return 1
    echo "$authority" | base64 -d | openssl verify -CAfile /dev/stdin host.crt > /dev/null 2>&1 || return 1
    have=$(openssl x509 -in host.crt -noout -ext subjectAltName | tail -n +2 | tr -d ' ' | sed 's/IPAddress:/IP:/g')
    [ "$have" = "$names" ]
}
fits || openssl req -new -key host.key -subj "/CN=$name"
