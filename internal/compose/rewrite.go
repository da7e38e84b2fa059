package compose

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// An Edit says what changes in a submitted message besides what always does.
type Edit struct {
	MessageID string    // for a message that has none; without angle brackets
	Date      time.Time // for a message that has none
	// Headers are custom headers (h:). They replace fields that may appear only
	// once, others are added. From, Message-ID, MIME-Version and what else
	// [Reserved] tells is ignored; To, Cc, Subject and Date are not, since beside
	// a composed message there is no other parameter for them.
	Headers []Field
	To      []mail.Mailbox // not empty: replaces the To field, Cc goes
	Remove  []string       // further field names to drop, in any letter case
	Add     []Field        // our own fields, such as X-Mailgun-Sid, added last
	// SigningDomain is the d= of our signature. A signature of that domain that
	// came with the message is dropped, since ours takes its place and a stale one
	// would speak against us. Signatures of others stay: they vouch for whom they
	// name, and a broken one means no more than none (RFC 6376 section 6.1).
	SigningDomain string

	// Value, if not nil, returns another value for a field that travels, of which it is given the
	// decoded value; the same one leaves the field as it is, octet by octet. Fields that
	// authorise, vouch or describe the body are not asked about. Headers and Add are not either.
	Value func(name, value string) string
	// Text, if not nil, returns other words for a text of the message: it is given the media type and the
	// text in UTF-8. The same text leaves the part as it is, octet by octet. Attachments, and
	// what lies in signed or encrypted parts or in messages within the message, are no texts of it.
	Text func(media, text string) (string, error)
	// LongText is what Write returns for a text larger than [MaxViewText] where Text is not
	// nil; nil leaves such a text as it is.
	LongText error
}

// Write writes the message as it will travel. From r come the octets that
// Inspect read, once more. A *FieldError names what is wrong in e; any other
// error came from w or r.
//
// Fields keep their order, letter case and octets, unless they hold what cannot
// travel. So does the body: only leaves with octets above 127 or lines too
// long are encoded anew, and what stands outside of all parts is left out if it
// has such. Leaves in signed or encrypted parts, and a body that is not MIME, stay
// as they are; then the result says Need8Bit.
func (m *Raw) Write(w io.Writer, r io.Reader, e Edit) (Result, error) {
	fields, id, err := m.header(e)
	if err != nil {
		return Result{}, err
	}
	lines := newLineReader(newCanonical(r, m.door))
	defer lines.close()
	original, err := readHeader(lines)
	if err != nil {
		return Result{}, fmt.Errorf("read message again: %w", err)
	}
	out := &output{w: w}
	if err := walk(lines, original, &rewriter{w: out, plan: &m.body, fields: fields, text: e.Text, longText: e.LongText}); err != nil {
		return Result{}, fmt.Errorf("write message: %w", err)
	}
	if err := out.endLine(); err != nil {
		return Result{}, fmt.Errorf("write body: %w", err)
	}
	return Result{
		Summary: Summary{
			From:        m.From.Display(),
			To:          clean(mail.DecodeText(fields.get("To"))),
			Subject:     clean(mail.DecodeText(fields.get("Subject"))),
			MessageID:   id,
			Attachments: m.Attachments,
			Size:        out.size,
		},
		Need8Bit:    m.body.need8Bit,
		NeedUTF8:    m.body.needUTF8 || fields.needsUTF8(),
		TLSOptional: fields.tlsOptional(),
	}, nil
}

// header returns the fields as they will travel, and the Message-ID.
func (m *Raw) header(e Edit) (fields header, id string, err error) {
	var added fieldWriter
	added.custom(e.Headers, neverCustom)
	replaced := map[string]bool{}
	for _, f := range added.fields {
		replaced[strings.ToLower(f.name)] = once(f.name)
	}
	if len(e.To) > 0 {
		added.mailboxes("to", "To", e.To)
		replaced["to"], replaced["cc"] = true, true
	}
	for _, name := range e.Remove {
		replaced[strings.ToLower(name)] = true
	}
	for _, f := range m.fields {
		if replaced[strings.ToLower(f.name)] || signatureOf(f, e.SigningDomain) {
			continue
		}
		if f, err = reword(f, e.Value); err != nil {
			return nil, "", err
		}
		fields = append(fields, f)
	}
	if id = m.MessageID; id == "" {
		if id, err = ParseMessageID(e.MessageID); err != nil {
			return nil, "", err
		}
		added.put("h:Message-Id", "Message-ID", "<"+id+">")
	}
	if fields.count("Date")+added.fields.count("Date") == 0 {
		added.put("h:Date", "Date", e.Date.Format(time.RFC1123Z))
	}
	for _, f := range e.Add {
		if strings.EqualFold(f.Name, variablesField) {
			added.variables(f.Value)
		} else {
			added.text(f.Name, f.Name, f.Value)
		}
	}
	_, encode := m.body.encode[0]
	mime := encode || fields.count("Content-Type")+fields.count("Content-Transfer-Encoding") > 0
	if mime && fields.count("MIME-Version") == 0 {
		added.put("", "MIME-Version", "1.0")
	}
	if err := added.check(); err != nil {
		return nil, "", err
	}
	fields = append(fields, added.fields...)
	if n := fields.size(); n > MaxHeader+MaxField {
		return nil, "", &FieldError{Field: "h:", Problem: fmt.Sprintf("header of the message would have %d octets, more than %d", n, MaxHeader)}
	}
	fields, _ = m.body.relabel(newPart(fields, nil), fields)
	return fields, id, nil
}

// signatureOf reports whether the field is a DKIM signature of the domain.
func signatureOf(f headerField, domain string) bool {
	if domain == "" || !f.is("DKIM-Signature") {
		return false
	}
	for tag := range strings.SplitSeq(f.value(), ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(name) == "d" && strings.EqualFold(strings.TrimSpace(value), domain) {
			return true
		}
	}
	return false
}

// relabel returns the fields of a part with the transfer encoding that it has
// from now on. A multipart whose leaves all became 7-bit says so.
func (b *bodyPlan) relabel(p *part, fields header) (relabelled header, changed bool) {
	if encoding, ok := b.encode[p.index]; ok {
		return setEncoding(fields, encoding), true
	}
	container := p.multipart() || p.message() && p.index > 0
	if container && !p.sealed && !b.need8Bit && len(b.encode) > 0 && (p.encoding == "8bit" || p.encoding == "binary") {
		return setEncoding(fields, "7bit"), true
	}
	return fields, false
}

// A rewriter is the visitor that writes a body by its plan.
type rewriter struct {
	w        io.Writer
	plan     *bodyPlan
	fields   header                                   // of the message, as they will travel
	text     func(media, text string) (string, error) // see Edit.Text
	longText error

	wording *wording // of the leaf, while its words may still change

	decoder, encoder io.WriteCloser // of the leaf; nil if it stays as it is
}

var (
	_ visitor = (*rewriter)(nil)
	_ visitor = (*surveyor)(nil)
)

func (r *rewriter) write(b []byte) error {
	_, err := r.w.Write(b)
	return err
}

func (r *rewriter) header(p *part) error {
	if r.text != nil && wordable(p) {
		r.wording = newWording(p)
		return nil
	}
	return r.begin(p)
}

// writeFields writes a header section.
func (r *rewriter) writeFields(fields header) error {
	for _, f := range fields {
		if err := r.write(f.raw); err != nil {
			return err
		}
	}
	return r.write([]byte("\r\n"))
}

// begin writes the header of a part and decides how its body is written.
func (r *rewriter) begin(p *part) error {
	if encoding, ok := r.plan.encode[p.index]; ok {
		r.encoder = newEncoder(encoding, r.w)
		r.decoder = newDecoder(p.encoding, r.encoder)
	}
	if p.index == 0 {
		return r.writeFields(r.fields)
	}
	if p.sealed {
		return r.write(p.raw)
	}
	fields := p.fields
	if r.plan.headers[p.index] {
		var err error
		if fields, err = fixFields(fields); err != nil {
			return err
		}
	}
	fields, relabelled := r.plan.relabel(p, fields)
	if !r.plan.headers[p.index] && !relabelled {
		return r.write(p.raw)
	}
	return r.writeFields(fields)
}

func (r *rewriter) body(_ *part, b []byte) error {
	if r.wording != nil {
		return r.hold(b)
	}
	if r.decoder != nil {
		_, err := r.decoder.Write(b)
		return err
	}
	return r.write(b)
}

func (r *rewriter) end(*part) error {
	if r.wording != nil {
		return r.endWording()
	}
	if r.decoder == nil {
		return nil
	}
	err := r.decoder.Close()
	if err == nil {
		err = r.encoder.Close()
	}
	r.decoder, r.encoder = nil, nil
	return err
}

func (r *rewriter) delimiter(m *part, b []byte) error {
	if m.sealed {
		return r.write(b)
	}
	// White space behind a delimiter means nothing (RFC 2046 section 5.1.1).
	return r.write(append(bytes.TrimRight(b, " \t\r\n"), '\r', '\n'))
}

func (r *rewriter) noise(m *part, b []byte) error {
	if r.plan.dropNoise && !m.sealed {
		return nil
	}
	return r.write(b)
}
