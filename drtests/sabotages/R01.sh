# shellcheck shell=sh disable=SC2154
inject() {
    pkill -STOP -f "postgres: billing: walreceiver"
}

revert() {
    pkill -CONT -f "postgres: billing: walreceiver"
}
