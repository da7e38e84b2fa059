// Package impact answers what would happen to a sending domain's mail if its two
// TLS flags were set another way: how much of it would travel verified, unverified,
// in plaintext, or not at all, to which recipient domains, and why.
//
// Every delivery and every failed attempt left evidence of each connection it made
// (mail.TLSDetail). [Read] turns that back into the facts and sessions that
// tlspolicy decides about, and [Project] lets it decide again for each pair of flags, in
// the order in which a delivery goes through MX hosts. Nothing here decides about
// TLS itself. An [Analyst] does this for the events of some days, weighs the newest facts
// of each MX host with the messages that went there, and on request asks a [Prober] about
// recipient domains whose facts are old.
//
// What it cannot know it counts as unknown, with the reason. What it assumes:
//
//   - The next message meets what the last one met. A host that was unreachable in a
//     message's attempt is passed over for that message.
//   - One MX host has one TLS behaviour. Where its addresses differ, the one that was
//     contacted last speaks for all.
//   - A host takes plaintext unless it was seen to refuse it.
//   - A pair of flags is the domain's. What messages set for themselves or carry as marking
//     (RFC 8689) is not projected; how many set flags is told.
//   - A recipient refused inside a session counts by the session: it is about how mail
//     travels, not about whom it pleases.
//   - Where the evidence does not say that there are no further MX hosts, there are none.
//     The answer tells where that is assumed.
//
// Looking at hosts is the prober's business, keeping events and exceptions the store's.
package impact
