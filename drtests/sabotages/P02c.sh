# shellcheck shell=sh disable=SC2154
kit=/var/lib/secondsite-kit/kit.tar
inject() {
    mv "$kit" "$KEPT/kit.tar"
}
revert() {
    mv "$KEPT/kit.tar" "$kit"
}
