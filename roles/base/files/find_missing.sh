# find_missing.sh LOCALE "PACKAGE ...": print one line for each thing this host lacks; nothing is changed.
set -eu
locale=$1
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $2 2> /dev/null || true)
for package in $2; do
    case "
$installed
" in
        *"
installed $package
"*) ;;
        *) echo "package $package" ;;
    esac
done
wanted=$(echo "$locale" | sed 's/UTF-8/utf8/')
locale -a | grep -qx "$wanted" || echo "locale $locale"
