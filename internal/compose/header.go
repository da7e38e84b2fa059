package compose

import (
	"bytes"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A headerField is one field as it stands in a message.
type headerField struct {
	name string
	raw  []byte // from the name to the last CRLF
}

// value returns what follows the colon, unfolded, without white space around it.
func (f headerField) value() string {
	v := f.raw[len(f.name)+1:]
	if bytes.Count(v, []byte("\r\n")) > 1 {
		v = bytes.ReplaceAll(v, []byte("\r\n"), nil)
	}
	return strings.Trim(string(v), " \t\r\n")
}

func (f headerField) is(name string) bool { return strings.EqualFold(f.name, name) }

// longLine reports whether a line of the field is longer than a line may be.
func (f headerField) longLine() bool {
	if len(f.raw) <= MaxLine+2 {
		return false
	}
	for line := range bytes.SplitSeq(f.raw, []byte("\r\n")) {
		if len(line) > MaxLine {
			return true
		}
	}
	return false
}

func has8Bit(p []byte) bool {
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// A header is the fields of one header section.
type header []headerField

// get returns the value of the first field of the name, or "".
func (h header) get(name string) string {
	for _, f := range h {
		if f.is(name) {
			return f.value()
		}
	}
	return ""
}

// count returns how many fields have the name.
func (h header) count(name string) int {
	n := 0
	for _, f := range h {
		if f.is(name) {
			n++
		}
	}
	return n
}

func (h header) size() int {
	n := 0
	for _, f := range h {
		n += len(f.raw)
	}
	return n
}

// A headerScanner collects the lines of one header section.
type headerScanner struct {
	fields header
	size   int
	broken bool // a line was no part of any field
}

// add takes the next piece of a header line.
func (s *headerScanner) add(p piece) error {
	if s.size += len(p.data); s.size > MaxHeader {
		return malformed("header section is larger than %d octets", MaxHeader)
	}
	if !p.start { // the buffer holds a line of the size of a field
		return malformed("header field is larger than %d octets", MaxField)
	}
	last := len(s.fields) - 1
	if c := p.data[0]; c == ' ' || c == '\t' {
		switch {
		case last < 0:
			s.broken = true
		case len(bytes.Trim(p.data, " \t\r\n")) == 0: // says nothing, and some take it for the end of the header
		case len(s.fields[last].raw)+len(p.data) > MaxField:
			return malformed("header field is larger than %d octets", MaxField)
		default:
			s.fields[last].raw = append(s.fields[last].raw, p.data...)
		}
		return nil
	}
	n := bytes.IndexByte(p.data, ':')
	if n <= 0 || !isFieldName(p.data[:n]) {
		s.broken = true
		return nil
	}
	if len(p.data) > MaxField || !p.end {
		return malformed("header field is larger than %d octets", MaxField)
	}
	if len(s.fields) == MaxFields {
		return malformed("header section has more than %d fields", MaxFields)
	}
	s.fields = append(s.fields, headerField{name: string(p.data[:n]), raw: bytes.Clone(p.data)})
	return nil
}

// isFieldName reports whether name may stand before the colon (RFC 5322 section
// 2.2). White space before the colon, which RFC 5322 only tolerates, is not let
// through: not everybody sees the same field then (SEC-16).
func isFieldName[T string | []byte](name T) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return len(name) > 0
}

const foldAt = 78 // RFC 5322 section 2.1.1

// appendField appends a field to dst, folded at white space. Value is ASCII or
// UTF-8 without line ends. It returns false if a line came out longer than 998
// octets because there was no white space to fold at, the name included.
func appendField(dst []byte, name, value string) ([]byte, bool) {
	dst = append(append(dst, name...), ':')
	col := len(name) + 1
	fits := col <= MaxLine
	for first := true; value != ""; first = false {
		blanks := len(value) - len(strings.TrimLeft(value, " \t"))
		n := strings.IndexAny(value[blanks:], " \t")
		if n < 0 {
			n = len(value) - blanks
		}
		if n == 0 { // white space at the end
			break
		}
		word := value[:blanks+n]
		value = value[blanks+n:]
		if first && blanks == 0 {
			word = " " + word
		}
		// The first word stays beside the name: some programs stumble over a
		// field whose first line is empty. Encoded words have a limit of their own.
		full := col+len(word) > foldAt
		if full && (!first || strings.Contains(word, "=?") || col+len(word) > MaxLine) {
			dst = append(dst, '\r', '\n')
			col = 0
		}
		dst = append(dst, word...)
		if col += len(word); col > MaxLine {
			fits = false
		}
	}
	return append(dst, '\r', '\n'), fits
}

// unstructured prepares the value of a field without structure (RFC 5322 section 2.2.1):
// encoded words in it are understood, and set where they are needed. It returns
// false if the value holds, or hides, a control character.
func unstructured(value string) (string, bool) {
	decoded := mail.DecodeText(value)
	if strings.ContainsFunc(decoded, isC0) {
		return "", false
	}
	if isPlain(decoded) && (decoded == value || !strings.Contains(decoded, "=?")) {
		return decoded, true
	}
	return mail.EncodeText(decoded), true
}

// isPlain reports whether s can stand in a header as it is.
func isPlain(s string) bool {
	word := 0
	for i := range len(s) {
		if s[i] >= 0x7f || s[i] < ' ' && s[i] != '\t' {
			return false
		}
		if word++; s[i] == ' ' {
			word = 0
		}
		if word > MaxLine-100 {
			return false
		}
	}
	return true
}

// isC0 reports whether r must not come near a header (SEC-14). The tab is white
// space there.
func isC0(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// clean makes decoded text from a header fit for logs and views.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if mail.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}
