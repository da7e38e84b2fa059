package compose

import (
	"encoding/base64"
	"io"
)

// encodedLine is how long lines of base64 are (RFC 2045 section 6.8).
const encodedLine = 76

// newBase64Writer returns a writer that writes base64 in lines of 76 to w, the
// last without line end. Close writes what is left; it does not close w.
func newBase64Writer(w io.Writer) io.WriteCloser {
	return base64.NewEncoder(base64.StdEncoding, &lineWrapper{w: w})
}

// A lineWrapper puts a line end after every 76 octets that others follow.
type lineWrapper struct {
	w   io.Writer
	col int
	buf []byte
}

func (l *lineWrapper) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for rest := p; len(rest) > 0; {
		if l.col == encodedLine {
			l.buf, l.col = append(l.buf, '\r', '\n'), 0
		}
		n := min(encodedLine-l.col, len(rest))
		l.buf = append(l.buf, rest[:n]...)
		rest, l.col = rest[n:], l.col+n
	}
	if _, err := l.w.Write(l.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A textWriter writes text with every line end, be it CR, LF or both, as CRLF.
type textWriter struct {
	w   io.Writer
	cr  bool // the last octet was a CR
	buf []byte
}

func (t *textWriter) Write(p []byte) (int, error) {
	t.buf = t.buf[:0]
	for _, c := range p {
		switch {
		case c == '\n' && t.cr: // its line end is written
		case c == '\n', c == '\r':
			t.buf = append(t.buf, '\r', '\n')
		default:
			t.buf = append(t.buf, c)
		}
		t.cr = c == '\r'
	}
	if _, err := t.w.Write(t.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// An output counts what it passes on, and knows whether the last line has ended.
type output struct {
	w    io.Writer
	size int64
	tail [2]byte // the last octets
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.size += int64(n)
	switch {
	case n >= 2:
		o.tail = [2]byte(p[n-2 : n])
	case n == 1:
		o.tail = [2]byte{o.tail[1], p[0]}
	}
	return n, err
}

// endLine ends the last line.
func (o *output) endLine() error {
	if o.tail == [2]byte{'\r', '\n'} {
		return nil
	}
	_, err := io.WriteString(o, "\r\n")
	return err
}

// newEncoder returns a writer of the given transfer encoding.
func newEncoder(encoding string, w io.Writer) io.WriteCloser {
	switch encoding {
	case "base64":
		return newBase64Writer(w)
	case "quoted-printable":
		return &qpWriter{w: w}
	}
	return nopCloser{w}
}

// newDecoder returns a writer that decodes the given transfer encoding into w.
// It bears what careless senders write and never refuses: octets that belong to
// no encoding are passed by (base64) or through (quoted-printable, anything
// else). Only w's errors come back. Close decodes what is left.
func newDecoder(encoding string, w io.Writer) io.WriteCloser {
	switch encoding {
	case "base64":
		return &base64Decoder{w: w}
	case "quoted-printable":
		return &qpDecoder{w: w}
	}
	return nopCloser{w}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// A base64Decoder decodes groups of four characters; a shorter group at the end
// or before padding gives the octets it holds.
type base64Decoder struct {
	w     io.Writer
	bits  uint32
	chars int // in bits
	out   []byte
}

// base64Values are the six bits of each character, 255 for all others.
var base64Values = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = 255
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

func (d *base64Decoder) Write(p []byte) (int, error) {
	d.out = d.out[:0]
	for _, c := range p {
		v := base64Values[c]
		if v == 255 {
			if c == '=' {
				d.endGroup()
			}
			continue
		}
		d.bits = d.bits<<6 | uint32(v)
		if d.chars++; d.chars == 4 {
			d.out = append(d.out, byte(d.bits>>16), byte(d.bits>>8), byte(d.bits))
			d.bits, d.chars = 0, 0
		}
	}
	if _, err := d.w.Write(d.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// endGroup takes the octets of an incomplete group.
func (d *base64Decoder) endGroup() {
	switch d.chars {
	case 2:
		d.out = append(d.out, byte(d.bits>>4))
	case 3:
		d.out = append(d.out, byte(d.bits>>10), byte(d.bits>>2))
	}
	d.bits, d.chars = 0, 0
}

func (d *base64Decoder) Close() error {
	d.out = d.out[:0]
	d.endGroup()
	_, err := d.w.Write(d.out)
	return err
}

// A qpDecoder decodes quoted-printable. What could be white space at the end of
// a line, or the beginning of "=XX", is held until the next octets show it.
type qpDecoder struct {
	w    io.Writer
	held []byte // white space, or "=" with up to one digit or white space behind it
	out  []byte
}

func (d *qpDecoder) Write(p []byte) (int, error) {
	d.out = d.out[:0]
	for _, c := range p {
		d.octet(c)
	}
	if _, err := d.w.Write(d.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *qpDecoder) octet(c byte) {
	escape := len(d.held) > 0 && d.held[0] == '='
	// A "=" with nothing but white space behind it is a soft line break so far.
	soft := escape && (len(d.held) == 1 || isBlank(d.held[1]))
	switch {
	case c == '\n' && soft:
		d.held = d.held[:0]
	case c == '\n' && !escape: // white space before it was added in transit
		d.held = d.held[:0]
		d.out = append(d.out, '\r', '\n')
	case isBlank(c) && (soft || !escape) && len(d.held) < MaxLine:
		d.held = append(d.held, c)
	case isHex(c) && escape && len(d.held) == 1:
		d.held = append(d.held, c)
	case isHex(c) && escape && !soft:
		hi, _ := unhex(d.held[1])
		lo, _ := unhex(c)
		d.out, d.held = append(d.out, hi<<4|lo), d.held[:0]
	case len(d.held) > 0: // it was nothing of the kind
		d.out, d.held = append(d.out, d.held...), d.held[:0]
		d.octet(c)
	case c == '=':
		d.held = append(d.held, c)
	default:
		d.out = append(d.out, c)
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func isHex(c byte) bool {
	_, ok := unhex(c)
	return ok
}

func (d *qpDecoder) Close() error {
	d.out = append(d.out[:0], d.held...)
	d.held = d.held[:0]
	_, err := d.w.Write(d.out)
	return err
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
