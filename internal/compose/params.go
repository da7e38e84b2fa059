package compose

import (
	"mime"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A param is one parameter of Content-Type or Content-Disposition, decoded.
type param struct{ name, value string }

// mediaValue returns a value with parameters as a header field shows it: plain,
// quoted, or as RFC 2231 encodes it. A file name that is not ASCII also gets
// a plain form for programs that do not know RFC 2231.
func mediaValue(value string, params ...param) string {
	var b strings.Builder
	b.WriteString(value)
	for _, p := range params {
		if isASCII(p.value) && !strings.ContainsFunc(p.value, isC0) {
			writePlainParam(&b, p)
			continue
		}
		writePlainParam(&b, param{p.name, asciiName(p.value)})
		if p.name != "name" { // RFC 2231 for the old parameter would only say it again
			writeExtendedParam(&b, p)
		}
	}
	return b.String()
}

func writePlainParam(b *strings.Builder, p param) {
	b.WriteString("; ")
	b.WriteString(p.name)
	b.WriteByte('=')
	if p.value != "" && !strings.ContainsFunc(p.value, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r) }) {
		b.WriteString(p.value)
		return
	}
	b.WriteByte('"')
	for i := range len(p.value) {
		if c := p.value[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(p.value[i])
	}
	b.WriteByte('"')
}

// writeExtendedParam writes a parameter as RFC 2231 says, in pieces if it is
// long. Pieces end between characters, so that each can be decoded alone.
func writeExtendedParam(b *strings.Builder, p param) {
	const room = 50 // octets of one piece, so that it fits a line with its name
	var pieces []string
	var cur strings.Builder
	for _, r := range strings.ToValidUTF8(p.value, "\uFFFD") {
		c := percent(string(r))
		if cur.Len() > 0 && cur.Len()+len(c) > room {
			pieces = append(pieces, cur.String())
			cur.Reset()
		}
		cur.WriteString(c)
	}
	pieces = append(pieces, cur.String())
	if len(pieces) == 1 {
		b.WriteString("; " + p.name + "*=utf-8''" + pieces[0])
		return
	}
	for i, piece := range pieces {
		b.WriteString("; " + p.name + "*" + strconv.Itoa(i) + "*=")
		if i == 0 {
			b.WriteString("utf-8''")
		}
		b.WriteString(piece)
	}
}

// percent writes s in percent encoding; letters, digits and a few marks stay.
func percent(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// asciiName returns the name with "_" for every character that is not plain.
func asciiName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '_'
		}
		return r
	}, s)
}

// baseName reduces a file name to its last path element without what could
// make it look like another: control characters and marks that turn the reading
// direction (SEC-23).
func baseName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case mail.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
			return '_'
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	for len(name) > MaxFileNameSize { // what lies before the extension is cut
		ext := ""
		if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 16 {
			ext = name[i:]
		}
		name = strings.ToValidUTF8(name[:MaxFileNameSize-len(ext)], "") + ext
	}
	return name
}

// parseMedia reads a Content-Type or Content-Disposition. It returns false, and
// no parameters, if these cannot be relied on.
func parseMedia(value string) (media string, params map[string]string, ok bool) {
	media, params, err := mime.ParseMediaType(value)
	if err != nil {
		media, _, _ = strings.Cut(value, ";")
		return strings.ToLower(strings.TrimSpace(media)), nil, false
	}
	return media, params, true
}

// fileName returns the file name among the parameters, made harmless.
func fileName(params map[string]string, key string) string {
	return baseName(mail.DecodeText(params[key]))
}
