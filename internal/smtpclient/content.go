package smtpclient

import (
	"bufio"
	"bytes"
	"fmt"
)

// A contentWriter passes content on to a connection, and only as lines: CRLF
// ends one, and CR, LF or NUL anywhere else is an error, so that no server can
// read the end of the message where there is none (SEC-02). With stuff set it
// doubles leading dots (RFC 5321 section 4.5.2).
//
// It holds back the octets of the last line end until more content follows.
// Whatever it was given, the message is not complete before end is called.
type contentWriter struct {
	w     *bufio.Writer
	stuff bool

	n    int64  // octets of content taken
	mid  bool   // within a line
	cr   bool   // the last octet was CR
	held string // octets of a line end, not yet written
}

// Write takes content. The error is ErrContent, or that of the connection.
func (d *contentWriter) Write(p []byte) (int, error) {
	given := len(p)
	d.n += int64(given)
	for len(p) > 0 {
		if d.cr {
			if p[0] != '\n' {
				return 0, contentError("bare CR at octet %d", d.n-int64(len(p)))
			}
			if d.held += "\n"; d.held != "\r\n" {
				d.held = "\n"
			}
			d.cr, d.mid = false, false
			p = p[1:]
			continue
		}
		n, err := d.line(p)
		if err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return given, nil
}

// line takes the first line of p, or what p holds of it.
func (d *contentWriter) line(p []byte) (int, error) {
	end := bytes.IndexByte(p, '\n')
	text := p
	if end >= 0 {
		text = p[:end]
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return 0, contentError("NUL in the line at octet %d", d.n-int64(len(p)))
	}
	cr := bytes.IndexByte(text, '\r')
	switch {
	case end >= 0 && cr < 0:
		return 0, contentError("bare LF in the line at octet %d", d.n-int64(len(p)))
	case cr >= 0 && cr != len(text)-1:
		return 0, contentError("bare CR in the line at octet %d", d.n-int64(len(p)))
	case cr >= 0:
		text = text[:cr]
	}
	if err := d.release(); err != nil {
		return 0, err
	}
	if d.stuff && !d.mid && p[0] == '.' {
		if err := d.w.WriteByte('.'); err != nil {
			return 0, err
		}
	}
	if _, err := d.w.Write(text); err != nil {
		return 0, err
	}
	switch {
	case end >= 0:
		d.mid, d.held = false, "\r\n"
		return end + 1, nil
	case cr >= 0:
		d.mid, d.cr, d.held = true, true, "\r"
	default:
		d.mid = true
	}
	return len(p), nil
}

// release writes what is held back. A BDAT chunk that is not the last ends so.
func (d *contentWriter) release() error {
	_, err := d.w.WriteString(d.held)
	d.held = ""
	return err
}

// check reports whether the content so far is whole lines.
func (d *contentWriter) check() error {
	if d.mid || d.cr {
		return contentError("the last line does not end in CRLF")
	}
	return nil
}

// end writes the octets that complete the message.
func (d *contentWriter) end() error {
	if err := d.check(); err != nil {
		return err
	}
	if err := d.release(); err != nil || !d.stuff {
		return err
	}
	_, err := d.w.WriteString(".\r\n")
	return err
}

func contentError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrContent, fmt.Sprintf(format, args...))
}
