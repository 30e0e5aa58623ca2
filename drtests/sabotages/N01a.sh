# shellcheck shell=sh disable=SC2154
inject() {
    nft add chain inet secondsite input '{ policy accept; }'
}

revert() {
    systemctl reload nftables
}
