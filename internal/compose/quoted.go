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
	for i := 0; i < len(p); {
		// Most octets stand for themselves: take them in runs.
		n := 0
		for i+n < len(p) && qpOrdinary[p[i+n]] {
			n++
		}
		if n == 0 {
			q.octet(p[i])
			i++
			continue
		}
		q.run(p[i : i+n])
		i += n
	}
	if _, err := q.w.Write(q.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// qpOrdinary are the octets that stand for themselves wherever they are, and behind which no line
// ends early.
var qpOrdinary = func() (t [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = c != '=' && c != '>'
	}
	return t
}()

// run takes ordinary octets.
func (q *qpWriter) run(p []byte) {
	q.cr = false
	q.flushBlank()
	if q.soft {
		q.endLine()
	}
	for len(p) > encodedLine-1-q.col {
		room := encodedLine - 1 - q.col
		q.buf = append(q.buf, p[:room]...)
		p = p[room:]
		q.endLine()
	}
	q.buf = append(q.buf, p...)
	q.col += len(p)
}

// octet takes any octet.
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
	q.flushBlank()
	switch {
	case c == ' ' || c == '\t':
		q.blank = c
	case c == '=' || c < ' ' || c > '~':
		q.encode(c)
	default:
		q.room(1)
		q.buf = append(q.buf, c)
		q.col++
		q.soft = c == '>' && q.col >= qpEarly
	}
}

// flushBlank writes white space that turned out not to be the last of its line.
func (q *qpWriter) flushBlank() {
	if q.blank != 0 {
		q.room(1)
		q.buf = append(q.buf, q.blank)
		q.col++
		q.soft = q.col >= qpEarly
		q.blank = 0
	}
}

const upperHex = "0123456789ABCDEF"

// encode writes an octet by its number.
func (q *qpWriter) encode(c byte) {
	q.room(3)
	q.buf = append(q.buf, '=', upperHex[c>>4], upperHex[c&15])
	q.col += 3
}

// room begins a new line if n octets that must not be torn apart do not fit on this one.
func (q *qpWriter) room(n int) {
	if q.soft || q.col+n > encodedLine-1 {
		q.endLine()
	}
}

// endLine ends a line that does not end in the text.
func (q *qpWriter) endLine() {
	q.buf = append(q.buf, '=', '\r', '\n')
	q.col, q.soft = 0, false
}

// endBlank writes white space that turned out to be the last of its line.
func (q *qpWriter) endBlank() {
	if q.blank != 0 {
		q.encode(q.blank)
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
