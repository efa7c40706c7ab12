#!/bin/sh
# A private CA with step-ca and short-lived certificates that devices renew themselves: https://smallstep.com/docs/step-ca
#
#   sh step-ca.sh init           once: makes the CA, in the folder ca
#   sh step-ca.sh serve          runs the CA
#   sh step-ca.sh issue phone    the first certificate of a device
#   sh step-ca.sh renew phone    its next one: the same name, a new fingerprint, and as long a life
#
# Traefik needs ca/certs/root_ca.crt alone. All of this CA's certificates are accepted, also those that it may issue to
# servers; the learner's identities say whose are learned, as in examples/identities.
#
# It is a second lock, not a login: an address that is let in is shared by everybody behind the same NAT.
set -eu
export STEPPATH="${STEPPATH:-$PWD/ca}"
device=${2:-phone}
lifetime=${LIFETIME:-24h} # no more than 24h, and no less than 5m, unless ca/config/ca.json says so

case ${1:-} in
init)
	mkdir -p "$STEPPATH"
	(umask 077 && step crypto rand 32 >"$STEPPATH/password") # of the CA's keys, and of whoever may issue
	step ca init --deployment-type standalone --name Home \
		--dns "${CA_HOST:-localhost}" --address "${CA_ADDRESS:-127.0.0.1:9000}" \
		--provisioner owner --password-file "$STEPPATH/password"
	;;
serve)
	exec step-ca --password-file "$STEPPATH/password"
	;;
issue) # the plugin knows it as uri:spiffe://home.example/phone. On another machine, "step ca bootstrap" goes before
	step ca certificate "$device" "$device.crt" "$device.key" --san "spiffe://home.example/$device" \
		--not-after "$lifetime" --provisioner-password-file "$STEPPATH/password"
	;;
renew) # once; with --daemon instead of --force it goes on, whenever two thirds of a lifetime are over. A lost device
	# renews no more after "step ca revoke 0x<serial>", with the serial number of its last line in Traefik's log
	step ca renew --force "$device.crt" "$device.key"
	;;
*)
	echo "usage: $0 init | serve | issue | renew" >&2
	exit 2
	;;
esac
