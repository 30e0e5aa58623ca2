# shellcheck shell=sh disable=SC2154
# It takes connections, and never answers: no erasure can be acknowledged any more, and nothing else looks wrong.
inject() {
    systemctl kill --signal=STOP secondsite-erasures.service
}
revert() {
    systemctl kill --signal=CONT secondsite-erasures.service
}
