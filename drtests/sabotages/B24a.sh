# shellcheck shell=sh disable=SC2154
# One letter of the oldest record changes; it can be read as well as before.
ledger=/var/lib/secondsite-erasures/ledger
inject() {
    cp -a "$ledger/00000001.json" "$KEPT/"
    sed -i 's/"reason":"./"reason":"_/' "$ledger/00000001.json"
    ! cmp -s "$ledger/00000001.json" "$KEPT/00000001.json"
}
revert() {
    mv "$KEPT/00000001.json" "$ledger/"
}
