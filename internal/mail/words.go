package mail

import (
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// maxEncodedWord bounds one encoded word as it is read. RFC 2047 allows 75
// octets; careless senders put a whole subject into one.
const maxEncodedWord = 2048

// DecodeText decodes the encoded words (RFC 2047) in unfolded header text. What
// is no proper encoded word, or in a character set we do not know, stays as it
// is. The result is valid UTF-8 and may hold control characters that were hidden
// in an encoded word: who puts it into a header or a log has to look. Time is
// linear in the length of s.
func DecodeText(s string) string {
	if !strings.Contains(s, "=?") {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	var (
		out     strings.Builder
		charset string // of the words in pending
		pending []byte // octets of adjacent words; a character may be split between two
	)
	flush := func() {
		out.WriteString(toUTF8(charset, pending))
		pending = pending[:0]
	}
	for s != "" {
		start := strings.Index(s, "=?")
		if start < 0 {
			break
		}
		set, content, length := cutEncodedWord(s[start:])
		if length == 0 {
			flush()
			out.WriteString(s[:start+2])
			s = s[start+2:]
			continue
		}
		// White space between two encoded words is not shown (RFC 2047 section 6.2).
		between := s[:start]
		if len(pending) == 0 || strings.Trim(between, " \t") != "" {
			flush()
			out.WriteString(between)
		} else if !strings.EqualFold(set, charset) {
			flush()
		}
		charset, pending = set, append(pending, content...)
		s = s[start+length:]
	}
	flush()
	out.WriteString(s)
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// cutEncodedWord reads the encoded word at the start of s. The length is 0 if
// there is none.
func cutEncodedWord(s string) (charset string, content []byte, length int) {
	s = s[:min(len(s), maxEncodedWord)]
	rest := s[2:]
	charset, rest, ok := strings.Cut(rest, "?")
	if !ok || len(rest) < 2 || rest[1] != '?' || !KnownCharset(charset) {
		return "", nil, 0
	}
	method := rest[0] | 0x20
	text, _, ok := strings.Cut(rest[2:], "?=")
	if !ok || strings.ContainsAny(text, " \t?") {
		return "", nil, 0
	}
	switch method {
	case 'q':
		content, ok = decodeQ(text)
	case 'b':
		var err error
		content, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		ok = err == nil
	default:
		ok = false
	}
	if !ok {
		return "", nil, 0
	}
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 section 5: a language may follow
	return charset, content, len(s) - len(rest) + 2 + len(text) + 2
}

func decodeQ(text string) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '_':
			out = append(out, ' ')
		case '=':
			if i+2 >= len(text) {
				return nil, false
			}
			hi, ok1 := unhex(text[i+1])
			lo, ok2 := unhex(text[i+2])
			if !ok1 || !ok2 {
				return nil, false
			}
			out = append(out, hi<<4|lo)
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out, true
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

// KnownCharset reports whether the named character set, perhaps with a language behind it (RFC 2231
// section 5), is one that [CharsetReader] decodes.
func KnownCharset(name string) bool {
	name, _, _ = strings.Cut(name, "*")
	if isUnicodeName(name) {
		return true
	}
	_, err := htmlindex.Get(name)
	return err == nil
}

func isUnicodeName(name string) bool {
	return strings.EqualFold(name, "utf-8") || strings.EqualFold(name, "us-ascii")
}

// toUTF8 decodes content, which is in a charset that KnownCharset knows.
func toUTF8(charset string, content []byte) string {
	if len(content) == 0 || isUnicodeName(charset) {
		return string(content)
	}
	e, err := htmlindex.Get(charset)
	if err != nil {
		return string(content)
	}
	decoded, err := e.NewDecoder().Bytes(content)
	if err != nil {
		return string(content)
	}
	return string(decoded)
}

// CharsetReader returns r decoded from the named character set to UTF-8, or r
// itself if the set is not known.
func CharsetReader(charset string, r io.Reader) io.Reader {
	if charset == "" || isUnicodeName(charset) {
		return r
	}
	e, err := htmlindex.Get(charset)
	if err != nil {
		return r
	}
	return e.NewDecoder().Reader(r)
}

const (
	wordHead = "=?utf-8?q?" // the same length with b
	wordTail = "?="
	// maxWord keeps a word with "Subject: " before it within the 76 octets that
	// RFC 2047 section 2 allows to its line.
	maxWord = 64
)

// EncodeText returns s as encoded words with single spaces between them, each
// of at most 64 octets and of whole characters (RFC 2047 section 5). It holds
// ASCII only, none of it special inside a phrase. Control characters, which no
// encoded word may hide, become spaces.
func EncodeText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if IsControl(r) {
			return ' '
		}
		return r
	}, s)
	const room = maxWord - len(wordHead) - len(wordTail)
	if q := qLength(s); q > (len(s)+2)/3*4 {
		return encodeWords(s, 'b', func(word string) bool { return (len(word)+2)/3*4 <= room })
	}
	return encodeWords(s, 'q', func(word string) bool { return qLength(word) <= room })
}

// encodeWords cuts s into words that fit, each in the given encoding.
func encodeWords(s string, method byte, fits func(string) bool) string {
	var b strings.Builder
	for s != "" {
		end := 0
		for end < len(s) {
			_, size := utf8.DecodeRuneInString(s[end:])
			if end > 0 && !fits(s[:end+size]) {
				break
			}
			end += size
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("=?utf-8?")
		b.WriteByte(method)
		b.WriteByte('?')
		if method == 'b' {
			b.WriteString(base64.StdEncoding.EncodeToString([]byte(s[:end])))
		} else {
			writeQ(&b, s[:end])
		}
		b.WriteString(wordTail)
		s = s[end:]
	}
	return b.String()
}

// plainInQ reports whether c stands for itself in an encoded word, also within a
// phrase (RFC 2047 section 5 rule 3).
func plainInQ(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!*+-/", c) >= 0
}

func qLength(s string) int {
	n := 0
	for i := range len(s) {
		if c := s[i]; c == ' ' || plainInQ(c) {
			n++
		} else {
			n += 3
		}
	}
	return n
}

func writeQ(b *strings.Builder, s string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			b.WriteByte('_')
		case plainInQ(c):
			b.WriteByte(c)
		default:
			b.WriteByte('=')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
}

// IsControl reports whether r has no place in header text or an address: C0,
// DEL, C1, and the two separators that some programs take for line ends.
func IsControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}
