# shellcheck shell=sh disable=SC2154
inject() {
    systemctl disable --now secondsite-keep-prune.timer
}
revert() {
    systemctl enable --now secondsite-keep-prune.timer
}
