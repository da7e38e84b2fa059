// Package compose turns what a sender handed in into the octets that travel.
//
// A message (RFC 5322, MIME: RFC 2045 to 2049) comes to us in two shapes. An
// API call brings its pieces, a subject, texts, files: a [Draft], from which
// [Compose] writes the message. SMTP and the MIME endpoint bring the message
// itself: [Inspect] reads it once and says what it is, and [Raw.Write] writes
// it as we are willing to send it.
//
// Both ways the result is canonical: CRLF line ends only, no NUL, no line
// longer than 998 octets, one From field with one mailbox, header fields that
// hold what the sender meant and nothing smuggled in beside it. What Compose
// writes is 7-bit throughout. What Raw.Write writes is 7-bit as well, unless
// the sender signed or encrypted 8-bit parts, which we must not touch.
//
// The size of a message never shows in memory: contents pass through readers
// and writers, header sections and structure are held within the limits below.
// Where the octets rest meanwhile, who may send as whom, what the control
// fields mean, and the DKIM signature are other rooms' work.
package compose
