#!/bin/sh
# Which status each host answers to a stranger. From outside, without a certificate:
#
#   sh hosts.sh photos.example.com cloud.example.com
#
# The plugin is a second lock, not a login: an address that is let in is shared by everybody behind the same NAT. So ask
# from an address that isn't let in.
for host in "$@"; do
	printf '%s %s\n' "$(curl -s -o /dev/null -w '%{http_code}' "https://$host/")" "$host"
done
