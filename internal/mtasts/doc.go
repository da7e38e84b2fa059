// Package mtasts knows which recipient domains ask for verified TLS, and to which MX
// hosts, by way of HTTPS (RFC 8461).
//
// MX records come out of unsigned DNS, so whoever can forge DNS can name an MX
// host of his own, with a certificate that verifies. A domain that has no DNSSEC
// can defend itself with a policy: a small text at
// https://mta-sts.<domain>/.well-known/mta-sts.txt names its MX hosts, and the
// certificate of that web server proves it. A TXT record at _mta-sts.<domain> says
// that there is a policy and, by its id, when it changed. The policy has a lifetime of
// weeks, and for that long it holds even if record and web server vanish: the
// first fetch is the only moment that an attacker can spoil.
//
// All protection therefore lies in the memory. [Cache] keeps policies on disk, looks at
// the TXT record with every question (through the resolver's memory), fetches when the
// id is new, fetches again every day ahead of expiry, and never lets a failure shorten
// the life of a policy. [ParseRecord], [ParsePolicy] and [Policy.Lists] are the
// rules of the RFC without any I/O.
//
// A fetch goes to a host that the recipient's domain chose, so every part of it is
// bounded: one attempt per domain in five minutes, 20 at once and 5 into one
// network, 60 seconds, 64 KiB, no redirects, no proxy, no cookies.
//
// What a policy means for a delivery is decided by tlspolicy; what is reported about
// it by tlsrpt.
package mtasts
