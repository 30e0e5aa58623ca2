# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/nginx/nginx.conf "$KEPT/"
    sed -i 's/worker_connections .*;/worker_connections 64;/' /etc/nginx/nginx.conf
}

revert() {
    mv "$KEPT/nginx.conf" /etc/nginx/nginx.conf
}
