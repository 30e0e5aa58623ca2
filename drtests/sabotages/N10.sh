# Neighbours are not watched any more: a silent one is noticed by BGP's own time limit only.
inject() {
    cp -a /etc/bird/bird.conf "$KEPT/"
    sed -i '/^ *bfd;$/d' /etc/bird/bird.conf
    birdc configure
}
revert() {
    cp -a "$KEPT/bird.conf" /etc/bird/bird.conf
    birdc configure
}
