package smtpclient

import (
	"strconv"
	"strings"
)

// Capabilities are the extensions of one EHLO reply. The zero value has none.
type Capabilities struct {
	words map[string]string // keyword in upper case → its parameters
}

// Has reports whether the extension keyword was offered, in any letter case.
func (c Capabilities) Has(keyword string) bool {
	_, ok := c.words[strings.ToUpper(keyword)]
	return ok
}

// Params returns what followed the keyword, as the server sent it.
func (c Capabilities) Params(keyword string) string {
	return c.words[strings.ToUpper(keyword)]
}

// Size returns the largest message the server says it takes, in octets. 0 is
// "no limit known": none stated, 0 stated (RFC 1870 section 4), or not a number.
func (c Capabilities) Size() int64 {
	n, err := strconv.ParseInt(c.Params("SIZE"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// add takes one line of an EHLO reply. Only the whole first word counts: hosts
// are called mx.starttls.example.
func (c *Capabilities) add(line []byte) {
	if len(c.words) == MaxCapabilities {
		return
	}
	keyword, params, _ := strings.Cut(strings.TrimRight(string(line), " \t"), " ")
	if !isKeyword(keyword) {
		return
	}
	if c.words == nil {
		c.words = make(map[string]string, 16)
	}
	c.words[strings.ToUpper(keyword)] = params
}

// isKeyword reports whether s is an ehlo-keyword (RFC 5321 section 4.1.1.1). The
// old "AUTH=LOGIN" is not, and is of no use to us.
func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && (c != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}
