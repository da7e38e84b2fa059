// Package tlsrpt tells receiving domains, once a day, how TLS with them went (RFC 8460).
//
// A domain that publishes MTA-STS or TLSA records cannot see the senders who fail over
// them: those never get as far as its log. So it can ask, with a TXT record, for a
// report: so many sessions succeeded yesterday under this policy, so many failed, and
// for these reasons. For the receiver this is the only way to learn of a mistake in
// enforce mode, or to dare to turn it on.
//
// [Room.Observe] counts each session, in memory, by UTC day, policy domain, policy and kind of
// failure. Once a minute the counts are added to the store, so a crash loses at most one
// minute of statistics, and a clean stop none. Ten minutes after midnight (UTC) the day is
// closed: every policy domain that was counted gets a report that waits for its moment, spread
// over four hours. When it is due, the domain's record is looked up; without one its
// counts are dropped, with one the report goes to every destination named there, again and
// again for a day. The state of each report is stored after each attempt: a restart
// neither forgets nor repeats one, except for the attempt during which it happens. A
// report keeps its id, so that a receiver who gets it twice can tell.
//
// Reports by mail enter through the front door like any other message, marked
// ([accept.Submission.Report]) so that nobody counts the sessions that carry them:
// otherwise two systems would report to each other for ever.
//
// The document itself is known to package tlsrpt/report. Which results a session had is
// decided elsewhere; this package counts what it is told.
package tlsrpt
