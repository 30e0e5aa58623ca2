# shellcheck shell=sh disable=SC2154
# Producers come in as the keeper again, and with every right.
where=/run/systemd/system/pgbackrest-server.service.d
inject() {
    mkdir -p "$where"
    printf '%s\n' '[Service]' 'User=pgbackrest' 'Group=pgbackrest' 'SystemCallFilter=' > "$where/trusting.conf"
    systemctl daemon-reload
    systemctl restart pgbackrest-server
}
revert() {
    rm "$where/trusting.conf"
    systemctl daemon-reload
    systemctl restart pgbackrest-server
}
