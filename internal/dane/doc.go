// Package dane finds the TLSA records of an MX host and says whether the certificate
// that the host presented matches them.
//
// With DANE (RFC 6698, 7671) a domain publishes, in its signed DNS, which certificate or
// key its server will show. For mail (RFC 7672) that is a promise in both directions: a
// host with usable TLSA records offers TLS, and whoever sends to it must not hand mail
// to a server that does not match. The protection therefore hangs on telling four answers
// apart: records, a validated "there are none", an answer that nobody signed, and no
// answer. Only the first two are facts; the last must stop the delivery, or an attacker
// who can drop a packet can switch DANE off.
//
// [Resolver.Lookup] asks, in the order of names and under the conditions that the RFC
// sets. [Result.Match] compares a presented chain with what was found; it is pure. What a
// state or a match means for a message is tlspolicy's decision, and dnssec knows which
// answers are secure.
//
// BUGS: revocation is not checked, as in pkix. Certificates and keys that Go cannot parse
// (Ed448, for one) make a record unusable when it has them in full; a digest of them is
// never matched, since no handshake with them completes.
package dane
