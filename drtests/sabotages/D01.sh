# shellcheck shell=sh disable=SC2154,SC2086
# A copy of the zone is changed where it is served; the primary knows nothing of it. To thirty seconds, so that what
# resolvers have kept is gone soon after.
inject() {
    zone=$(knotc zone-status | sed -n 's/^\[\([^]]*\)\.\].*/\1/p' | head -n 1)
    [ -n "$zone" ]
    name=$(knotc zone-read $zone | sed -n 's/^\[[^]]*\] \([^ ]*\) [0-9]* A .*/\1/p' | grep '^shop\.' | head -n 1)
    address=$(kdig @127.0.0.1 +short $name A)
    knotc zone-begin $zone
    knotc zone-unset $zone $name A
    knotc zone-set $zone $name 30 A $address
    knotc zone-commit $zone
}
revert() {
    zone=$(knotc zone-status | sed -n 's/^\[\([^]]*\)\.\].*/\1/p' | head -n 1)
    [ -n "$zone" ]
    knotc zone-retransfer $zone
}
