# shellcheck shell=sh disable=SC2154
inject() {
    sysctl -q -w net.ipv4.tcp_syncookies=0
}

revert() {
    sysctl -q -w net.ipv4.tcp_syncookies=1
}
