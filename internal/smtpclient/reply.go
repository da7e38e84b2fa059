package smtpclient

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

// readBuffer holds more than one line of the largest size, so that a line that
// does not end within it is known to be too long.
const readBuffer = 2 * MaxReplyLine

// protocolError says how the server broke the protocol.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// readReply reads one reply (RFC 5321 section 4.2) from r, whose buffer has
// readBuffer octets. If each is not nil it sees the text of every line, from the
// first on, as it came; the slice is valid until each returns.
//
// Lines may end in LF alone, as some servers' do; nothing can be smuggled into us
// by that. The second digit may be anything: 57x is widespread.
func readReply(r *bufio.Reader, each func(line int, text []byte)) (mail.Reply, error) {
	var (
		reply mail.Reply
		text  []byte
		size  int
	)
	for n := 0; ; n++ {
		if n == MaxReplyLines {
			return mail.Reply{}, protocolError("reply of more than %d lines", MaxReplyLines)
		}
		line, err := r.ReadSlice('\n')
		size += len(line)
		switch {
		case len(line) > MaxReplyLine:
			return mail.Reply{}, protocolError("reply line of more than %d octets", MaxReplyLine)
		case size > MaxReplySize:
			return mail.Reply{}, protocolError("reply of more than %d octets", MaxReplySize)
		case errors.Is(err, io.EOF) && size > 0:
			return mail.Reply{}, io.ErrUnexpectedEOF
		case err != nil:
			return mail.Reply{}, err
		}
		code, rest, more, err := parseReplyLine(bytes.TrimSuffix(line[:len(line)-1], []byte("\r")))
		if err != nil {
			return mail.Reply{}, err
		}
		if n == 0 {
			reply.Code = code
		} else if code != reply.Code {
			return mail.Reply{}, protocolError("reply starts with code %d and goes on with %d", reply.Code, code)
		}
		if each != nil {
			each(n, rest)
		}
		enhanced, plain := cutEnhanced(code, rest)
		if n == 0 {
			reply.Enhanced = enhanced
		} else if len(text) <= MaxReplyText {
			text = append(text, '\n')
		}
		if enhanced != "" && enhanced == reply.Enhanced {
			rest = plain
		}
		if len(text) <= MaxReplyText {
			text = append(text, rest...)
		}
		if !more {
			reply.Text = cleanText(text)
			return reply, nil
		}
	}
}

// parseReplyLine takes a line without its end apart. More is true for every line
// of a reply but the last.
func parseReplyLine(line []byte) (code int, text []byte, more bool, err error) {
	if len(line) < 3 || !isDigit(line[0]) || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, nil, false, protocolError("no reply code in %q", line[:min(len(line), 40)])
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if code < 200 || code > 599 { // 1xx exists in RFC 5321 only to be ruled out
		return 0, nil, false, protocolError("reply code %03d", code)
	}
	if len(line) == 3 {
		return code, nil, false, nil
	}
	switch line[3] {
	case ' ', '-':
		return code, line[4:], line[3] == '-', nil
	}
	return 0, nil, false, protocolError("no space or hyphen after reply code %d", code)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// cutEnhanced takes an enhanced status code (RFC 2034) off the front of text.
// One whose class contradicts the reply code is not one (SEC-37).
func cutEnhanced(code int, text []byte) (enhanced string, rest []byte) {
	if len(text) < 5 || int(text[0]-'0') != code/100 || code/100 == 3 {
		return "", text
	}
	i := 1
	for range 2 {
		if i >= len(text) || text[i] != '.' {
			return "", text
		}
		start := i + 1
		for i = start; i < len(text) && isDigit(text[i]); i++ {
		}
		if i == start || i > start+3 {
			return "", text
		}
	}
	if i == len(text) {
		return string(text), nil
	}
	if text[i] != ' ' {
		return "", text
	}
	return string(text[:i]), text[i+1:]
}

// cutMark ends a text that was longer.
const cutMark = "[…]"

// cleanText returns foreign text as it may be stored: valid UTF-8 of at most
// MaxReplyText octets, without control characters other than tab and the line
// breaks between the lines of the reply. It is still foreign.
func cleanText(b []byte) string {
	clean := len(b) <= MaxReplyText
	for _, c := range b {
		if c >= utf8.RuneSelf || c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return string(b)
	}
	out := make([]byte, 0, min(len(b)+len(b)/2, MaxReplyText)+utf8.UTFMax)
	fits := 0 // how much of out leaves room for the mark
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			r = utf8.RuneError
		}
		out = utf8.AppendRune(out, r)
		if len(out) > MaxReplyText {
			return string(out[:fits]) + cutMark
		}
		if len(out) <= MaxReplyText-len(cutMark) {
			fits = len(out)
		}
		b = b[n:]
	}
	return string(out)
}
