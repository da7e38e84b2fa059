package compose

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Door is the way a message came in. They differ in the line ends they bear.
type Door uint8

const (
	// Submission is SMTP: CRLF and nothing else (SEC-01).
	Submission Door = iota
	// API is the MIME endpoint: CRLF throughout, or LF throughout, which becomes
	// CRLF. A bare CR, a NUL or a mixture is refused there as well.
	API
)

// A Raw is what Inspect learned about a submitted message. It holds the header
// section, not the body.
type Raw struct {
	From      mail.Mailbox // of the one From field
	MessageID string       // without angle brackets; empty: it had none that can be used, Write gives it Edit.MessageID
	// Control are the X-Mailgun-* and X-Sealpost-* fields in order, names as written,
	// values unfolded, decoded and without control characters. They do not travel, except
	// X-Mailgun-Variables, which is listed here as well.
	Control     []Field
	Attachments []Attachment
	HTML        bool  // it has a text/html that Edit.Text is asked about
	Size        int64 // octets as read

	door   Door
	fields header // as they will travel; without those that never do
	body   bodyPlan
}

// A bodyPlan says what has to happen to a body so that it may travel.
type bodyPlan struct {
	encode    map[int]string // new transfer encoding by part
	headers   map[int]bool   // parts whose header has to be written anew
	dropNoise bool           // what stands outside of all parts is left out
	need8Bit  bool
	needUTF8  bool // in the header of a part
}

// Inspect reads a submitted message to its end and checks that it can be sent.
// The caller keeps the octets meanwhile (io.TeeReader) for [Raw.Write]. A
// *Refusal is the sender's mistake, any other error is r's. Memory is bounded
// by the limits of this package, time is linear in the size.
//
// It refuses what two programs could read differently: line ends that are none,
// NUL, control characters or octets that are not UTF-8 in the header, lines that
// are no field, fields given twice that may appear once, a From that is not
// exactly one mailbox (SEC-16).
func Inspect(r io.Reader, door Door) (*Raw, error) {
	octets := newCanonical(r, door)
	lines := newLineReader(octets)
	defer lines.close()
	h, err := readHeader(lines)
	if err != nil {
		return nil, err
	}
	m := &Raw{door: door, body: bodyPlan{encode: map[int]string{}, headers: map[int]bool{}}}
	if err := m.takeHeader(h); err != nil {
		return nil, err
	}
	s := &surveyor{plan: &m.body}
	if err := walk(lines, h, s); err != nil {
		return nil, err
	}
	if err := s.endMessage(); err != nil {
		return nil, err
	}
	m.Attachments, m.HTML, m.Size = s.attachments, s.html, octets.size
	return m, nil
}

// readHeader reads the header section of a message.
func readHeader(lines *lineReader) (header, error) {
	var scan headerScanner
	for {
		p, err := lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if err != nil || p.blank() {
			break
		}
		if err := scan.add(p); err != nil {
			return nil, err
		}
		if scan.broken {
			return nil, malformed("header section has a line that is not a header field")
		}
	}
	if len(scan.fields) == 0 {
		return nil, malformed("message has no header")
	}
	return scan.fields, nil
}

// takeHeader checks the fields and sorts them into what travels and what does not.
func (m *Raw) takeHeader(h header) error {
	received := 0
	seen := map[string]bool{}
	for _, f := range h {
		if strings.ContainsFunc(f.value(), isC0) {
			return malformed("header field %s holds a control character", f.name)
		}
		name := strings.ToLower(f.name)
		if once(name) && seen[name] {
			return malformed("message has more than one %s field", f.name)
		}
		seen[name] = true
		switch name {
		case "received":
			if received++; received > MaxReceived {
				return &Refusal{Enhanced: "5.4.6", Problem: fmt.Sprintf("message has more than %d Received fields, it is in a loop", MaxReceived)}
			}
		case "bcc", "resent-bcc", "return-path":
			continue
		case "message-id":
			id, err := ParseMessageID(f.value())
			if err != nil {
				continue // nobody could refer to it
			}
			m.MessageID = id
		}
		if isControlField(f.name) {
			m.Control = append(m.Control, Field{f.name, clean(mail.DecodeText(f.value()))})
			if !strings.EqualFold(f.name, variablesField) {
				continue
			}
		}
		if name == "from" {
			var err error
			if f, err = m.takeFrom(f); err != nil {
				return err
			}
		}
		fixed, err := fixField(f)
		if err != nil {
			return err
		}
		m.fields = append(m.fields, fixed)
	}
	if !seen["from"] {
		return malformed("message has no From field")
	}
	// Sent as it is, it would show every recipient the variables of all. See Unwrap.
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.get("Content-Type"))), wrappedType) {
		return malformed("type %s is known in the first %d octets of a message only", wrappedType, maxPeek)
	}
	return nil
}

// takeFrom reads the From field. One that a careless parser could read
// differently, because it holds comments or empty list elements, is written anew.
func (m *Raw) takeFrom(f headerField) (headerField, error) {
	var err error
	if m.From, err = mail.ParseMailbox(f.value()); err != nil {
		return f, malformed("From field must hold exactly one mailbox: %v", err)
	}
	if v := f.value(); strings.ContainsAny(v, "(,") {
		f.raw, _ = appendField(nil, f.name, m.From.String())
	}
	return f, nil
}
