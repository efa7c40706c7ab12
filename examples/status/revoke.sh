#!/bin/sh
# Takes back what a phone was granted, with a certificate of the household's. It answers how many grants have ended.
#
# It stays a second lock, not a login: an address that is let in is shared by everybody behind the same NAT.
curl --cert phone.crt --key phone.key -X DELETE "https://allowlist.example.com/grants?identity=cn:phone"
