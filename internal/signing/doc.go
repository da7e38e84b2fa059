// Package signing signs messages with DKIM (RFC 6376).
//
// A DKIM signature lets a receiver tie a message to a domain: a public key lies
// in the domain's DNS, the private key signs the header fields that matter
// and a hash of the body. This package makes the keys, and the signatures, the
// way receivers can rely on: relaxed canonicalisation on both sides, because
// relays touch white space; no l=, which would let anybody append to a body;
// and the fields that people see signed once more than they occur, so that a
// second one cannot be added later (RFC 6376 section 5.4.2, SEC-25).
//
// A [Digest] takes a message in one pass, while it is written elsewhere; several
// signers can then sign the same digest. Which domain signs, where keys
// are kept and whether DNS has them yet is not known here.
package signing
