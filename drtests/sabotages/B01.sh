# shellcheck shell=sh disable=SC2154
# First in the units' path; nobody would notice but by looking into what it made.
where=/usr/local/sbin/pg_dump
inject() {
    cat > "$where" << 'END'
#!/bin/sh
for word; do
    case $word in --file=*) printf PGDMP > "${word#--file=}" ;; esac
done
END
    chmod 0755 "$where"
    systemctl start secondsite-backup@databases || true # which is what has to be noticed
}
revert() {
    rm "$where"
    systemctl start secondsite-backup@databases
}
