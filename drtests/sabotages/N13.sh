# A tunnel's peer is known by a key it does not have any more; the other tunnels serve, so that nobody misses it.
inject() {
    cp -a /etc/wireguard/wg-a1.conf "$KEPT/"
    sed -i "s|^PublicKey = .*|PublicKey = $(wg genkey | wg pubkey)|" /etc/wireguard/wg-a1.conf
    systemctl restart wg-quick@wg-a1
}
revert() {
    cp -a "$KEPT/wg-a1.conf" /etc/wireguard/wg-a1.conf
    systemctl restart wg-quick@wg-a1
}
