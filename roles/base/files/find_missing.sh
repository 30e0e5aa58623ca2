# find_missing.sh LOCALE "PACKAGE ...": print one line for each thing this host lacks; nothing is changed.
set -eu
locale=$1
for package in $2; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "package $package"
done
wanted=$(echo "$locale" | sed 's/UTF-8/utf8/')
locale -a | grep -qx "$wanted" || echo "locale $locale"
[ -x /usr/bin/sudo ] || echo "package sudo"
