#!/bin/sh
# Make a certificate authority, and certificates that it signs, to try the examples with: certificates.sh FOLDER NAME...
# Never use them for anything else: the authority's key lies beside them, without a password.
set -eu
folder=$1
shift
mkdir -p "$folder"
make() { # NAME, and further arguments of openssl
    name=$1
    shift
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
        -subj "/CN=$name" -keyout "$folder/$name.key" -out "$folder/$name.crt" "$@" 2>/dev/null
}
[ -e "$folder/ca.crt" ] || make ca
for name in "$@"; do
    make "$name" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
        -addext "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1" -addext basicConstraints=critical,CA:FALSE
done
