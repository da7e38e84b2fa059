package compose

import "io"

// Where a quoted-printable line may end early: behind white space or a tag, once it is this long.
const qpEarly = 56

// A qpWriter writes text as quoted-printable (RFC 2045 section 6.7): every line end, be it CR, LF
// or both, as CRLF, its own lines at most 76 octets long.
//
// It ends its lines by preference where words and tags end. People who look at a message's source
// can read it then; and two texts that differ in one word get the same lines again soon
// behind it, which is what lets the copies of a newsletter be stored as one.
type qpWriter struct {
	w     io.Writer
	col   int
	blank byte // white space held back: at the end of a line it has to be encoded; 0: none
	soft  bool // a good place for the end of a line
	cr    bool // the last octet was a CR
	buf   []byte
}

func (q *qpWriter) Write(p []byte) (int, error) {
	q.buf = q.buf[:0]
	for _, c := range p {
		q.octet(c)
	}
	if _, err := q.w.Write(q.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (q *qpWriter) octet(c byte) {
	if c == '\n' && q.cr {
		q.cr = false // its line end is written
		return
	}
	q.cr = c == '\r'
	if c == '\n' || c == '\r' {
		q.endBlank()
		q.buf = append(q.buf, '\r', '\n')
		q.col, q.soft = 0, false
		return
	}
	if q.blank != 0 {
		q.put(q.blank)
		q.soft = q.col >= qpEarly
		q.blank = 0
	}
	switch {
	case c == ' ' || c == '\t':
		q.blank = c
	case c == '=' || c < ' ' || c > '~':
		q.put('=', upperHex[c>>4], upperHex[c&15])
	default:
		q.put(c)
		q.soft = c == '>' && q.col >= qpEarly
	}
}

const upperHex = "0123456789ABCDEF"

// put writes what must not be torn apart, on a new line if this one is full.
func (q *qpWriter) put(octets ...byte) {
	if q.soft || q.col+len(octets) > encodedLine-1 {
		q.buf = append(q.buf, '=', '\r', '\n')
		q.col, q.soft = 0, false
	}
	q.buf = append(q.buf, octets...)
	q.col += len(octets)
}

// endBlank writes white space that turned out to be the last of its line.
func (q *qpWriter) endBlank() {
	if q.blank != 0 {
		q.put('=', upperHex[q.blank>>4], upperHex[q.blank&15])
		q.blank = 0
	}
}

// Close writes what is left; it does not close w.
func (q *qpWriter) Close() error {
	q.buf = q.buf[:0]
	q.endBlank()
	_, err := q.w.Write(q.buf)
	return err
}
