# shellcheck shell=sh disable=SC2154
inject() {
    runuser -u postgres -- createdb -p 5432 uncovered
}
revert() {
    runuser -u postgres -- dropdb -p 5432 uncovered
}
