// Package tlspolicy decides how a message may travel to one MX host: what must
// hold before we connect, and what to do once the facts of the session are known.
//
// The sender sets a floor with two flags, require-tls and skip-verification. The
// recipient may publish policies (DANE, MTA-STS) that raise it, and a message may
// carry a marking of RFC 8689. [Require] turns these facts into a [Requirement];
// [Judge] turns a requirement and an observed [Session] into a [Verdict]. Both
// are pure: no input or output, no clock, no logging. Delivery, the log, the
// API and the pre-flight check all use the same two functions, and the test
// enumerates every input they can have.
//
// Requirements are built so that no source can weaken another: each adds to a
// set of [Needs], and nothing takes away. The sender's wish to rather go in
// plaintext than over a session that does not verify is not a need but a preference, and
// has a say only where no need forbids plaintext.
//
// What to do about names, chains, records and sockets is left to others: this
// package is told what they found.
package tlspolicy
