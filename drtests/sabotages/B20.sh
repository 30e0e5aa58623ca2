# shellcheck shell=sh disable=SC2154
# One of them is enough.
name=$(cd /srv/backup/restic && for one in *; do echo "$one"; done | sort | head -n 1)
where=/srv/backup/restic/$name
inject() {
    mv "$where/snapshots" "$where/snapshots.lost"
}
revert() {
    mv "$where/snapshots.lost" "$where/snapshots"
}
