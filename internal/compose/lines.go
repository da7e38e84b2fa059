package compose

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// A canonical reads a message and gives it with CRLF line ends only, the last
// line ended too. Bare CR and NUL are refused, and so is LF at the submission
// door (SEC-01). At the API door a message may use LF, if it does so throughout:
// SDKs send files as they lie on the disk. A mixture is refused, because two
// programs could see different lines in it.
type canonical struct {
	src     io.Reader
	lenient bool // LF throughout is allowed

	style   lineStyle
	in      []byte
	out     []byte // canonical octets not yet read
	spent   int    // of out
	cr      bool   // the last octet of in was a CR, not yet in out
	open    bool   // the last line has no end yet
	changed bool   // what was read is not what came in
	size    int64  // octets that came in
	err     error

	buffers *readBuffers
}

type lineStyle uint8

const (
	noLineYet lineStyle = iota
	crlf
	lf
)

// buffers holds what one reading of a message needs. Every message is read twice, and
// without it the buffers would be most of what accepting a message allocates.
var buffers = sync.Pool{New: func() any {
	return &readBuffers{in: make([]byte, 32<<10), lines: bufio.NewReaderSize(nil, longestPiece+2)}
}}

type readBuffers struct {
	in, out []byte
	lines   *bufio.Reader
}

func newCanonical(r io.Reader, door Door) *canonical {
	b := buffers.Get().(*readBuffers)
	return &canonical{src: r, lenient: door == API, in: b.in, out: b.out[:0], buffers: b}
}

// Read implements io.Reader.
func (c *canonical) Read(p []byte) (int, error) {
	for c.spent == len(c.out) {
		if c.err != nil {
			return 0, c.err
		}
		c.out, c.spent = c.out[:0], 0
		n, err := c.src.Read(c.in)
		c.size += int64(n)
		if e := c.take(c.in[:n]); e != nil {
			c.err = e
		} else if err != nil {
			c.err = c.finish(err)
		}
	}
	n := copy(p, c.out[c.spent:])
	c.spent += n
	return n, nil
}

// take checks the next octets and appends them to out.
func (c *canonical) take(p []byte) error {
	if bytes.IndexByte(p, 0) >= 0 {
		return malformed("message holds a NUL octet")
	}
	for len(p) > 0 {
		if c.cr {
			if p[0] != '\n' {
				return malformed("message holds a carriage return without line feed")
			}
			c.cr = false
			if err := c.lineEnd(crlf); err != nil {
				return err
			}
			p = p[1:]
			continue
		}
		line, rest, ended := p, []byte(nil), false
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			line, rest, ended = p[:i], p[i+1:], true
		}
		if i := bytes.IndexByte(line, '\r'); i >= 0 { // its LF must follow; seen above
			c.add(line[:i])
			c.cr, p = true, p[i+1:]
			continue
		}
		c.add(line)
		if ended {
			if err := c.lineEnd(lf); err != nil {
				return err
			}
		}
		p = rest
	}
	return nil
}

func (c *canonical) add(line []byte) {
	if len(line) > 0 {
		c.out, c.open = append(c.out, line...), true
	}
}

func (c *canonical) lineEnd(style lineStyle) error {
	if c.style == noLineYet {
		c.style = style
	}
	switch {
	case style == lf && !c.lenient:
		return malformed("message holds a line feed without carriage return")
	case style != c.style:
		return malformed("message mixes line ends CRLF and LF")
	}
	c.changed = c.changed || style == lf
	c.out, c.open = append(c.out, '\r', '\n'), false
	return nil
}

func (c *canonical) finish(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if c.cr {
		return malformed("message holds a carriage return without line feed")
	}
	if c.open {
		c.out, c.open, c.changed = append(c.out, '\r', '\n'), false, true
	}
	return io.EOF
}

// A lineReader gives canonical octets line by line, long lines in pieces.
type lineReader struct {
	r      *bufio.Reader
	octets *canonical
	start  bool // the next piece begins a line
	last   piece
	again  bool // give last once more
}

// A piece is a line, or a part of one that is too long to be held.
type piece struct {
	data  []byte // with CRLF if it ends the line; valid until the next call
	start bool   // begins a line
	end   bool   // ends it
}

// longestPiece must hold the longest line that is looked at as a whole.
const longestPiece = MaxField

// newLineReader returns a reader of c's lines. Close it when no piece is needed
// any more.
func newLineReader(c *canonical) *lineReader {
	c.buffers.lines.Reset(c)
	return &lineReader{r: c.buffers.lines, octets: c, start: true}
}

// close gives the buffers back. Neither l nor a piece of it may be used after.
func (l *lineReader) close() {
	b := l.octets.buffers
	b.out = l.octets.out
	b.lines.Reset(nil)
	*l.octets, *l = canonical{size: l.octets.size}, lineReader{}
	buffers.Put(b)
}

// next gives the next piece, io.EOF after the last.
func (l *lineReader) next() (piece, error) {
	if l.again {
		l.again = false
		return l.last, nil
	}
	data, err := l.r.ReadSlice('\n')
	p := piece{data: data, start: l.start, end: err == nil}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		if n := len(data) - 1; data[n] == '\r' { // keep a line end in one piece
			if err := l.r.UnreadByte(); err != nil {
				return piece{}, err
			}
			p.data = data[:n]
		}
	case err != nil:
		return piece{}, err // canonical octets end with a line: nothing is left in data
	}
	l.start, l.last = p.end, p
	return p, nil
}

// unread makes next give the last piece once more.
func (l *lineReader) unread() { l.again = true }

// blank reports whether the piece is an empty line.
func (p piece) blank() bool { return p.start && len(p.data) == 2 && p.end }
