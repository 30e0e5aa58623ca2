# shellcheck shell=sh disable=SC2154
inject() {
    mkdir /srv/uncovered
    echo "nobody sends this anywhere" > /srv/uncovered/file
}
revert() {
    rm -r /srv/uncovered
}
