# begin.sh ROOT ADDRESS:PORT HOST: put a first page where the website has none, through the storekeeper as everybody does.
set -eu
root=$1 where=$2 name=$3 tls=/etc/secondsite/tls
[ ! -e "$root/website/index.html" ] || exit 0
printf '%s\n' '<!doctype html>' '<html lang="en"><meta charset="utf-8"><title>secondsite</title><h1>Coffee, tea, cake and newspapers</h1>' |
    curl --silent --show-error --fail --max-time 10 --cacert $tls/ca-bundle.crt --cert $tls/host.crt --key $tls/host.key \
        --connect-to "$name::$where" --upload-file - "https://$name/website/index.html" > /dev/null
echo begun
