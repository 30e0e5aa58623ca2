# shellcheck shell=sh disable=SC2154
inject() {
    patronictl -c /etc/patroni/billing.yml edit-config --force --quiet --set maximum_lag_on_failover=999999999
}

revert() {
    patronictl -c /etc/patroni/billing.yml edit-config --force --quiet --set maximum_lag_on_failover=1048576
}
