# shellcheck shell=sh disable=SC2154
where=/etc/secondsite/backup.json
inject() {
    cp -a "$where" "$KEPT/"
    sed -i 's,"excludes": \[,&"/srv/store/git"\, ,' "$where"
    systemctl start secondsite-backup@files
}
revert() {
    mv "$KEPT/backup.json" "$where"
    systemctl start secondsite-backup@files
}
