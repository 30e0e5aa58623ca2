# shellcheck shell=sh disable=SC2154
inject() {
    systemctl stop nginx
}

revert() {
    systemctl start nginx
}
