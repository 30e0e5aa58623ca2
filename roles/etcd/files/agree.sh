# agree.sh MEMBER NEXT PREFERRED: succeed once a value written through this member is read through NEXT; then hand leadership
# to PREFERRED if this member leads and is not it. The key is the member's own and is overwritten, so nothing piles up.
set -eu
member=$1 next=$2 preferred=$3
etcdctl=/usr/local/sbin/secondsite-etcdctl
deadline=$(($(date +%s) + 60))
value=$(cat /proc/sys/kernel/random/uuid)
until $etcdctl --command-timeout=2s put "/secondsite/agree/$member" "$value" > /dev/null 2>&1 &&
    [ "$($etcdctl --command-timeout=2s --endpoints "$next" get --print-value-only "/secondsite/agree/$member" 2> /dev/null)" = "$value" ]; do
    if [ "$(date +%s)" -ge "$deadline" ]; then
        echo "no agreement within 60 s between $member and $next" >&2
        $etcdctl --command-timeout=2s --endpoints "https://127.0.0.1:2379,$next" endpoint status >&2 || true
        exit 1
    fi
    sleep 0.3
done
[ -n "$preferred" ] && [ "$preferred" != "$member" ] || exit 0
status=$($etcdctl endpoint status --write-out=fields)
self=$(echo "$status" | sed -n 's/^"MemberID" : //p')
leader=$(echo "$status" | sed -n 's/^"Leader" : //p')
[ "$self" = "$leader" ] || exit 0
wanted=$($etcdctl member list | sed -n "s/^\([0-9a-f]*\), started, $preferred, .*/\1/p")
[ -n "$wanted" ] || exit 0
$etcdctl move-leader "$wanted" > /dev/null && echo "moved leadership to $preferred"
