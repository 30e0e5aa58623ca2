# agree.sh MEMBER NEXT PREFERRED: succeed once a value written through this member is read through NEXT; then hand leadership
# to PREFERRED. The key is the member's own and is overwritten, so nothing piles up.
set -eu
member=$1 next=$2 preferred=$3
etcdctl="/usr/local/sbin/secondsite-etcdctl --command-timeout=2s"
deadline=$(($(date +%s) + 60))
value=$(cat /proc/sys/kernel/random/uuid)
until $etcdctl put "/secondsite/agree/$member" "$value" > /dev/null 2>&1 &&
    [ "$($etcdctl --endpoints "$next" get --print-value-only "/secondsite/agree/$member" 2> /dev/null)" = "$value" ]; do
    if [ "$(date +%s)" -ge "$deadline" ]; then
        echo "no agreement within 60 s between $member and $next" >&2
        $etcdctl --endpoints "https://127.0.0.1:2379,$next" endpoint status >&2 || true
        exit 1
    fi
    sleep 0.1
done
[ -z "$preferred" ] || /usr/local/sbin/secondsite-etcd-lead "$preferred"
