# shellcheck shell=sh
# The machine's clock is everybody's: only the daemon that measures sees another time.
inject() {
    library=$(find /usr/lib -name libfaketime.so.1 | head -n 1)
    [ -n "$library" ] || { echo 'libfaketime is missing' >&2; return 1; }
    mkdir -p /run/systemd/system/chrony.service.d
    printf '[Service]\nMemoryDenyWriteExecute=no\nEnvironment=LD_PRELOAD=%s FAKETIME=+10m FAKETIME_DONT_FAKE_MONOTONIC=1\n' \
        "$library" > /run/systemd/system/chrony.service.d/sabotage.conf
    systemctl daemon-reload
    systemctl restart chrony
}
revert() {
    rm -f /run/systemd/system/chrony.service.d/sabotage.conf
    systemctl daemon-reload
    systemctl restart chrony
}
