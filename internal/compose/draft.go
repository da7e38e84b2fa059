package compose

import (
	"fmt"
	"io"
	"strings"
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
	Size        int64  // octets Open gives, 0 if not known; Compose fails if it gives others
	// Open returns the content from its first octet. It is called once per
	// Compose, and what it returned is closed.
	Open func() (io.ReadCloser, error)
}

// A Draft is a message in pieces. Text may come from anybody: it is checked and
// encoded by Compose, never pasted (SEC-14). From, MessageID and Date are
// required.
type Draft struct {
	From    mail.Mailbox
	To, Cc  []mail.Mailbox
	Subject string // encoded words in it are understood

	Text, HTML, AMP string // empty: no such part

	Headers []Field // custom headers (h:), in order; those that are [Reserved] are ignored
	Files   []File  // attachments
	Inline  []File  // shown within HTML, which refers to them as cid:<name>

	MessageID string    // without angle brackets, as ParseMessageID returns it
	Date      time.Time // the zone is kept
	Variables string    // JSON on one line for X-Mailgun-Variables; empty: no field
	Tags      []string  // one X-Mailgun-Tag field each
	Sid       string    // X-Mailgun-Sid; empty: no field
	// Boundary, if set, makes the draft one of several copies that differ in few words: it is what
	// the boundaries of multiparts are made of, the same for all copies, as [NewBoundary] returns it, and
	// texts are encoded so that few lines differ.
	Boundary string
}

// A Result is what was written, for the envelope, the store and the log.
type Result struct {
	Summary
	Need8Bit    bool // the body has octets above 127: the next hop must offer 8BITMIME
	NeedUTF8    bool // a header has octets above 127: it must offer SMTPUTF8 (RFC 6531)
	TLSOptional bool // carries "TLS-Required: No" (RFC 8689 section 3)
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
// wrote. Its structure is mixed around related around alternative, each only
// where there is something to hold. A *FieldError is the sender's mistake and
// comes before anything is written; any other error came from w or from a file,
// and what reached w by then is to be thrown away.
func Compose(w io.Writer, d Draft) (Result, error) {
	fields, root, err := d.plan()
	if err != nil {
		return Result{}, err
	}
	out := &output{w: w}
	for _, f := range fields {
		if _, err := out.Write(f.raw); err != nil {
			return Result{}, fmt.Errorf("write header: %w", err)
		}
	}
	if _, err := io.WriteString(out, "\r\n"); err != nil {
		return Result{}, fmt.Errorf("write header: %w", err)
	}
	var files []Attachment
	if err := root.write(out, &files); err != nil {
		return Result{}, err
	}
	if err := out.endLine(); err != nil {
		return Result{}, fmt.Errorf("write body: %w", err)
	}
	return Result{
		Summary: Summary{
			From:        d.From.Display(),
			To:          displayMailboxes(d.To),
			Subject:     clean(mail.DecodeText(d.Subject)),
			MessageID:   d.MessageID,
			Attachments: files,
			Size:        out.size,
		},
		NeedUTF8:    fields.needsUTF8(),
		TLSOptional: fields.tlsOptional(),
	}, nil
}

// Check finds the mistakes that Compose would find, and writes nothing. It does
// not open files.
func (d Draft) Check() error {
	_, _, err := d.plan()
	return err
}

// plan returns the header and the body to be written.
func (d Draft) plan() (header, *entity, error) {
	var w fieldWriter
	id, err := ParseMessageID(d.MessageID)
	if err != nil {
		return nil, nil, err
	}
	if d.From.Address.IsZero() {
		return nil, nil, &FieldError{Field: "from", Problem: "from parameter is missing"}
	}
	w.put("from", "Date", d.Date.Format(time.RFC1123Z))
	w.mailboxes("from", "From", []mail.Mailbox{d.From})
	w.mailboxes("to", "To", d.To)
	w.mailboxes("cc", "Cc", d.Cc)
	w.text("subject", "Subject", d.Subject)
	w.put("h:Message-Id", "Message-ID", "<"+id+">")
	w.custom(d.Headers, Reserved)
	if d.Sid != "" {
		w.text("sid", "X-Mailgun-Sid", d.Sid)
	}
	for _, tag := range d.Tags {
		w.text("o:tag", "X-Mailgun-Tag", tag)
	}
	w.variables(d.Variables)
	w.put("", "MIME-Version", "1.0")
	root, err := d.body()
	if err != nil {
		return nil, nil, err
	}
	for _, f := range root.fields {
		w.put(f.param, f.name, f.value)
	}
	return w.fields, root, w.check()
}

// body plans the MIME structure.
func (d Draft) body() (*entity, error) {
	var texts []*entity
	for _, t := range []struct{ media, text string }{
		{"text/plain", d.Text}, {"text/x-amp-html", d.AMP}, {"text/html", d.HTML}, // the order receivers of AMP expect
	} {
		if t.text != "" {
			texts = append(texts, textEntity(t.media, t.text, d.Boundary != ""))
		}
	}
	inline, err := fileEntities("inline", d.Inline)
	if err != nil {
		return nil, err
	}
	files, err := fileEntities("attachment", d.Files)
	if err != nil {
		return nil, err
	}
	if len(texts)+len(inline)+len(files) == 0 {
		texts = append(texts, textEntity("text/plain", "", false))
	}
	b := d.Boundary
	if b == "" {
		b = NewBoundary()
	}
	root := multipartOf("alternative", b, texts)
	root = multipartOf("related", b, join(root, inline))
	return multipartOf("mixed", b, join(root, files)), nil
}

func join(first *entity, others []*entity) []*entity {
	if first == nil {
		return others
	}
	return append([]*entity{first}, others...)
}

// cleanContentID returns a file name as the Content-ID that "cid:name" in HTML
// refers to: characters that an URL cannot hold are percent-encoded (RFC 2392).
func cleanContentID(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c > ' ' && c < 0x7f && strings.IndexByte(`<>()"\,;:[]`, c) < 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(percent(string([]byte{c})))
		}
	}
	return b.String()
}
