package signing

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"strings"
)

// MaxHeader is the largest header section a Digest takes, in octets.
const MaxHeader = 1 << 20

// ErrHeaderTooLarge is what Write returns when there is no end of the header
// section within MaxHeader octets.
var ErrHeaderTooLarge = errors.New("header section is too large to sign")

// A Digest is an io.Writer that takes a whole message, header and body, with
// CRLF line ends, exactly as it will travel, and keeps what signatures need. It
// holds the header section; the body passes through. Not safe for concurrent use.
type Digest struct {
	header []byte // up to and with the blank line once inBody
	inBody bool
	body   relaxedBody
}

// NewDigest returns the digest of a message of which nothing is known yet.
func NewDigest() *Digest { return &Digest{body: relaxedBody{hash: sha256.New()}} }

// Write takes the next octets of the message. After the first signature the
// message has ended and takes no more.
func (d *Digest) Write(p []byte) (int, error) {
	if d.body.result != nil {
		return 0, errors.New("message has ended")
	}
	if d.inBody {
		d.body.write(p)
		return len(p), nil
	}
	from := max(len(d.header)-3, 0) // the blank line may be cut in two
	room := MaxHeader - len(d.header)
	d.header = append(d.header, p[:min(len(p), room)]...)
	end := -1
	switch i := bytes.Index(d.header[from:], []byte("\r\n\r\n")); {
	case bytes.HasPrefix(d.header, []byte("\r\n")):
		end = 2
	case i >= 0:
		end = from + i + 4
	case len(p) > room:
		return 0, ErrHeaderTooLarge
	default:
		return len(p), nil
	}
	rest := len(d.header) - end + len(p) - min(len(p), room)
	d.header, d.inBody = d.header[:end], true
	d.body.write(p[len(p)-rest:])
	return len(p), nil
}

// fields returns the header fields in order, each with its line ends.
func (d *Digest) fields() []string {
	var list []string
	for line := range strings.SplitAfterSeq(string(d.header), "\r\n") {
		switch {
		case line == "" || line == "\r\n":
		case (line[0] == ' ' || line[0] == '\t') && len(list) > 0:
			list[len(list)-1] += line
		default:
			list = append(list, line)
		}
	}
	return list
}

// relaxedField returns a field as RFC 6376 section 3.4.2 signs it, without the
// line end.
func relaxedField(field string) string {
	name, value, _ := strings.Cut(field, ":")
	value = strings.ReplaceAll(value, "\r\n", "")
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' })
	return strings.ToLower(strings.TrimRight(name, " \t")) + ":" + strings.Join(words, " ")
}

// A relaxedBody hashes a body as RFC 6376 section 3.4.4 says: runs of white
// space are one space, none at the end of a line, no empty lines at the end.
type relaxedBody struct {
	hash  hash.Hash
	cr    bool // the last octet was a CR
	blank bool // white space before what follows
	lines int  // line ends before what follows
	any   bool // something was hashed
	buf   []byte

	result []byte // once the body has ended
}

func (b *relaxedBody) write(p []byte) {
	b.buf = b.buf[:0]
	for len(p) > 0 {
		// Most octets are neither white space nor a line end: take them in runs.
		if n := plainRun(p); n > 0 {
			b.gap()
			b.buf = append(b.buf, p[:n]...)
			p = p[n:]
			continue
		}
		b.space(p[0])
		p = p[1:]
	}
	b.hash.Write(b.buf)
}

func plainRun(p []byte) int {
	for i, c := range p {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return i
		}
	}
	return len(p)
}

// space takes white space or half of a line end.
func (b *relaxedBody) space(c byte) {
	switch {
	case c == '\r':
		b.lone()
		b.cr = true
	case c == '\n' && b.cr:
		b.cr, b.blank = false, false
		b.lines++
	case c == '\n': // without CR it is an octet like others
		b.gap()
		b.buf = append(b.buf, c)
	default:
		b.lone()
		b.blank = true
	}
}

// lone takes a CR that no LF followed.
func (b *relaxedBody) lone() {
	if b.cr {
		b.cr = false
		b.gap()
		b.buf = append(b.buf, '\r')
	}
}

// gap hashes the line ends and the space that turned out not to be the last.
func (b *relaxedBody) gap() {
	b.lone()
	b.any = true
	for ; b.lines > 0; b.lines-- {
		b.buf = append(b.buf, '\r', '\n')
		if len(b.buf) > 64<<10 {
			b.hash.Write(b.buf)
			b.buf = b.buf[:0]
		}
	}
	if b.blank {
		b.buf, b.blank = append(b.buf, ' '), false
	}
}

// sum ends the body and returns its hash. A body that is not empty ends with a
// line end, one of nothing but empty lines is empty.
func (b *relaxedBody) sum() []byte {
	if b.result == nil {
		b.buf = b.buf[:0]
		b.lone()
		b.hash.Write(b.buf)
		if b.any {
			b.hash.Write([]byte("\r\n"))
		}
		b.result = b.hash.Sum(nil)
	}
	return b.result
}
