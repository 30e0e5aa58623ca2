# A tunnel's peer is known by a key it does not have any more; the other tunnels serve, so that nobody misses it.
inject() {
    cp -a /etc/wireguard/wg-1.conf "$KEPT/"
    sed -i "s|^PublicKey = .*|PublicKey = $(wg genkey | wg pubkey)|" /etc/wireguard/wg-1.conf
    systemctl restart wg-quick@wg-1
}
revert() {
    cp -a "$KEPT/wg-1.conf" /etc/wireguard/wg-1.conf
    systemctl restart wg-quick@wg-1
}
