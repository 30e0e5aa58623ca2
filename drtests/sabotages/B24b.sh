# shellcheck shell=sh disable=SC2154
# What is left is a chain without a fault, only shorter.
ledger=/var/lib/secondsite-erasures/ledger
inject() {
    newest=$(ls "$ledger" | sort | tail -1)
    mv "$ledger/$newest" "$KEPT/"
}
revert() {
    mv "$KEPT"/*.json "$ledger/"
}
