# shellcheck shell=sh disable=SC2154,SC2086
# A copy of the zone is changed where it is served; the primary knows nothing of it.
inject() {
    zone=$(knotc zone-status | sed -n 's/^\[\([^]]*\)\.\].*/\1/p' | head -n 1)
    name=$(knotc zone-read $zone | sed -n 's/^\[[^]]*\] \([^ ]*\) [0-9]* A .*/\1/p' | grep '^shop\.' | head -n 1)
    address=$(kdig @127.0.0.1 +short $name A)
    knotc zone-begin $zone
    knotc zone-unset $zone $name A
    knotc zone-set $zone $name 86400 A $address
    knotc zone-commit $zone
}
revert() {
    zone=$(knotc zone-status | sed -n 's/^\[\([^]]*\)\.\].*/\1/p' | head -n 1)
    knotc zone-retransfer $zone
}
