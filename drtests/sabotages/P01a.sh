# shellcheck shell=sh disable=SC2154
inject() {
    for page in /srv/runbooks/failback-*.html; do
        mv "$page" "$KEPT/"
    done
}
revert() {
    mv "$KEPT"/failback-*.html /srv/runbooks/
}
