# shellcheck shell=sh disable=SC2154
inject() {
    chmod 0600 /srv/runbooks/*.html
}
revert() {
    chmod 0644 /srv/runbooks/*.html
}
