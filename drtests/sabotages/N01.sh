# shellcheck shell=sh disable=SC2154
inject() {
    handle=$(nft -a list chain inet secondsite input | sed -n 's/.*dport.*443.*accept.*# handle \([0-9]*\)$/\1/p' | head -n 1)
    nft delete rule inet secondsite input handle "$handle"
}

revert() {
    systemctl reload nftables
}
