# shellcheck shell=sh disable=SC2154
# The producer's own key stays: backups go on as before, and nobody prunes them.
where=/srv/backup/restic
inject() {
    name=$(cd "$where" && for one in *; do echo "$one"; done | sort | head -n 1)
    key=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["key"])' "/var/lib/secondsite-prune/$name.key.json")
    echo "$where/$name/keys/$key" > "$KEPT/path"
    mv "$where/$name/keys/$key" "$KEPT/key"
}
revert() {
    mv "$KEPT/key" "$(cat "$KEPT/path")"
}
