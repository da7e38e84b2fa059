// Package proof is the evidence of deliveries as an auditor sees it: what a record
// says, what a day's signed checkpoint commits to, how an export is laid out, and
// whether all of it holds. It needs no server and no network, so that a file that was handed over
// can be judged by somebody who trusts nothing but a key.
//
// The construction is that of Certificate Transparency. The records of a UTC day
// are the leaves of a Merkle tree (RFC 6962 section 2.1), whose root and size stand in a
// checkpoint (C2SP tlog-checkpoint) that is signed as a note (C2SP signed-note) with
// Ed25519. Each checkpoint holds the hash of the one that sealed the day before, so
// that whoever keeps one checkpoint holds the operator to every record up to it.
//
// Writing the log, and deciding what goes into it, is the business of package evidence.
package proof
