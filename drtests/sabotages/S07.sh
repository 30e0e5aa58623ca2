# shellcheck shell=sh disable=SC2154
inject() {
    echo 'nobody ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/zz-extra
    chmod 0440 /etc/sudoers.d/zz-extra
}

revert() {
    rm /etc/sudoers.d/zz-extra
}
