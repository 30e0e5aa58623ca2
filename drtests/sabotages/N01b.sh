# shellcheck shell=sh disable=SC2154
inject() {
    handle=$(nft -a list chain inet secondsite forward | sed -n 's/.*dport.*443.*accept.*# handle \([0-9]*\)$/\1/p' | head -n 1)
    nft delete rule inet secondsite forward handle "$handle"
}

revert() {
    systemctl reload nftables
}
