# shellcheck shell=sh disable=SC2154
inject() {
    knotc zone-begin secondsite.test
    knotc zone-set secondsite.test drifted 60 TXT yes
    knotc zone-commit secondsite.test
}

revert() {
    knotc -f zone-purge +zonefile +journal +expire secondsite.test
    knotc zone-retransfer secondsite.test
}
