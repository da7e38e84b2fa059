// Package dsn tells senders that their mail will not arrive.
//
// A relay that has accepted a message and cannot deliver it owes its sender a notice (RFC
// 5321 section 6.1). The form for it is the delivery status notification, DSN: a
// multipart/report (RFC 6522) of a text for people, a part for programs (RFC 3464),
// and the message or its header. It goes to the reverse-path of the message and has none
// itself, so that no notice is ever answered by another.
//
// Most of our senders are programs that read the event log, and want no mail back.
// Notices are for one kind of message: those submitted by SMTP and marked with REQUIRETLS,
// which is refused far more often than other mail and whose standard (RFC 8689 section
// 5) says how its notices have to be. They are protected like the message: only its header
// comes back, and the notice is marked with REQUIRETLS itself. Where it cannot
// travel under that marking it is lost, as the RFC wants it. docs/adr/0012 has the reasons.
//
// [Notice.WriteTo] is the notice in octets, a pure function of facts. A [Follower] reads
// permanent failures from the event log and hands notices to the room behind the doors,
// like any other message.
package dsn
