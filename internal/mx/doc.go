// Package mx finds the hosts that take mail for a domain.
//
// A domain names its mail hosts in MX records, in order of preference. Without
// any, the domain's own address takes its mail (the implicit MX). A single MX record
// that names the root says that the domain takes no mail at all (the null MX).
// RFC 5321 section 5.1 and RFC 7505 have the rules; the DNS has everything
// else: aliases, loops, records that name addresses, hundreds of hosts.
//
// [Resolver.Resolve] turns that into a list of hosts to try in order, or into the
// state that says why there is none. [Resolver.Addresses] finds the addresses of one
// host. Whether an address may be connected to is netguard's business; what to do
// when nothing is left, and how often an absence must be seen before it is
// believed (SEC-44), is delivery's.
package mx
