# request.sh NAME NAMES DAYS AUTHORITY keep|anew "KEPT ..." UNIT ...: print a signing request when the host's certificate is missing, was
# not issued by its site's AUTHORITY (base64), lacks one of NAMES, does not fit the key, or runs out within DAYS; with `anew`
# in any case. Otherwise print nothing. Keys of authorities other than those KEPT are removed. Says on the standard error what was
# removed, and which of the UNITs run.
set -eu
name=$1 names=$2 days=$3 authority=$4 when=$5 kept=$6
shift 6
running=$([ $# -eq 0 ] || systemctl list-units --plain --no-legend --state=active -- "$@") # a failure ends it here
[ -z "$running" ] || echo running $(echo "$running" | cut -d' ' -f1) >&2
for key in /etc/secondsite/ca/*.key; do
    [ -e "$key" ] || continue
    base=${key##*/}
    case " $kept " in *" ${base%.key} "*) continue ;; esac
    rm -f "$key" "${key%.key}.crt"
    echo "removed $key" >&2
done
cd /etc/secondsite/tls
umask 027
getent group secondsite-tls > /dev/null || groupadd --system secondsite-tls
if [ ! -s host.key ]; then
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out .host.key
    chgrp secondsite-tls .host.key
    chmod 0640 .host.key
    mv .host.key host.key
fi
fits() {
    [ "$when" = keep ] && [ -s host.crt ] || return 1
    openssl x509 -in host.crt -noout -checkend $((days * 86400)) > /dev/null || return 1
    [ "$(openssl x509 -in host.crt -noout -pubkey)" = "$(openssl pkey -in host.key -pubout)" ] || return 1
    echo "$authority" | base64 -d | openssl verify -no-CApath -no-CAstore -CAfile /dev/stdin host.crt > /dev/null 2>&1 || return 1
    have=$(openssl x509 -in host.crt -noout -ext subjectAltName | tail -n +2 | tr -d ' ' | sed 's/IPAddress:/IP:/g')
    [ "$have" = "$names" ]
}
fits || openssl req -new -key host.key -subj "/CN=$name"
