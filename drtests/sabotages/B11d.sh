# shellcheck shell=sh disable=SC2154
copy=$(find /var/lib/secondsite-standby/ -name '*.tgz' | sort | head -n 1)
inject() {
    cp -a "$copy" "$KEPT/copy"
    mkdir "$KEPT/inside"
    tar -xzf "$copy" -C "$KEPT/inside"
    echo "AGE-SECRET-KEY-1$(head -c 200 /dev/urandom | tr -dc 0-9A-Z | head -c 20)" > "$KEPT/inside/secrets/identity"
    # shellcheck disable=SC2046
    tar -czf "$copy" -C "$KEPT/inside" $(ls "$KEPT/inside")
    rm -r "$KEPT/inside"
}
revert() {
    cp -a "$KEPT/copy" "$copy"
}
