# shellcheck shell=sh disable=SC2154
inject() {
    chmod 000 /etc/secondsite/tls/host.key
}

revert() {
    chmod 0640 /etc/secondsite/tls/host.key
}
