package compose

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// A part is one entity of a message (RFC 2045 section 2.4): the message itself,
// a multipart, a leaf.
type part struct {
	index  int // in order of appearance, the message itself is 0
	depth  int // the message itself is 0
	fields header
	raw    []byte // the header section as it stands, with its blank line

	media       string // lower case; text/plain if not said or not readable
	params      map[string]string
	encoding    string // Content-Transfer-Encoding, lower case; 7bit if not said
	disposition string // inline, attachment; empty if not said
	name        string // file name; empty if none
	contentID   string // without angle brackets

	// sealed: its octets must stay as they are. It lies within a signed or
	// encrypted part, or cannot be understood.
	sealed bool
	nested bool // lies within a message/rfc822 part
}

func (p *part) multipart() bool { return strings.HasPrefix(p.media, "multipart/") }

// message reports whether the part is a message in a message whose header we
// can look into.
func (p *part) message() bool {
	return p.media == "message/rfc822" && identity(p.encoding)
}

// identity reports whether content of the encoding stands for itself.
func identity(encoding string) bool {
	return encoding == "7bit" || encoding == "8bit" || encoding == "binary"
}

// A visitor is shown a message piece by piece, in order: joined, all pieces are the
// message. Octets are valid during the call only. An error ends the walk.
type visitor interface {
	header(p *part) error              // p.raw; for the message itself its blank line only
	body(p *part, b []byte) error      // of a leaf
	end(p *part) error                 // of a leaf
	delimiter(p *part, b []byte) error // of the multipart p, with the line end before it
	noise(p *part, b []byte) error     // before the first and after the last part of the multipart p
}

// A walker goes through the body of a message once. It keeps one frame per open
// multipart and does not recurse (SEC-19).
type walker struct {
	lines *lineReader
	v     visitor

	stack   []frame
	leaf    *part  // gets the lines now; nil: noise of the innermost multipart
	pending []byte // a line end that belongs to the next delimiter, if one follows
	parts   int
}

type frame struct {
	multipart *part
	delimiter []byte // "--" boundary
}

// walk shows v the body that follows the message header h. A limit that is
// passed is a *Refusal.
func walk(lines *lineReader, h header, v visitor) error {
	w := &walker{lines: lines, v: v}
	root := newPart(h, nil)
	root.raw = []byte("\r\n")
	if h.count("Content-Type")+h.count("Content-Transfer-Encoding") == 0 {
		root.sealed = true // not MIME: nothing says how its octets may be changed
	}
	if err := w.open(root); err != nil {
		return err
	}
	for {
		p, err := w.lines.next()
		if errors.Is(err, io.EOF) {
			return w.finish()
		}
		if err == nil {
			err = w.line(p)
		}
		if err != nil {
			return err
		}
	}
}

// line takes one piece of a line.
func (w *walker) line(p piece) error {
	if k, last, ok := w.match(p); ok {
		return w.delimiter(p, k, last)
	}
	if err := w.flush(); err != nil {
		return err
	}
	data := p.data
	if p.end {
		w.pending = append(w.pending, '\r', '\n')
		data = data[:len(data)-2]
	}
	return w.content(data)
}

// content gives octets to whom they belong.
func (w *walker) content(data []byte) error {
	switch {
	case len(data) == 0:
		return nil
	case w.leaf != nil:
		return w.v.body(w.leaf, data)
	}
	return w.v.noise(w.stack[len(w.stack)-1].multipart, data)
}

func (w *walker) flush() error {
	err := w.content(w.pending)
	w.pending = w.pending[:0]
	return err
}

// match looks for an open multipart, innermost first, whose delimiter the line
// is. Only the whole line counts: a boundary may be the beginning of another.
func (w *walker) match(p piece) (k int, last, ok bool) {
	if !p.start || !p.end || len(p.data) < 4 || p.data[0] != '-' || p.data[1] != '-' {
		return 0, false, false
	}
	line := bytes.TrimRight(p.data, " \t\r\n")
	for k := len(w.stack) - 1; k >= 0; k-- {
		if rest, ok := bytes.CutPrefix(line, w.stack[k].delimiter); ok && (len(rest) == 0 || string(rest) == "--") {
			return k, len(rest) > 0, true
		}
	}
	return 0, false, false
}

// delimiter ends what is open within multipart k of the stack, and the multipart
// itself if the delimiter is its last; else a new part begins.
func (w *walker) delimiter(p piece, k int, last bool) error {
	if err := w.endLeaf(); err != nil {
		return err
	}
	m := w.stack[k].multipart
	w.stack = w.stack[:k+1]
	if err := w.v.delimiter(m, append(w.pending, p.data...)); err != nil {
		return err
	}
	w.pending = w.pending[:0]
	if last { // the frame stays for the noise that follows, but no line matches it
		w.stack[k].delimiter = []byte("\n")
		return nil
	}
	return w.readPart(m)
}

func (w *walker) endLeaf() error {
	if w.leaf == nil {
		return nil
	}
	leaf := w.leaf
	w.leaf = nil
	return w.v.end(leaf)
}

// readPart reads the header of a part of m and opens it.
func (w *walker) readPart(m *part) error {
	for parent := m; parent != nil; {
		scan := headerScanner{}
		raw, err := w.readHeader(&scan)
		if err != nil {
			return err
		}
		p := newPart(scan.fields, parent)
		p.raw = raw
		p.sealed = p.sealed || scan.broken
		if w.parts++; w.parts >= MaxParts {
			return malformed("message has more than %d parts", MaxParts)
		}
		p.index = w.parts
		if err := w.open(p); err != nil {
			return err
		}
		if parent = nil; p.message() && !p.sealed && w.leaf == nil {
			parent = p
		}
	}
	return nil
}

// readHeader reads a header section up to its blank line, a delimiter or the
// end of the message.
func (w *walker) readHeader(scan *headerScanner) (raw []byte, err error) {
	for {
		p, err := w.lines.next()
		if errors.Is(err, io.EOF) {
			return raw, nil
		}
		if err != nil {
			return nil, err
		}
		if _, _, ok := w.match(p); ok {
			w.lines.unread()
			return raw, nil
		}
		raw = append(raw, p.data...)
		if p.blank() {
			return raw, nil
		}
		if err := scan.add(p); err != nil {
			return nil, err
		}
	}
}

// open shows a part and decides what its body is.
func (w *walker) open(p *part) error {
	if p.depth > MaxDepth {
		return malformed("message has parts more than %d deep", MaxDepth)
	}
	if err := w.v.header(p); err != nil {
		return err
	}
	switch {
	case p.multipart():
		w.stack = append(w.stack, frame{p, []byte("--" + p.params["boundary"])})
	case p.message() && !p.sealed && p.index > 0:
		// readPart reads its header next
	default:
		w.leaf = p
	}
	return nil
}

// finish ends what the message left open.
func (w *walker) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.endLeaf()
}

// newPart understands the header of a part of parent (nil: the message itself).
func newPart(h header, parent *part) *part {
	p := &part{fields: h, media: "text/plain", encoding: "7bit"}
	if parent != nil {
		p.depth = parent.depth + 1
		p.nested = parent.nested || parent.message()
		p.sealed = parent.sealed || parent.media == "multipart/signed" || parent.media == "multipart/encrypted"
		if parent.media == "multipart/digest" {
			p.media = "message/rfc822"
		}
	}
	if v := h.get("Content-Type"); v != "" {
		media, params, ok := parseMedia(v)
		if strings.Contains(media, "/") {
			p.media, p.params = media, params
		}
		if !ok && (p.multipart() || strings.HasPrefix(p.media, "message/")) {
			p.sealed = true
		}
	}
	if b := p.params["boundary"]; p.multipart() && !isBoundary(b) {
		p.media, p.sealed = "application/octet-stream", true // cannot be taken apart
	}
	if v := h.get("Content-Transfer-Encoding"); v != "" {
		p.encoding = strings.ToLower(v)
	}
	if v := h.get("Content-Disposition"); v != "" {
		disposition, params, _ := parseMedia(v)
		p.disposition, p.name = disposition, fileName(params, "filename")
	}
	if p.name == "" {
		p.name = fileName(p.params, "name")
	}
	p.contentID = strings.Trim(clean(h.get("Content-Id")), "<> ")
	return p
}

// isBoundary reports whether delimiters with the boundary can be found. RFC 2046
// section 5.1.1 allows 70 octets; some programs write more.
func isBoundary(b string) bool {
	return b != "" && len(b) <= 200 && strings.Trim(b, " \t") == b && isPlain(b)
}

// attachment reports whether a leaf, or a message in the message, is not text
// of the message itself.
func (p *part) attachment() bool {
	return p.disposition == "attachment" || p.name != "" || !strings.HasPrefix(p.media, "text/")
}
