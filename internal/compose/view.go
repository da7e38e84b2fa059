package compose

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

// ErrNoAttachment is what [ExtractAttachment] returns for a number that the
// message has no attachment for.
var ErrNoAttachment = errors.New("message has no such attachment")

// A View is a message taken apart for reading. Texts are valid UTF-8; they are
// foreign and may hold anything, markup and scripts included.
type View struct {
	Headers   []Field // in order, unfolded, decoded, without control characters
	BodyPlain string  // text/plain that is no attachment; several parts follow each other
	BodyHTML  string  // the same for text/html
	// StrippedText is BodyPlain up to the signature, without quoted lines.
	StrippedText string
	// StrippedHTML is BodyHTML: finding quotations in markup is guesswork that
	// we leave alone.
	StrippedHTML      string
	StrippedSignature string       // what follows a line "-- " in BodyPlain
	Attachments       []Attachment // the index is n of ExtractAttachment
	Truncated         bool         // a body was longer than MaxViewText and is cut there
}

// Header returns the decoded value of the first field of the name in any letter
// case, or "".
func (v *View) Header(name string) string {
	for _, f := range v.Headers {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// ReadView takes a message apart, in one pass. Memory is bounded by MaxHeader and
// MaxViewText for each body. A *Refusal says that the message passes a limit of
// this package, which none passes that Compose or Raw.Write wrote.
func ReadView(r io.Reader) (*View, error) {
	lines := newLineReader(newCanonical(r, API))
	defer lines.close()
	h, err := readHeader(lines)
	if err != nil {
		return nil, err
	}
	v := &View{}
	for _, f := range h {
		v.Headers = append(v.Headers, Field{f.name, clean(mail.DecodeText(f.value()))})
	}
	var plain, html viewText
	c := &collector{text: func(p *part) io.Writer {
		switch p.media {
		case "text/plain":
			return plain.open(p.params["charset"])
		case "text/html":
			return html.open(p.params["charset"])
		}
		return nil
	}}
	if err := walk(lines, h, c); err != nil {
		return nil, err
	}
	if err := c.endMessage(); err != nil {
		return nil, err
	}
	v.BodyPlain, v.BodyHTML = plain.String(), html.String()
	v.Truncated = plain.truncated || html.truncated
	v.StrippedText, v.StrippedSignature = stripQuotes(v.BodyPlain)
	v.StrippedHTML = v.BodyHTML
	v.Attachments = c.attachments
	return v, nil
}

// A viewText takes the octets of text parts, up to MaxViewText in all.
type viewText struct {
	parts []*viewPart
	size  int

	truncated bool
}

type viewPart struct {
	of      *viewText
	charset string
	octets  []byte
}

func (t *viewText) open(charset string) io.Writer {
	p := &viewPart{of: t, charset: charset}
	t.parts = append(t.parts, p)
	return p
}

func (p *viewPart) Write(b []byte) (int, error) {
	n := min(len(b), MaxViewText-p.of.size)
	p.octets = append(p.octets, b[:n]...)
	p.of.size += n
	p.of.truncated = p.of.truncated || n < len(b)
	return len(b), nil
}

// String returns the text. Octets without a character set that are not UTF-8 are
// taken for windows-1252, which is what careless senders mean.
func (t *viewText) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		charset := p.charset
		if (charset == "" || strings.EqualFold(charset, "us-ascii")) && !utf8.Valid(p.octets) {
			charset = "windows-1252"
		}
		decoded, err := io.ReadAll(mail.CharsetReader(charset, bytes.NewReader(p.octets)))
		if err != nil {
			decoded = p.octets
		}
		b.WriteString(strings.ToValidUTF8(string(decoded), "\uFFFD"))
	}
	return b.String()
}

// stripQuotes returns what the writer of a reply wrote: without the signature
// (RFC 3676 section 4.3), the lines quoted with ">", and the line that leads them.
func stripQuotes(text string) (stripped, signature string) {
	lines := strings.SplitAfter(text, "\n")
	var kept []string
	for i, line := range lines {
		bare := strings.TrimRight(line, "\r\n")
		if bare == "-- " || bare == "--" {
			signature = strings.TrimSpace(strings.Join(lines[i+1:], ""))
			break
		}
		if strings.HasPrefix(bare, ">") {
			for n := len(kept); n > 0; n = len(kept) { // blank lines, then "On … wrote:"
				last := strings.TrimSpace(kept[n-1])
				if last != "" && !strings.HasSuffix(last, ":") {
					break
				}
				kept = kept[:n-1]
				if last != "" {
					break
				}
			}
			continue
		}
		kept = append(kept, line)
	}
	return strings.TrimSpace(strings.Join(kept, "")), signature
}

// ExtractAttachment finds attachment n (from 0, as in View.Attachments), asks
// begin once for a writer, and writes the decoded content to it. The Attachment
// that begin gets does not know its size yet. ErrNoAttachment means that begin
// was not asked; errors of begin and its writer come back as they are.
func ExtractAttachment(r io.Reader, n int, begin func(Attachment) (io.Writer, error)) error {
	lines := newLineReader(newCanonical(r, API))
	defer lines.close()
	h, err := readHeader(lines)
	if err != nil {
		return err
	}
	found := false
	c := &collector{begin: func(i int, a Attachment) (io.Writer, error) {
		if i != n {
			return nil, nil
		}
		found = true
		return begin(a)
	}}
	if err := walk(lines, h, c); err != nil {
		return err
	}
	if err := c.endMessage(); err != nil {
		return err
	}
	if !found {
		return ErrNoAttachment
	}
	return nil
}
