# shellcheck shell=sh disable=SC2154
inject() {
    systemctl disable --now nginx
}

revert() {
    systemctl enable --now nginx
}
