#!/bin/sh
# A private CA and a phone's certificate, with OpenSSL 3. Run it in an empty folder, or copy it line by line:
#
#   sh openssl.sh          the CA, if there is none yet, and the certificate of "phone"
#   sh openssl.sh tablet   another certificate of the same CA
#
# Traefik needs client-ca.crt alone. Whoever has client-ca.key can make certificates that are accepted: keep it off the
# server.
#
# It is a second lock, not a login: an address that is let in is shared by everybody behind the same NAT.
set -eu
name=${1:-phone}

# The CA, for ten years, unless there is one.
[ -e client-ca.key ] || openssl req -x509 -newkey rsa:3072 -noenc -keyout client-ca.key -out client-ca.crt -days 3650 \
	-subj "/CN=Home client CA" \
	-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign

# The device's key and certificate, for two years. The plugin knows it as cn:phone.
openssl req -new -newkey rsa:2048 -noenc -keyout "$name.key" -out "$name.csr" \
	-subj "/CN=$name" \
	-addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=clientAuth
openssl x509 -req -in "$name.csr" -copy_extensions copy -days 730 \
	-CA client-ca.crt -CAkey client-ca.key -CAcreateserial -out "$name.crt"

# Both in one file for the phone, which asks for the password when it imports it (Android: Settings, "Install a
# certificate", "VPN & app user certificate"; iOS: open the file, then Settings, "Profile Downloaded"). OpenSSL asks for
# the new password, unless the variable P12_PASSWORD has it. It can't be empty on iOS.
#
# The algorithms are old ones: OpenSSL 3's own are a "wrong password" to iOS, macOS and Android of a few years ago. They
# protect the key little, so move the file over a trusted way and delete it when it is on the phone.
openssl pkcs12 -export -inkey "$name.key" -in "$name.crt" -name "$name" -out "$name.p12" \
	${P12_PASSWORD:+-passout env:P12_PASSWORD} -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1
