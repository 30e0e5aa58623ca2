# shellcheck shell=sh disable=SC2154
manifest=$(find /var/lib/secondsite-standby/ -path '*.escrow/manifest.json')
inject() {
    cp -a "$manifest" "$KEPT/manifest"
    python3 -c 'import json, pathlib, sys; p = pathlib.Path(sys.argv[1]); told = json.loads(p.read_text())
told["holders"][sorted(told["holders"])[-1]] = "age1" + 58 * "q"
p.write_text(json.dumps(told))' "$manifest"
}
revert() {
    cp -a "$KEPT/manifest" "$manifest"
}
