#!/bin/sh
# Installs the Debian packages that the tests need and that this machine lacks: as root, or by sudo if that asks nothing.
# Where it can't, it fails with the one command that does.
set -eu
PATH="$PATH:/usr/sbin" # nginx is there, which isn't on everybody's PATH

# look puts what is missing into packages, and the programs among it into programs.
look() {
	packages="" programs=""
	program gcc "$(go env CC)" # for Go's race detector
	package libc6-dev
	package procps # for the program kill, which sh has too
	program chromium chromium
	program curl curl
	program libnss3-tools certutil
	program nginx nginx
	package libnginx-mod-stream
	program openssl openssl
	program redis-server redis-server redis-cli
	program socat socat
}

# program PACKAGE PROGRAM...: a program counts wherever it comes from.
program() {
	from=$1
	shift
	for name; do
		if ! command -v "$name" >/dev/null; then
			packages="$packages $from" programs="$programs $name"
			break
		fi
	done
}

# package PACKAGE: one that no program tells of. Without Debian's package manager, it counts as there.
package() {
	if command -v dpkg-query >/dev/null && [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" != installed ]; then
		packages="$packages $1"
	fi
}

look
[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "These programs are missing, which the tests need:$programs. Install them (Debian's packages:$packages) and try again."
	exit 1
fi
command="apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends$packages"
if [ "$(id -u)" = 0 ]; then
	as_root=""
elif sudo -n true 2>/dev/null; then
	as_root="sudo -n"
else
	echo "The tests need Debian packages that are missing here:$packages. This installs them; then try again:"
	echo
	if command -v sudo >/dev/null; then echo "    sudo sh -c '$command'"; else echo "    su - -c '$command'"; fi
	echo
	exit 1
fi
echo "== installing Debian packages:$packages"
$as_root sh -c "$command" || { echo "Installing these packages failed, see above:$packages."; exit 1; }
look
[ -z "$packages" ] || { echo "These are still missing:$packages."; exit 1; }
