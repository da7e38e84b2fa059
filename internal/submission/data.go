package submission

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

var (
	// errLineEnd: a bare CR, a bare LF or a NUL. Where one is, two servers may see the
	// end of the message in two places (SEC-01), so nothing after it can be believed.
	errLineEnd = errors.New("message holds a bare CR, a bare LF or a NUL")
	errDataEOF = errors.New("connection ended within the message")
	errFlood   = errors.New("message is far larger than allowed")
)

// A dataReader reads the content of one message after DATA (RFC 5321 section
// 4.1.1.4): up to CRLF.CRLF, which it takes off, with leading dots undone. It gives
// io.EOF only there. Any other error is final for the session.
type dataReader struct {
	r     *bufio.Reader
	limit int64 // octets read before it gives up

	read int64
	rest []byte // of the current piece, not yet given out
	mid  bool   // the next piece goes on with a line
	cr   bool   // the last octet of the last piece was a CR
	err  error
}

func newDataReader(r *bufio.Reader, limit int64) *dataReader { return &dataReader{r: r, limit: limit} }

// Read implements io.Reader.
func (d *dataReader) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.rest, d.err = d.next()
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// next returns the next piece: a line, or as much of one as the buffer holds. A
// line that starts a piece is whole up to the size of the buffer, so the dot that
// ends the message is never cut in two.
func (d *dataReader) next() ([]byte, error) {
	piece, err := d.r.ReadSlice('\n')
	if err == io.EOF {
		return nil, errDataEOF
	}
	if err != nil && err != bufio.ErrBufferFull {
		return nil, err
	}
	if d.read += int64(len(piece)); d.read > d.limit {
		return nil, errFlood
	}
	if !d.clean(piece) {
		return nil, errLineEnd
	}
	starts := !d.mid
	d.mid = piece[len(piece)-1] != '\n'
	if starts && piece[0] == '.' {
		if bytes.Equal(piece, []byte(".\r\n")) {
			return nil, io.EOF
		}
		piece = piece[1:]
	}
	return piece, nil
}

// clean reports whether CR and LF stand in the piece only as CRLF, and NUL not
// at all. A CR at the very end waits for the next piece.
func (d *dataReader) clean(piece []byte) bool {
	if bytes.IndexByte(piece, 0) >= 0 {
		return false
	}
	body, ends := bytes.CutSuffix(piece, []byte{'\n'}) // LF can only be last
	if d.cr {
		d.cr = false
		return ends && len(body) == 0
	}
	if ends {
		body, ends = bytes.CutSuffix(body, []byte{'\r'})
		return ends && bytes.IndexByte(body, '\r') < 0
	}
	at := bytes.IndexByte(body, '\r')
	d.cr = at == len(body)-1 && at >= 0
	return at < 0 || d.cr
}

// drain reads to the end of the message after its reader lost interest.
func (d *dataReader) drain() error {
	d.rest = nil
	for d.err == nil {
		_, d.err = d.next()
	}
	if d.err == io.EOF {
		return nil
	}
	return d.err
}
