package tracking

import "bytes"

// A Scan looks at a message, as it is written to it in pieces, for signs that a text in it may hold a
// placeholder for a link of ours, without taking it apart: either the placeholder itself, also
// where quoted-printable has broken the line within it, or base64, which could hide anything. It
// is there so that the usual message, which has neither, is not decoded for nothing.
type Scan struct {
	found bool
	tail  []byte // the last octets of what was written, at most scanTail
	// border is room for what lies across two writes. A submitted message is written line by
	// line, so an allocation for each would be as much as the message (SEC-10).
	border [2 * scanTail]byte
}

const (
	scanWord = "unsubscribe_url" // all placeholders end in it and a percent sign
	scanTail = 64                // the word with soft line breaks in it
)

// MayUse reports whether what was written holds a sign.
func (s *Scan) MayUse() bool { return s.found }

// Write never fails.
func (s *Scan) Write(p []byte) (int, error) {
	if s.found {
		return len(p), nil
	}
	if len(s.tail) > 0 { // what lies across the border
		s.look(append(append(s.border[:0], s.tail...), p[:min(len(p), scanTail)]...))
	}
	s.look(p)
	if len(p) < scanTail {
		s.tail = append(s.tail, p...)
		s.tail = append(s.tail[:0], s.tail[max(0, len(s.tail)-scanTail):]...)
	} else {
		s.tail = append(s.tail[:0], p[len(p)-scanTail:]...)
	}
	return len(p), nil
}

// look looks for signs in octets that follow each other.
func (s *Scan) look(b []byte) {
	for from := 0; !s.found; { // of the letters of base64 the rarest
		n := bytes.IndexByte(b[from:], '6')
		if n < 0 {
			break
		}
		from += n + 1
		s.found = from >= len("base6") && from < len(b) && b[from] == '4' && bytes.EqualFold(b[from-len("base6"):from-1], []byte("base"))
	}
	for from := 0; !s.found; {
		n := bytes.IndexByte(b[from:], '%')
		if n < 0 {
			return
		}
		s.found = endsInWord(b[:from+n])
		from += n + 1
	}
}

// endsInWord reports whether the octets end in the word, soft line breaks (RFC 2045 section 6.7) left out.
func endsInWord(b []byte) bool {
	for i := len(scanWord) - 1; i >= 0; i-- {
		for {
			bare, broken := bytes.CutSuffix(b, []byte("\n"))
			if !broken {
				break
			}
			if bare, broken = bytes.CutSuffix(bytes.TrimSuffix(bare, []byte("\r")), []byte("=")); !broken {
				return false
			}
			b = bare
		}
		if len(b) == 0 || b[len(b)-1] != scanWord[i] {
			return false
		}
		b = b[:len(b)-1]
	}
	return true
}
