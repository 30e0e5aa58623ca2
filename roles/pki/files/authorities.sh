# authorities.sh DIRECTORY make|check "SITE ...": every site has its authority in DIRECTORY afterwards (make), or this says
# which has not (check). Prints each site and its certificate in base64.
set -eu
directory=$1 what=$2
umask 077
mkdir -p "$directory"
for site in $3; do
    if [ ! -s "$directory/$site.crt" ]; then
        if [ "$what" != make ]; then
            echo "site $site has no authority: $directory/$site.crt is missing; nothing was signed" >&2
            exit 3
        fi
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$directory/$site.key"
        openssl req -x509 -new -key "$directory/$site.key" -days 3650 -subj "/O=secondsite/CN=authority of $site" \
            -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
            -out "$directory/.$site.crt"
        mv "$directory/.$site.crt" "$directory/$site.crt"
        echo "made the authority of $site" >&2
    fi
    echo "$site $(base64 -w 0 < "$directory/$site.crt")"
done
