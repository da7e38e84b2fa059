package markup

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns plain text with the edit made. Links are those that begin with http:// or https:// and
// stand bare, as programs that show mail find them. A link whose end is not certain stays: one in
// angle brackets that is broken over lines, one before a space at the end of its line, or one
// that letters beyond ASCII follow without a space.
func Text(src string, e Edit) string {
	src = e.fill(src)
	changes := links(src, e.Link)
	if e.Footer != "" {
		changes = append(changes, change{len(src), len(src), e.fill(e.Footer)})
	}
	return apply(src, changes)
}

// links finds the links of a text that are to be replaced.
func links(src string, link func(string) (string, bool)) []change {
	if link == nil {
		return nil
	}
	var changes []change
	for at := 0; ; {
		start := nextLink(src, at)
		if start < 0 {
			return changes
		}
		end, certain := linkEnd(src, start)
		at = max(end, start+len("http"))
		if !certain {
			continue
		}
		u, ok := followed(src[start:end])
		if !ok {
			continue
		}
		if with, ok := link(u); ok {
			changes = append(changes, change{start, end, with})
		}
	}
}

// nextLink returns where the next link begins, or -1. It does not begin within a word.
func nextLink(src string, from int) int {
	for {
		n := strings.Index(src[from:], "://")
		if n < 0 {
			return -1
		}
		colon := from + n
		for _, scheme := range [...]string{"https", "http"} {
			start := colon - len(scheme)
			if start >= from && strings.EqualFold(src[start:colon], scheme) && !inWord(src[:start]) {
				return start
			}
		}
		from = colon + len("://")
	}
}

// inWord reports whether text ends in a character that a word or an URL could go on from.
func inWord(text string) bool {
	if text == "" {
		return false
	}
	r, _ := utf8.DecodeLastRuneInString(text)
	return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("%/=&@+-_.", r))
}

// linkEnd returns where the link that begins at start ends, and whether that is certain.
func linkEnd(src string, start int) (end int, certain bool) {
	rest := src[start:]
	if start > 0 && src[start-1] == '<' { // RFC 3986 appendix C
		n := strings.IndexAny(rest, "<> \t\r\n")
		return start + max(n, 0), n > 0 && rest[n] == '>'
	}
	n := strings.IndexFunc(rest, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"\\^`{|}", r) })
	if n < 0 {
		n = len(rest)
	}
	if r, size := utf8.DecodeRuneInString(rest[n:]); size > 0 && r >= utf8.RuneSelf && !unicode.IsPunct(r) && !unicode.IsSpace(r) {
		return start + n, false
	}
	// A space at the end of a line may mean that the line goes on without one (RFC 3676 section 4.2,
	// DelSp), and then so does the link.
	if strings.HasPrefix(rest[n:], " \r\n") || strings.HasPrefix(rest[n:], " \n") {
		return start + n, false
	}
	return start + len(withoutPunctuation(rest[:n])), true
}

// withoutPunctuation takes off what belongs to the sentence and not to the link: punctuation,
// and brackets that were not opened within it.
func withoutPunctuation(link string) string {
	for link != "" {
		last := link[len(link)-1]
		opening := strings.IndexByte(")]", last)
		switch {
		case strings.IndexByte(".,;:!?'*", last) >= 0:
		case opening >= 0 && strings.Count(link, "(["[opening:opening+1]) < strings.Count(link, string(last)):
		default:
			return link
		}
		link = link[:len(link)-1]
	}
	return link
}
