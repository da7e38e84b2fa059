package compose

import (
	"io"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Door is the way a message came in. They differ in the line ends they bear.
type Door uint8

const (
	// Submission is SMTP: CRLF and nothing else (SEC-01).
	Submission Door = iota
	// API is the MIME endpoint: CRLF throughout, or LF throughout, which becomes CRLF.
	API
)

// A Raw is what Inspect learned about a submitted message. It holds the header
// section, not the body.
type Raw struct {
	From      mail.Mailbox // of the one From field
	MessageID string       // without angle brackets; empty: there was none, Edit.MessageID will be used
	// Control are the X-Mailgun-* fields in order, names as written, values
	// unfolded and decoded. They do not travel, except X-Mailgun-Variables,
	// which is listed here as well.
	Control     []Field
	Attachments []Attachment
	Size        int64 // octets as read
}

// Inspect reads a submitted message to its end and checks that it can be sent.
// The caller keeps the octets meanwhile (io.TeeReader) for [Raw.Write]. A
// *Refusal is the sender's mistake, any other error is r's. Memory is bounded
// by the limits of this package, time is linear in the size.
func Inspect(r io.Reader, door Door) (*Raw, error) { return nil, nil }

// An Edit says what changes in a submitted message besides what always does.
type Edit struct {
	MessageID string    // for a message that has none; without angle brackets
	Date      time.Time // for a message that has none
	// Headers are custom headers (h:): they replace fields that may appear only
	// once, others are added. Reserved names are ignored.
	Headers []Field
	To      []mail.Mailbox // not empty: replaces the To field
	Remove  []string       // further field names to drop, any letter case
	Add     []Field        // our own fields, such as X-Mailgun-Sid, added last
	// SigningDomain is the d= of our signature: a signature of that domain
	// which came with the message is dropped, other domains' stay.
	SigningDomain string
}

// Write writes the message as it will travel. From r come the octets that
// Inspect read. A *FieldError names what is wrong in e, a *Refusal what is wrong with the message.
func (m *Raw) Write(w io.Writer, r io.Reader, e Edit) (Result, error) { return Result{}, nil }
