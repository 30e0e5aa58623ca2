# shellcheck shell=sh disable=SC2154
inject() {
    systemctl stop secondsite-backup-files.timer
}
revert() {
    systemctl start secondsite-backup-files.timer
}
