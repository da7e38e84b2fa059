#!/usr/bin/env bash
# Fetches what the tests need besides Go: a C compiler for the race detector, and the real programs that the
# interoperability tests talk to, Postfix, Exim, swaks, Node.js, openssl, unbound, nsd and the signer of ldns. Today it
# knows Debian and its relatives.
#
# No package that is there is removed, no mail system of this machine is replaced, and nothing is started
# as a service. Where something cannot be had this script says so in one line and goes on: the tests that
# need it then fail with the same advice.
#
#   SEALPOST_TEST_INSTALL=no   install nothing, only report
#
# Prints one line on standard output: the path of the Exim binary, or nothing.
set -uo pipefail

cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/sealpost-test"
exim_user=Debian-exim # compiled into Debian's Exim, which does not start without it

say() { echo "test parts: $*" >&2; }
have() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

# as_root runs a command as root, without ever asking for a password.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_install() {
	[ "${SEALPOST_TEST_INSTALL:-yes}" != no ] || return 1
	have apt-get && have dpkg-deb || return 1
	[ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }
}

updated=
apt_update() {
	[ -z "$updated" ] || return 0
	updated=yes
	as_root apt-get update -qq </dev/null >&2 || say "apt-get update reported an error; trying with the lists that are there"
}

# apt_install refuses (--no-remove) when a package would push out another one.
apt_install() {
	apt_update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		--no-remove --no-upgrade -o Dpkg::Options::=--force-confold "$@" </dev/null >&2
}

# forbid_services makes sure that installing a package starts no daemon. A
# policy-rc.d that exists belongs to the machine: we ask it, and never write over it.
policy=/usr/sbin/policy-rc.d
forbid_services() {
	if [ -e "$policy" ]; then
		as_root "$policy" postfix start >/dev/null 2>&1
		[ $? = 101 ] && return 0
		say "$policy would let the package start a service; install postfix by hand"
		return 1
	fi
	trap 'as_root rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
}

install_postfix() {
	have postfix && return 0
	can_install || return 1
	forbid_services || return 1
	say "installing postfix (no service is started)"
	apt_install debconf # for the next line, on the barest images
	echo "postfix postfix/main_mailer_type select No configuration" | as_root debconf-set-selections >&2
	apt_install postfix || return 1
	# The package also asks for a start at the next boot.
	if have systemctl; then
		as_root systemctl --quiet disable postfix.service >&2 || say "could not disable postfix.service; it may start at the next boot"
	fi
}

# unpack NAME PACKAGE... puts the files of packages into the cache below NAME, and installs only the
# libraries that the first of them needs.
unpack() {
	can_install || return 1
	local name=$1 work libs
	shift
	say "unpacking $name into $cache"
	apt_update
	work=$(mktemp -d) || return 1
	chmod 755 "$work"
	(cd "$work" && apt-get download -q "$@" </dev/null >&2) || { rm -rf "$work"; return 1; }
	mkdir -p "$cache"
	for deb in "$work"/*.deb; do
		dpkg-deb -x "$deb" "$work/$name" || { rm -rf "$work"; return 1; }
	done
	rm -rf "${cache:?}/$name"
	mv "$work/$name" "$cache/$name" || { rm -rf "$work"; return 1; }
	rm -rf "$work"

	libs=$(apt-cache depends "$1" | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p')
	# Whether the program runs with what it has now, those who need it try out.
	# shellcheck disable=SC2086 # one word per package
	apt_install $libs || true
}

# install_exim unpacks Exim: as a package it would replace Postfix.
install_exim() {
	unpack exim exim4-daemon-light exim4-base exim4-config || return 1
	getent passwd "$exim_user" >/dev/null ||
		as_root useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$exim_user"
}

# A name server is there when its program starts, which it does not without its libraries.
starts() { "$cache/$1/usr/sbin/$1" "$2" >/dev/null 2>&1 || PATH="$PATH:/usr/sbin:/sbin" "$1" "$2" >/dev/null 2>&1; }

# install_nameserver unpacks a name server: as a package it would be a service on port 53, which may
# be taken by what resolves this machine's names; and Debian's AppArmor profile keeps a packaged
# unbound from reading the configuration of a test.
install_nameserver() { unpack "$1" "$1"; }

# find_exim prints the first Exim that answers.
find_exim() {
	local exim
	for exim in "${SEALPOST_TEST_EXIM:-}" "$cache/exim/usr/sbin/exim4" /usr/sbin/exim4 /usr/sbin/exim; do
		if [ -x "$exim" ] && "$exim" -C /dev/null -bV >/dev/null 2>&1; then
			echo "$exim"
			return 0
		fi
	done
	return 1
}

if ! have openssl || [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
	can_install && apt_install openssl ca-certificates
fi
if ! have gcc && ! have cc; then
	can_install && apt_install gcc libc6-dev
fi
# Without libnet-ssleay-perl swaks knows no TLS; without libsasl2-modules Postfix as a client knows no PLAIN.
if ! have swaks || ! perl -MNet::SSLeay -e 1 2>/dev/null; then
	can_install && apt_install swaks libnet-ssleay-perl
fi
# The JavaScript clients; their libraries come from the npm registry when the tests run.
if ! have node || ! have npm; then
	can_install && apt_install nodejs npm
fi
{ have node && have npm; } || say "no node or npm: install the Debian packages nodejs and npm"
have swaks || say "no swaks: install the Debian packages swaks and libnet-ssleay-perl"
have openssl || say "no openssl: install the Debian package openssl"

install_postfix || say "no postfix: install the Debian package postfix"
have postfix || say "postfix tests will fail"
if ! compgen -G '/usr/lib/*/sasl2/libplain.so*' >/dev/null; then
	can_install && apt_install libsasl2-modules
fi

# The DNS of the tests: a signer, a server for the signed zones, a resolver that validates.
if ! have ldns-signzone || ! have ldns-keygen; then
	can_install && apt_install ldnsutils
fi
have ldns-signzone || say "no ldns-signzone: install the Debian package ldnsutils"
starts nsd -v || { install_nameserver nsd && starts nsd -v; } || say "no nsd: install the Debian package nsd"
starts unbound -V || { install_nameserver unbound && starts unbound -V; } || say "no unbound: install the Debian package unbound"
have posttls-finger || say "no posttls-finger: it comes with the Debian package postfix"

find_exim || { install_exim && find_exim; } ||
	say "no exim: install the Debian package exim4-daemon-light, or set SEALPOST_TEST_EXIM to an exim binary"
exit 0
