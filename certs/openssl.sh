#!/bin/sh
# Makes what `strife certs init` makes, with openssl: certs/openssl.sh DIR [BANK...]
# HOSTS, such as "DNS:gateway.example,IP:10.0.0.7", are the names under which services are dialled.
# It never writes over a file.
set -eu
umask 077

[ $# -ge 1 ] || { echo "usage: $0 DIR [BANK...]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
out=$1
shift
[ $# -gt 0 ] || set -- HDFC ICICI Axis Canara Kotak BankOfIndia
export ROLE="" HOSTS="${HOSTS:-DNS:localhost,IP:127.0.0.1,IP:::1}"

free() {
  for file in "$out/$1.crt" "$out/$1.key"; do
    [ ! -e "$file" ] || { echo "$file is there already" >&2; exit 8; }
  done
}

for name in ca internal-ca server gateway client admin; do free "$name"; done
for bank in "$@"; do free "banks/$bank"; done
mkdir -p "$out/banks"

key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$out/$1.key"
}

authority() {
  key "$1"
  openssl req -new -x509 -days 3650 -sha256 -key "$out/$1.key" -out "$out/$1.crt" \
    -subj "/O=Strife/CN=strife $1" -config "$work/req.cnf" -extensions authority
}

# leaf NAME SIGNER SECTION ROLE
leaf() {
  key "$1"
  ROLE=$4
  openssl req -new -key "$out/$1.key" -subj "/O=Strife/CN=strife $(basename "$1")" \
    -config "$work/req.cnf" -out "$work/request.csr"
  openssl x509 -req -in "$work/request.csr" -days 825 -sha256 -CA "$out/$2.crt" \
    -CAkey "$out/$2.key" -set_serial "0x$(openssl rand -hex 16 | sed 's/^./4/')" \
    -extfile "$here/openssl.cnf" -extensions "$3" -out "$out/$1.crt" 2>"$work/said" ||
    { cat "$work/said" >&2; exit 1; }
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '[req]\ndistinguished_name = name\nprompt = no\n[name]\nO = Strife\n' > "$work/req.cnf"
sed -n '/^\[authority\]/,/^$/p' "$here/openssl.cnf" >> "$work/req.cnf"

authority ca
authority internal-ca
leaf server ca server strife://gateway
leaf client ca client strife://client
leaf admin ca client strife://admin
leaf gateway internal-ca peer strife://gateway
for bank in "$@"; do
  leaf "banks/$bank" internal-ca peer "strife://bank/$bank"
done
echo "Certificates are in $out." >&2
