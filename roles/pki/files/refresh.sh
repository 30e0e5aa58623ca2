# refresh.sh trust|certificate UNIT:DOES:FOR[:READY] ...: let every running UNIT that reads what changed read it now. DOES is reload or
# restart; FOR is trust (it reads certificates by itself) or both. READY is a command that succeeds when the unit serves again.
set -eu
changed=$1
shift
for reader in "$@"; do
    unit=$(echo "$reader" | cut -d: -f1) does=$(echo "$reader" | cut -d: -f2) reads=$(echo "$reader" | cut -d: -f3)
    ready=$(echo "$reader" | cut -d: -f4-)
    [ "$reads" = both ] || [ "$reads" = "$changed" ] || continue
    running=$(systemctl list-units --plain --no-legend --state=active "$unit" | cut -d' ' -f1)
    [ -n "$running" ] || continue
    systemctl "$does" $running
    [ -n "$ready" ] || continue
    tries=60
    until $ready > /dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "$unit did not come back after its $does" >&2; exit 1; }
        sleep 0.5
    done
done
