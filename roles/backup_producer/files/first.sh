# first.sh wait|go UNIT:MARK ...: begin each unit whose mark is not there yet, and wait for its end or not; the mark is what a
# first run leaves behind.
set -eu
case $1 in go) how=--no-block ;; *) how= ;; esac
shift
due=
for one in "$@"; do
    [ -e "${one#*:}" ] || due="$due ${one%%:*}"
done
[ -n "$due" ] || exit 0
echo "began$due"
# shellcheck disable=SC2086
systemctl start $how $due || {
    for unit in $due; do journalctl --unit "$unit" --lines 5 --output cat --no-pager >&2; done
    exit 1
}
