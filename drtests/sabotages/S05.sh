# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/ssh/ssh_host_ed25519_key-cert.pub "$KEPT/"
    cp /etc/ssh/ssh_host_ed25519_key.pub "$KEPT/host.pub"
    rm -f "$KEPT/ca"
    ssh-keygen -q -t ed25519 -N "" -f "$KEPT/ca"
    ssh-keygen -q -s "$KEPT/ca" -I imposter -h -n "$SELF" -V +52w "$KEPT/host.pub"
    cat "$KEPT/host-cert.pub" > /etc/ssh/ssh_host_ed25519_key-cert.pub
    systemctl reload ssh
}

revert() {
    mv "$KEPT/ssh_host_ed25519_key-cert.pub" /etc/ssh/ssh_host_ed25519_key-cert.pub
    systemctl reload ssh
}
