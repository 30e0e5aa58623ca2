# shellcheck shell=sh disable=SC2154
inject() {
    hostname imposter
}

revert() {
    hostname "$SELF"
}
