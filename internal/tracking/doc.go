// Package tracking tells senders what became of their mail after it was delivered: whether
// it was opened, which of its links were followed, and who wants no more of it.
//
// None of this is a part of mail. An opened message is known by an image that its reader
// loads from us, a followed link by one that leads over us, and neither says much: images are
// loaded by the proxies of mailbox providers, links are followed by programs that look
// for malware. It is off until a domain or a message asks for it. The third is different:
// List-Unsubscribe (RFC 2369) and its one-click form (RFC 8058) are what mailbox
// providers ask of everybody who sends to many.
//
// A [Tracker] marks up a letter on its way out, with links of which each says which message of which
// domain it belongs to. What a link says is signed and hidden, see [Keyring]: it can be
// neither made up nor read nor bent to lead elsewhere (SEC-74). The package changes texts
// through tracking/markup and touches neither network nor disk, but for reading and making keys. What
// a visit to a link means is tracking/visit's work.
package tracking
