# shellcheck shell=sh disable=SC2154
kit=/var/lib/secondsite-kit/kit.tar
flip() {
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(1 << 20)
    bit = file.read(1)[0] ^ 1
    file.seek(1 << 20)
    file.write(bytes([bit]))' "$kit"
}
inject() {
    flip
}
revert() {
    flip
}
