// Package submission is the SMTP door: message submission (RFC 6409) over
// STARTTLS or implicit TLS (RFC 8314) for clients that log in or sit in a trusted network.
//
// An SMTP server is easy to write and easy to get wrong where it is lenient: two
// servers that disagree on where a message ends let a third party write mail in their
// name. So this one is strict and small. CRLF alone ends lines, CRLF.CRLF alone ends
// a message, a bare CR, LF or NUL ends the session; a session has one state and one
// place that resets it; everything a client can make us wait for, keep or read is
// bounded, in total and not per read. It offers only what it means: no BINARYMIME,
// no VRFY that tells anything, no mail for anybody without authentication. What it
// offers it keeps: a message may come in chunks (RFC 3030), what is said about
// notices (RFC 3461) goes with it.
//
// It leaves everything about the message itself to the accept room and answers
// 250 only after that has it on disk. docs/adr/0007-own-submission-server.md tells
// why the server is our own, docs/adr/0015 how it takes chunks.
package submission
