# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/nginx/nginx.conf "$KEPT/"
    sed -i 's/ssl_protocols .*;/ssl_protocols TLSv1.1 TLSv1.2 TLSv1.3;/; s/ssl_ciphers .*;/ssl_ciphers ALL:@SECLEVEL=0;/' /etc/nginx/nginx.conf
    systemctl reload nginx
}

revert() {
    mv "$KEPT/nginx.conf" /etc/nginx/nginx.conf
    systemctl reload nginx
}
