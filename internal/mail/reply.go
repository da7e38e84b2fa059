package mail

import (
	"strconv"
	"strings"
)

// A Reply is what an SMTP server answered, or what we say in its place when
// there was no answer (Local). Text is foreign: show it quoted or escaped.
type Reply struct {
	Code     int    // three digits, RFC 5321 section 4.2; 0 if there was none
	Enhanced string // "5.1.1" (RFC 3463), only when its class agrees with Code; else empty
	Text     string // without code and enhanced code, lines joined by "\n"; at most 4 KiB, valid UTF-8
	Local    bool   // made by us, not the remote server's words
}

// Positive reports whether the reply says yes (2xx).
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code <= 299 }

// Temporary reports whether the reply says "not now" (4xx).
func (r Reply) Temporary() bool { return r.Code >= 400 && r.Code <= 499 }

// Permanent reports whether the reply says "never" (5xx).
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code <= 599 }

// String returns the reply on one line, as for a log.
func (r Reply) String() string {
	parts := make([]string, 0, 3)
	if r.Code != 0 {
		parts = append(parts, strconv.Itoa(r.Code))
	}
	if r.Enhanced != "" {
		parts = append(parts, r.Enhanced)
	}
	if r.Text != "" {
		parts = append(parts, strings.ReplaceAll(r.Text, "\n", " "))
	}
	return strings.Join(parts, " ")
}

// LocalReply returns a reply in our own words.
func LocalReply(code int, enhanced, text string) Reply {
	return Reply{Code: code, Enhanced: enhanced, Text: text, Local: true}
}
