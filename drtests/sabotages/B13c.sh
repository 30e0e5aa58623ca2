# shellcheck shell=sh disable=SC2154
# Files that producers archived stay theirs. The repository's server ends with the sealer, so that nobody gets in meanwhile.
inject() {
    systemctl stop pgbackrest-sealer
}
revert() {
    systemctl start pgbackrest-sealer
}
