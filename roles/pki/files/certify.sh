# certify.sh AUTHORITY NAME NAMES DAYS REQUEST: print a certificate for the public key in REQUEST. The host decides nothing
# else: subject, names and use are stated here, not taken from what it sent.
set -eu
authority=$1 name=$2 names=$3 days=$4 request=$5
if [ ! -s "$authority.key" ]; then
    echo "this host keeps the authority ${authority##*/} and does not hold its key: it comes back from escrow when provisioning" \
        "is run from its beginning; nothing was signed" >&2
    exit 3
fi
extensions=$(mktemp)
trap 'rm -f "$extensions"' EXIT
cat > "$extensions" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = $names
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
echo "$request" | openssl x509 -req -in /dev/stdin -subj "/CN=$name" -days "$days" -sha256 \
    -CA "$authority.crt" -CAkey "$authority.key" -set_serial "0x$(openssl rand -hex 16)" -extfile "$extensions" 2> /dev/null
