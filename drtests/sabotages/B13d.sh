# shellcheck shell=sh disable=SC2154
# It ends with 0, and systemd forgets it: nothing of it looks wrong but that it does not run.
inject() {
    systemctl stop restic-door
}
revert() {
    systemctl start restic-door
}
