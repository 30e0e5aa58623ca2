# passwords.sh: settle the restic server's password file from "NAME PASSWORD" lines on standard input; says "changed" if it did.
set -eu
umask 027
file=/etc/restic-server/htpasswd new=$(mktemp /etc/restic-server/.htpasswd.XXXXXX)
trap 'rm -f "$new"' EXIT
while read -r name password; do
    printf '%s:{SHA}%s\n' "$name" "$(printf %s "$password" | openssl dgst -sha1 -binary | base64)"
done > "$new"
cmp -s "$new" "$file" && exit 0
chown root:restic-server "$new"
chmod 0640 "$new"
mv "$new" "$file"
trap - EXIT
echo changed
