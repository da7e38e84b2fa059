package compose

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
)

// wrappedType is the outermost type of a message that brings its variables with it
// because they are too many for a header field: a multipart of a JSON object and then
// the message proper.
const wrappedType = "multipart/mailgun-variables"

// maxPeek is how much of a message is looked at for that. A header section whose type
// comes later is refused by Inspect.
const maxPeek = 64 << 10

// peekers holds the buffers of Unwrapped messages.
var peekers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxPeek) }}

// An Unwrapped is a message as it was meant. Close it when it was read.
type Unwrapped struct {
	io.Reader        // the message: what was wrapped, or what came
	Variables string // the JSON that came with it; empty: none did

	peeker *bufio.Reader
	lines  *lineReader
}

// Close gives back what reading took. The reader of the message is not its to close.
func (u *Unwrapped) Close() {
	if u.lines != nil {
		u.lines.close()
	}
	u.peeker.Reset(nil)
	peekers.Put(u.peeker)
	*u = Unwrapped{}
}

// Unwrap takes a message out of a multipart/mailgun-variables, with the variables in it, up
// to maxVariables octets of them. Control fields of the wrapping are put in front of the
// fields of the message. Any other message comes out as it came in, octet by octet. A
// *Refusal is the sender's mistake, any other error r's; both may also come while the
// message is read.
func Unwrap(r io.Reader, door Door, maxVariables int) (*Unwrapped, error) {
	u := &Unwrapped{peeker: peekers.Get().(*bufio.Reader)}
	u.peeker.Reset(r)
	u.Reader = u.peeker
	outer := peekWrapping(u.peeker, door)
	if outer == nil {
		return u, nil
	}
	u.lines = newLineReader(newCanonical(u.peeker, door))
	if err := u.unwrap(outer, maxVariables); err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

// unwrap reads up to the message in the second part.
func (u *Unwrapped) unwrap(outer *part, maxVariables int) error {
	w := &wrapping{lines: u.lines, delimiter: "--" + outer.params["boundary"]}
	if _, err := readHeader(u.lines); err != nil {
		return err
	}
	for _, f := range outer.fields {
		if isControlField(f.name) {
			w.out = append(w.out, f.raw...)
		}
	}
	var err error
	if u.Variables, err = w.variables(maxVariables); err != nil {
		return err
	}
	u.Reader = w
	return w.openMessage()
}

// peekWrapping returns the wrapping as a part, if the message is wrapped. Nothing is read
// that is not read again.
func peekWrapping(r *bufio.Reader, door Door) *part {
	for n := 1 << 10; ; n *= 4 {
		seen, err := r.Peek(min(n, maxPeek))
		head, _, whole := bytes.Cut(seen, []byte("\r\n\r\n"))
		if !whole && door == API {
			head, _, whole = bytes.Cut(seen, []byte("\n\n"))
		}
		if !whole && err == nil && n < maxPeek {
			continue
		}
		if !whole || !bytes.Contains(bytes.ToLower(head), []byte(wrappedType)) {
			return nil
		}
		lines := newLineReader(newCanonical(bytes.NewReader(seen[:len(head)]), door))
		defer lines.close()
		h, err := readHeader(lines)
		if err != nil {
			return nil // Inspect says why
		}
		if p := newPart(h, nil); p.media == wrappedType {
			return p
		}
		return nil
	}
}

// A wrapping reads the parts of a wrapped message. As a reader it is the message.
type wrapping struct {
	lines     *lineReader
	delimiter string // "--" boundary

	out  []byte // of the message, not yet given out
	end  []byte // a line end that belongs to the delimiter, if one follows
	err  error
	done bool
}

var errUnwrap = malformed("message of type " + wrappedType + " must hold an application/json part and then a message/rfc822 part, and nothing else")

// match reports whether a line is a delimiter, and whether it is the last one.
func (w *wrapping) match(p piece) (last, ok bool) {
	if !p.start || !p.end {
		return false, false
	}
	rest, ok := strings.CutPrefix(string(bytes.TrimRight(p.data[:min(len(p.data), 400)], " \t\r\n")), w.delimiter)
	return rest == "--", ok && (rest == "" || rest == "--")
}

// next gives the next piece; io.EOF is a wrapping that is not closed.
func (w *wrapping) next() (piece, error) {
	p, err := w.lines.next()
	if errors.Is(err, io.EOF) {
		return p, errUnwrap
	}
	return p, err
}

// header skips to the next part, if toDelimiter is set, and reads its header.
func (w *wrapping) header(toDelimiter bool) (*part, error) {
	for toDelimiter {
		p, err := w.next()
		if err != nil {
			return nil, err
		}
		last, ok := w.match(p)
		if last {
			return nil, errUnwrap
		}
		toDelimiter = !ok
	}
	h, err := readHeader(w.lines)
	if err != nil {
		return nil, err
	}
	return newPart(h, nil), nil
}

// variables reads the first part, up to the delimiter that ends it.
func (w *wrapping) variables(most int) (string, error) {
	head, err := w.header(true)
	if err != nil {
		return "", err
	}
	if head.media != "application/json" {
		return "", errUnwrap
	}
	text := &capped{most: most}
	decoder := newDecoder(head.encoding, text)
	for {
		p, err := w.next()
		if err != nil {
			return "", err
		}
		last, ok := w.match(p)
		switch {
		case last:
			return "", errUnwrap
		case !ok:
			if _, err := decoder.Write(p.data); err != nil {
				return "", err
			}
			continue
		}
		if err := decoder.Close(); err != nil {
			return "", err
		}
		if json := strings.TrimSpace(text.String()); json != "" {
			return json, nil
		}
		return "", errUnwrap
	}
}

// openMessage reads the header of the second part.
func (w *wrapping) openMessage() error {
	head, err := w.header(false)
	if err == nil && !head.message() {
		err = errUnwrap
	}
	return err
}

// Read implements io.Reader: the message in the second part.
func (w *wrapping) Read(p []byte) (int, error) {
	for len(w.out) == 0 {
		if w.err != nil {
			return 0, w.err
		}
		w.err = w.advance()
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

// advance takes the next piece. After the last delimiter it reads to the end, so that the
// message is known to have one.
func (w *wrapping) advance() error {
	piece, err := w.lines.next()
	switch {
	case errors.Is(err, io.EOF) && !w.done:
		return errUnwrap
	case err != nil:
		return err
	case w.done:
		return nil
	}
	if last, ok := w.match(piece); ok {
		if w.done = last; !last {
			return errUnwrap
		}
		return nil // and w.end with it (RFC 2046 section 5.1.1)
	}
	data := piece.data
	w.out = append(w.out[:0], w.end...)
	w.end = nil
	if piece.end {
		w.end = []byte("\r\n")
		data = data[:len(data)-2]
	}
	w.out = append(w.out, data...)
	return nil
}

// A capped keeps text up to a limit.
type capped struct {
	strings.Builder
	most int
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > c.most {
		return 0, malformed("variables of the message are larger than %d octets", c.most)
	}
	return c.Builder.Write(p)
}
