# wait_for_claims.sh SCOPE ...: succeed once every cluster is claimed in etcd: some host has begun it, and the others copy from it.
set -eu
deadline=$(($(date +%s) + 120))
for scope in "$@"; do
    until [ -n "$(/usr/local/sbin/secondsite-etcdctl --command-timeout=2s get --keys-only "/service/$scope/initialize" 2> /dev/null)" ]; do
        [ "$(date +%s)" -lt "$deadline" ] || { echo "nobody began cluster $scope within 120 s" >&2; exit 1; }
        sleep 0.1
    done
done
