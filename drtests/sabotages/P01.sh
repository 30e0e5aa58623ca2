# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /srv/runbooks "$KEPT/"
    for page in /srv/runbooks/failover-*.md; do
        sed -i 's/ 198\.18\./ 198.51./' "$page"
    done
}
revert() {
    cp -a "$KEPT/runbooks/." /srv/runbooks/
}
