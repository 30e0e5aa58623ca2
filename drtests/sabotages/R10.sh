# shellcheck shell=sh disable=SC2154
inject() {
    patronictl -c /etc/patroni/billing.yml pause --wait
}

revert() {
    patronictl -c /etc/patroni/billing.yml resume --wait
}
