// Package dsn tells senders what becomes of their mail, by mail.
//
// A relay that has accepted a message and cannot deliver it owes its sender a notice (RFC
// 5321 section 6.1). The form for it is the delivery status notification, DSN: a
// multipart/report (RFC 6522) of a text for people, a part for programs (RFC 3464),
// and the message or its header. It goes to the reverse-path of the message and has none
// itself, so that no notice is ever answered by another.
//
// Most of our senders are programs that read the event log, and want no mail back.
// Notices are for messages submitted by SMTP: those whose client asked for it (RFC 3461),
// of success, delay or failure, where the next hop does not do it; and those with one of
// the markings of RFC 8689, which wants them about failures: REQUIRETLS (section 4.2.1), and
// TLS-Required: No where it did not help (section 4.2.2). About a message with REQUIRETLS
// they are protected as it is: of the message only the header comes back, and the notice is marked with REQUIRETLS itself (section 5).
// docs/adr/0012 and docs/adr/0015 have the reasons.
//
// [Notice.WriteTo] is the notice in octets, a pure function of facts. A [Follower] reads
// events from the log and hands notices to the room behind the doors, like any other message.
package dsn
