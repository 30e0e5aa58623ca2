# shellcheck shell=sh disable=SC2154
place=/var/lib/secondsite-kit
inject() {
    cp -a "$place/kit.tar" "$place/kit.json" "$KEPT/"
    printf 'echo mine\n' > "$KEPT/secondsite"
    tar -C "$KEPT" --transform 's,^,secondsite/,' -rf "$place/kit.tar" secondsite
    sum=$(sha256sum "$place/kit.tar" | cut -d ' ' -f 1)
    sed -i "s/\"sha256\": \"[0-9a-f]*\"/\"sha256\": \"$sum\"/" "$place/kit.json"
}
revert() {
    cp -a "$KEPT/kit.tar" "$KEPT/kit.json" "$place/"
}
