# shellcheck shell=sh disable=SC2154
# Somebody's rule stands before those that drop; isolating would answer success and keep nobody out.
inject() {
    nft insert rule inet secondsite_isolation prerouting accept
}
revert() {
    nft -f /etc/secondsite/isolation.nft
}
