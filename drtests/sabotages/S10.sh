# shellcheck shell=sh disable=SC2154
# It would not be rebuilt by a return: the challenge refuses a host that is in another place than the estate says.
inject() {
    cp -a /etc/secondsite/host.json "$KEPT/"
    sed -i 's/"site": "[^"]*"/"site": "elsewhere"/' /etc/secondsite/host.json
}
revert() {
    mv "$KEPT/host.json" /etc/secondsite/host.json
}
