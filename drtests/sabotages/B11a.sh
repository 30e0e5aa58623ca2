# shellcheck shell=sh disable=SC2154
package=$(find /var/lib/secondsite-standby/ -path '*.escrow/*.age' | sort | head -n 1)
inject() {
    cp -a "$package" "$KEPT/package"
    python3 -c 'import pathlib, sys; p = pathlib.Path(sys.argv[1]); b = bytearray(p.read_bytes()); b[300] ^= 1
p.write_bytes(b)' "$package"
}
revert() {
    cp -a "$KEPT/package" "$package"
}
