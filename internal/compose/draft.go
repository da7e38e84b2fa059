package compose

import (
	"io"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Field is one header field or custom header: a name without colon, and text.
type Field struct {
	Name  string
	Value string
}

// A File is an attachment or inline part.
type File struct {
	Name        string // as the sender named it; only its last path element is used, for display
	ContentType string // empty or unusable: application/octet-stream
	Size        int64  // octets Open gives; the summary reports it
	// Open returns the content from its first octet. It is called once per
	// Compose, and what it returned is closed.
	Open func() (io.ReadCloser, error)
}

// A Draft is a message in pieces. Text may come from anybody: it is checked and
// encoded by Compose, never pasted. From, MessageID and Date are required.
type Draft struct {
	From    mail.Mailbox
	To, Cc  []mail.Mailbox
	Subject string // encoded words in it are decoded first

	Text, HTML, AMP string // empty: no such part

	Headers []Field // custom headers (h:), in order; see [Reserved]
	Files   []File  // multipart/mixed
	Inline  []File  // multipart/related, referenced as cid:<name>

	MessageID string    // without angle brackets, as ParseMessageID returns it
	Date      time.Time // the zone is kept
	Variables string    // JSON of X-Mailgun-Variables; empty: no field
	Tags      []string  // one X-Mailgun-Tag field each
	Sid       string    // X-Mailgun-Sid; empty: no field
}

// A Result is what was written, for the envelope, the store and the log.
type Result struct {
	Summary
	Need8Bit    bool // has octets above 127 in its body: the next hop must offer 8BITMIME
	NeedUTF8    bool // has octets above 127 in its header: SMTPUTF8 (RFC 6531)
	TLSOptional bool // carries "TLS-Required: No" (RFC 8689 section 5)
}

// A Summary is what the log and the stored message say about a content. Texts
// are decoded, valid UTF-8, without control characters.
type Summary struct {
	From        string
	To          string
	Subject     string
	MessageID   string // without angle brackets
	Attachments []Attachment
	Size        int64 // octets of the whole message, header included
}

// An Attachment is one part that is not the message's text.
type Attachment struct {
	Name        string `json:"filename"`
	ContentType string `json:"content-type"` // media type without parameters
	ContentID   string `json:"-"`            // without angle brackets; empty if none
	Size        int64  `json:"size"`         // octets once decoded
}

// Compose writes the draft as a message to w, in one pass, and says what it
// wrote. A *FieldError is the sender's mistake; any other error came from w or
// from a file. After an error what reached w is to be thrown away.
func Compose(w io.Writer, d Draft) (Result, error) { return Result{}, nil }

// Check finds the mistakes that Compose would find in the draft's header, and
// writes nothing.
func (d Draft) Check() error { return nil }

// Reserved reports whether a custom header of this name (any letter case) is
// ignored because the field is ours, or has a parameter of its own (SEC-24).
func Reserved(name string) bool { return false }

// ParseMessageID reads a Message-ID as senders give it, with or without angle
// brackets, and returns it without.
func ParseMessageID(s string) (string, error) { return "", nil }
