package dsn

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// An Action is what a notice tells of its recipients (RFC 3464 section 2.3.3).
type Action uint8

const (
	// Failed: the message will never reach them.
	Failed Action = iota
	// Delayed: it has not reached them yet, and is still tried.
	Delayed
	// Relayed: it was given to a server that does not offer DSN, so that nothing more will
	// be heard of it (RFC 3461 section 5.2.2).
	Relayed
)

var actionNames = [...]string{"failed", "delayed", "relayed"}

// String returns the action as the Action field has it.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action %d", uint8(a))
}

// A Notice is a DSN about one message and what became of it at some of its recipients, the
// same for all of them. Its texts may be foreign: they are quoted and escaped where they stand.
type Notice struct {
	Action       Action
	ID           mail.ID // of the first recipient's event: names the notice, and delimits its parts
	ReportingMTA string  // our host name
	From         mail.Address
	To           mail.Address // reverse-path of the message; never the null one
	Date         time.Time    // of the notice

	MessageID string    // of the message, without angle brackets; empty: it is not told
	Subject   string    // of the message, decoded; empty: it is not told
	Arrival   time.Time // when the message was accepted
	// EnvelopeID is what the sender called the message by (ENVID); empty: nothing.
	EnvelopeID string
	// RequireTLS: the message is marked with REQUIRETLS.
	RequireTLS bool
	// TLSOptional: it has the field TLS-Required: No, and the notice gets it too.
	TLSOptional bool
	// Header is the header section of the message as it travelled, CRLF line ends, without
	// the blank line. Empty if it is no longer kept: the notice then has no third part.
	Header []byte
	// Whole: Header holds the body as well, which is returned with it (RET=FULL).
	Whole bool
	Fates []Fate // at least one
}

// A Fate is what became of the message at one recipient.
type Fate struct {
	Recipient mail.Address
	Original  string    // as the sender knew the recipient: type, semicolon, address (ORCPT); empty: not said
	At        time.Time // of the last attempt, or when it was given up
	Code      int       // of the reply, three digits; 0: there was none
	Enhanced  string    // enhanced status code of the reply; empty: none
	Text      string    // of the reply, lines joined by "\n"
	// Local: the reply is in our words. Else it is that of the server at Host.
	Local bool
	Host  string // MX host contacted last; empty: none
	// WantOfTLS: it failed because there was no TLS.
	WantOfTLS bool
	// Expired: the message grew too old. Code and Text are those of the last attempt.
	Expired bool
}

// MessageIDOf returns the Message-ID of the notice with that id from the sending
// domain, without angle brackets. It is always the same, so that a notice which was
// accepted already can be found.
func MessageIDOf(id mail.ID, domain string) string { return "dsn." + id.String() + "@" + domain }

// WriteTo writes the notice as a message with CRLF line ends, in 7-bit unless To
// needs SMTPUTF8. The same notice gives the same octets. Errors are w's.
func (n *Notice) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	n.writeHeader(&b)
	parts := multipart.NewWriter(&b)
	if err := parts.SetBoundary(n.boundary()); err != nil {
		return 0, fmt.Errorf("delimit notice: %w", err)
	}
	for _, p := range n.parts() {
		if err := p.write(parts); err != nil {
			return 0, fmt.Errorf("write %s: %w", p.media, err)
		}
	}
	if err := parts.Close(); err != nil {
		return 0, fmt.Errorf("end notice: %w", err)
	}
	return b.WriteTo(w)
}

func (n *Notice) subject() string {
	switch n.Action {
	case Delayed:
		return "Your message is delayed"
	case Relayed:
		return "Your message was handed on"
	}
	return "Your message could not be delivered"
}

func (n *Notice) thirdPart() string {
	if n.Action == Failed {
		return "Header of the undelivered message"
	}
	return "Header of the message"
}

// boundary cannot occur in a part: the header was written before the id was given.
func (n *Notice) boundary() string { return "=_dsn_" + n.ID.String() }

// writeHeader writes the header section.
func (n *Notice) writeHeader(b *bytes.Buffer) {
	put := func(name, value string) { fmt.Fprintf(b, "%s: %s\r\n", name, value) }
	put("From", mail.Mailbox{Name: "Mail Delivery System", Address: n.From}.String())
	put("To", n.To.String())
	put("Subject", n.subject())
	put("Date", n.Date.Format(time.RFC1123Z))
	put("Message-ID", "<"+MessageIDOf(n.ID, n.From.Domain)+">")
	if id := n.MessageID; id != "" && printableASCII(id) {
		put("In-Reply-To", "<"+id+">")
		put("References", "<"+id+">")
	}
	put("Auto-Submitted", "auto-replied") // RFC 3834 section 5
	if n.TLSOptional {
		put("TLS-Required", "No") // RFC 8689 section 6: what the sender wanted of TLS goes for what answers it
	}
	put("MIME-Version", "1.0")
	if n.Whole && !isASCII(n.Header) { // like the message within, which must not be encoded (RFC 2045 section 6.4)
		put("Content-Transfer-Encoding", "8bit")
	}
	// RFC 6522 section 3, RFC 3464 section 2: the type of the report is that of its second part.
	put("Content-Type", "multipart/report; report-type=delivery-status;\r\n\tboundary=\""+n.boundary()+"\"")
	b.WriteString("\r\n")
}

// parts returns the parts in their order (RFC 6522 section 3). The third is the whole
// message only of one that failed and for which that was asked for (RFC 3461 section 4.3), and
// never of one that is marked with REQUIRETLS (RFC 8689 section 5).
func (n *Notice) parts() []part {
	list := []part{
		{media: "text/plain", charset: "utf-8", description: "Notification", content: []byte(n.forPeople())},
		{media: "message/delivery-status", description: "Delivery report", content: []byte(n.forPrograms())},
	}
	switch {
	case len(n.Header) == 0:
		return list
	case n.Whole:
		message := part{media: "message/rfc822", description: "Undelivered message", content: n.Header, asIs: true}
		if header, _, _ := bytes.Cut(n.Header, []byte("\r\n\r\n")); !isASCII(header) {
			message.media = "message/global" // RFC 6532 section 3.7
		}
		return append(list, message)
	}
	// A header with octets above 127 has a media type of its own (RFC 6533 section 4.3).
	header := part{media: "text/rfc822-headers", description: n.thirdPart(), content: n.Header}
	if !isASCII(n.Header) {
		header.media = "message/global-headers"
	}
	return append(list, header)
}

// A part is one part of the report.
type part struct {
	media, charset, description string
	content                     []byte // lines end with CRLF
	asIs                        bool   // a message, which must not be encoded (RFC 2046 section 5.2.1)
}

// maxLine is the longest line of a 7-bit part without its CRLF (RFC 5321 section 4.5.3.1.6).
const maxLine = 998

// write adds the part, encoded where it is not 7-bit.
func (p *part) write(to *multipart.Writer) error {
	h := textproto.MIMEHeader{"Content-Type": {p.media}, "Content-Description": {p.description}}
	if p.charset != "" {
		h.Set("Content-Type", p.media+"; charset="+p.charset)
	}
	plain := isASCII(p.content) && longestLine(p.content) <= maxLine
	h.Set("Content-Transfer-Encoding", "7bit")
	switch {
	case plain:
	case p.asIs:
		h.Set("Content-Transfer-Encoding", "8bit")
		plain = true
	default:
		h.Set("Content-Transfer-Encoding", "quoted-printable")
	}
	w, err := to.CreatePart(h)
	if err != nil {
		return err
	}
	if plain {
		_, err = w.Write(p.content)
		return err
	}
	qp := quotedprintable.NewWriter(w)
	if _, err := qp.Write(p.content); err != nil {
		return err
	}
	return qp.Close()
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// printableASCII reports whether s holds visible ASCII characters only.
func printableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func longestLine(b []byte) int {
	longest := 0
	for line := range bytes.Lines(b) {
		longest = max(longest, len(bytes.TrimRight(line, "\r\n")))
	}
	return longest
}
