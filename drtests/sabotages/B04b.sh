# shellcheck shell=sh disable=SC2154
inject() {
    systemctl stop secondsite-watcher
}
revert() {
    systemctl start secondsite-watcher
}
