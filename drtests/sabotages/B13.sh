# shellcheck shell=sh disable=SC2154
# The server at the vault forgets that it only ever adds; everything else about it stays as it was.
where=/run/systemd/system/restic-server.service.d
inject() {
    mkdir -p "$where"
    { echo '[Service]'; echo 'ExecStart='; sed -n '/^ExecStart=/s/ --append-only//p' /etc/systemd/system/restic-server.service; } > "$where/forgetful.conf"
    systemctl daemon-reload
    systemctl restart restic-server
}
revert() {
    rm "$where/forgetful.conf"
    systemctl daemon-reload
    systemctl restart restic-server
}
