# shellcheck shell=sh disable=SC2154
inject() {
    nft 'add chain inet secondsite forward { policy accept; }'
}
revert() {
    systemctl reload nftables
}
