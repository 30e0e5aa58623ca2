# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /var/lib/secondsite-verify/stanzas "$KEPT/"
    python3 - << 'END'
import json, pathlib
for path in pathlib.Path("/var/lib/secondsite-verify/stanzas").glob("*.json"):
    told = json.loads(path.read_text())
    told["ended"] -= 3 * 86400
    path.write_text(json.dumps(told))
END
}
revert() {
    cp -a "$KEPT/stanzas/." /var/lib/secondsite-verify/stanzas/
}
