package compose

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

// fixField returns a submitted field as it may travel. Most fields do as they
// are, octet by octet. One with octets above 127 is encoded, so that the message
// needs no SMTPUTF8 on its way, if what it holds can be encoded at all; one with a line too
// long is folded.
func fixField(f headerField) (headerField, error) {
	foreign := has8Bit(f.raw)
	if !foreign && !f.longLine() {
		return f, nil
	}
	value := f.value()
	if !utf8.ValidString(value) {
		return f, malformed("header field %s is neither ASCII nor UTF-8", f.name)
	}
	if foreign {
		value = encodeValue(f.name, value)
	}
	raw, fits := appendField(nil, f.name, value)
	if !fits { // there was no white space to fold at
		raw, fits = appendField(nil, f.name, encodeValue(f.name, value))
	}
	if !fits {
		return f, malformed("header field %s has a line longer than %d octets", f.name, MaxLine)
	}
	return headerField{f.name, raw}, nil
}

// encodeValue returns the value of a field in ASCII, with white space to fold
// at, as far as the field allows it.
func encodeValue(name, value string) string {
	switch {
	case isAddressField(name):
		if list, err := mail.ParseMailboxList(value, MaxField); err == nil {
			return joinMailboxes(list)
		}
	case strings.EqualFold(name, "Content-Type"), strings.EqualFold(name, "Content-Disposition"):
		if media, params, ok := parseMedia(value); ok {
			return mediaValue(media, sortedParams(params)...)
		}
	case strings.EqualFold(name, variablesField):
		return foldableJSON(value)
	case !isStructured(name):
		if text, ok := unstructured(value); ok {
			return text
		}
	}
	return value
}

// sortedParams returns the parameters with file names made harmless.
func sortedParams(params map[string]string) []param {
	var list []param
	for name, value := range params {
		if name == "name" || name == "filename" {
			value = fileName(params, name)
		}
		list = append(list, param{name, value})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list
}

// A surveyor is the visitor that plans what has to happen to a body. It is a
// collector as well.
type surveyor struct {
	collector
	plan *bodyPlan

	line   int   // octets of the line so far
	long   bool  // the leaf has a line that is too long
	eight  int64 // octets above 127 in it
	octets int64
	html   bool // there is HTML whose words may change
}

func (s *surveyor) header(p *part) error {
	s.html = s.html || p.media == "text/html" && wordable(p)
	s.line, s.long, s.eight, s.octets = 0, false, 0, 0
	if p.index > 0 {
		if err := s.partHeader(p); err != nil {
			return err
		}
	}
	return s.collector.header(p)
}

// partHeader looks at the header of a part as it stands, and tries how it would
// be written anew if it has to be.
func (s *surveyor) partHeader(p *part) error {
	eight, long := has8Bit(p.raw), headerField{raw: p.raw}.longLine()
	switch {
	case !eight && !long:
	case !p.sealed:
		fields, err := fixFields(p.fields)
		if err != nil {
			return err
		}
		s.plan.headers[p.index] = true
		s.plan.needUTF8 = s.plan.needUTF8 || fields.needsUTF8()
	case long:
		return tooLong()
	default:
		s.plan.needUTF8 = true
	}
	return nil
}

func fixFields(h header) (header, error) {
	var out header
	for _, f := range h {
		fixed, err := fixField(f)
		if err != nil {
			return nil, err
		}
		out = append(out, fixed)
	}
	return out, nil
}

func tooLong() error {
	return malformed("message has a line longer than %d octets in a part that must not be changed", MaxLine)
}

func (s *surveyor) body(p *part, b []byte) error {
	s.measure(b)
	return s.collector.body(p, b)
}

// measure counts; b is a line end or holds none.
func (s *surveyor) measure(b []byte) (long, eight bool) {
	s.octets += int64(len(b))
	if string(b) == "\r\n" {
		s.line = 0
		return false, false
	}
	s.line += len(b)
	long = s.line > MaxLine
	for _, c := range b {
		if c >= 0x80 {
			s.eight++
			eight = true
		}
	}
	s.long = s.long || long
	return long, eight
}

func (s *surveyor) end(p *part) error {
	if s.long || s.eight > 0 {
		if encoding := s.newEncoding(p); encoding != "" {
			s.plan.encode[p.index] = encoding
		} else if s.long {
			return tooLong()
		} else {
			s.plan.need8Bit = true
		}
	}
	s.line = 0
	return s.collector.end(p)
}

// newEncoding chooses the transfer encoding a leaf gets, "" if it must stay as
// it is (SEC-17; RFC 2046 section 5.2 forbids to encode messages).
func (s *surveyor) newEncoding(p *part) string {
	text := strings.HasPrefix(p.media, "text/")
	switch {
	case p.sealed, strings.HasPrefix(p.media, "message/"):
		return ""
	case !identity(p.encoding) && p.encoding != "base64" && p.encoding != "quoted-printable":
		return ""
	case !text, p.encoding == "base64", s.eight > s.octets/6:
		return "base64"
	}
	return "quoted-printable"
}

func (s *surveyor) delimiter(m *part, b []byte) error {
	// A line end that leads the delimiter ends the line before.
	s.line = 0
	if line := strings.Trim(string(b), "\r\n"); m.sealed && len(line) > MaxLine {
		return tooLong()
	}
	return s.collector.delimiter(m, b)
}

func (s *surveyor) noise(m *part, b []byte) error {
	long, eight := s.measure(b)
	switch {
	case !long && !eight:
	case !m.sealed:
		s.plan.dropNoise = true
	case long:
		return tooLong()
	default:
		s.plan.need8Bit = true
	}
	return s.collector.noise(m, b)
}

// setEncoding returns the fields with the given Content-Transfer-Encoding.
func setEncoding(h header, encoding string) header {
	const name = "Content-Transfer-Encoding"
	field := headerField{name, fmt.Appendf(nil, "%s: %s\r\n", name, encoding)}
	var out header
	for _, f := range h {
		if !f.is(name) {
			out = append(out, f)
		} else if field.name != "" {
			out = append(out, field)
			field.name = ""
		}
	}
	if field.name != "" {
		out = append(out, field)
	}
	return out
}
