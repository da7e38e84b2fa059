package compose

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

// reworded reports whether the values of a field may be changed by Edit.Value. From says who is
// authorised, Message-ID has a way of its own, and the others are read by programs or vouch for
// what was there.
func reworded(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "from", "message-id", "date", "mime-version", "received", "return-path", "dkim-signature",
		"domainkey-signature", "authentication-results", strings.ToLower(variablesField):
		return false
	}
	return !strings.HasPrefix(name, "content-") && !strings.HasPrefix(name, "arc-")
}

// reword returns a field with another value; the field itself if that changes nothing. The new
// value is checked like one that came as a parameter (SEC-14).
func reword(f headerField, value func(name, value string) string) (headerField, error) {
	if value == nil || !reworded(f.name) {
		return f, nil
	}
	old := f.value()
	if !isStructured(f.name) {
		old = mail.DecodeText(old)
	}
	changed := value(f.name, old)
	if changed == old {
		return f, nil
	}
	var w fieldWriter
	text, err := customValue(Field{f.name, changed})
	if err != nil {
		return f, err
	}
	w.put("h:"+f.name, f.name, text)
	if w.err != nil {
		return f, w.err
	}
	return w.fields[0], nil
}

// A wording is a text leaf that may get other words. Nothing of it is written before its end, since
// its header depends on its body.
type wording struct {
	part    *part
	raw     []byte       // its body as it stands
	octets  bytes.Buffer // the same, decoded
	decoder io.WriteCloser
}

// wordable reports whether the leaf is a text of the message that nothing forbids to change. A
// message that is not MIME has one: us-ascii, or what its writer took for that.
func wordable(p *part) bool {
	bare := p.index == 0 && p.fields.count("Content-Type")+p.fields.count("Content-Transfer-Encoding") == 0
	return strings.HasPrefix(p.media, "text/") && !p.attachment() && !p.nested && (!p.sealed || bare)
}

func newWording(p *part) *wording {
	w := &wording{part: p}
	w.decoder = newDecoder(p.encoding, &w.octets)
	return w
}

// hold keeps octets of a leaf whose words may change. A text too long for that is let go.
func (r *rewriter) hold(b []byte) error {
	w := r.wording
	w.raw = append(w.raw, b...)
	if _, err := w.decoder.Write(b); err != nil || w.octets.Len() <= MaxViewText {
		return err
	}
	if r.longText != nil {
		return r.longText
	}
	r.wording = nil
	if err := r.begin(w.part); err != nil {
		return err
	}
	return r.body(w.part, w.raw)
}

// text returns the text in UTF-8; ok is false if its characters are not known for certain.
func (w *wording) text() (s string, ok bool) {
	if w.decoder.Close() != nil {
		return "", false
	}
	charset := w.part.params["charset"]
	if charset == "" || strings.EqualFold(charset, "us-ascii") || strings.EqualFold(charset, "utf-8") {
		s = w.octets.String()
		return s, utf8.ValidString(s)
	}
	if !mail.KnownCharset(charset) { // in UTF-7, say, ASCII octets are other characters
		return "", false
	}
	decoded, err := io.ReadAll(mail.CharsetReader(charset, &w.octets))
	return string(decoded), err == nil && utf8.Valid(decoded) && !bytes.ContainsRune(decoded, utf8.RuneError)
}

// fieldsFor returns the fields of a leaf whose text is from now on UTF-8 in the given encoding.
func (w *wording) fieldsFor(fields header, encoding string) (header, error) {
	fixed, err := fixFields(fields)
	if err != nil {
		return nil, err
	}
	list := []param{{"charset", "utf-8"}}
	for _, p := range sortedParams(w.part.params) {
		if p.name != "charset" {
			list = append(list, p)
		}
	}
	raw, _ := appendField(nil, "Content-Type", mediaValue(w.part.media, list...))
	field := headerField{"Content-Type", raw}
	var out header
	placed := false
	for _, f := range fixed {
		if !f.is("Content-Type") {
			out = append(out, f)
		} else if !placed {
			out, placed = append(out, field), true
		}
	}
	if !placed {
		out = append(out, field)
	}
	if w.part.index == 0 && out.count("MIME-Version") == 0 {
		out = append(out, headerField{"MIME-Version", []byte("MIME-Version: 1.0\r\n")})
	}
	return setEncoding(out, encoding), nil
}

// endWording writes a text leaf, with other words if it gets any.
func (r *rewriter) endWording() error {
	w := r.wording
	r.wording = nil
	text, ok := w.text()
	if !ok {
		return r.writeLeaf(w)
	}
	changed, err := r.text(w.part.media, text)
	if err != nil {
		return err
	}
	if changed == text {
		return r.writeLeaf(w)
	}
	encoding := textEncoding(changed, true)
	fields := w.part.fields
	if w.part.index == 0 {
		fields = r.fields
	}
	if fields, err = w.fieldsFor(fields, encoding); err != nil {
		return err
	}
	if err := r.writeFields(fields); err != nil {
		return err
	}
	enc := newEncoder(encoding, r.w)
	if _, err := io.Copy(&textWriter{w: enc}, struct{ io.Reader }{strings.NewReader(changed)}); err != nil {
		return err
	}
	return enc.Close()
}

// writeLeaf writes a leaf by the plan, as if it had never been held back.
func (r *rewriter) writeLeaf(w *wording) error {
	if err := r.begin(w.part); err != nil {
		return err
	}
	if err := r.body(w.part, w.raw); err != nil {
		return err
	}
	return r.end(w.part)
}
