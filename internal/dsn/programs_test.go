package dsn

import (
	"bufio"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-message/textproto"
)

func fieldsOf(t testing.TB, text string) textproto.Header {
	t.Helper()
	h, err := textproto.ReadHeader(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return h
}

// decodeXtext reads what typed wrote.
func decodeXtext(t testing.TB, s string) string {
	t.Helper()
	var b strings.Builder
	for s != "" {
		rest, ok := strings.CutPrefix(s, `\x{`)
		if !ok {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		hex, rest, ok := strings.Cut(rest, "}")
		n, err := strconv.ParseUint(hex, 16, 32)
		if !ok || err != nil {
			t.Fatalf("bad escape in %q", s)
		}
		b.WriteRune(rune(n))
		s = rest
	}
	return b.String()
}

func TestTypedAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"ann@one.test":      "rfc822; ann@one.test",
		"a+b=c@one.test":    "rfc822; a+b=c@one.test",
		`"a b"@one.test`:    `rfc822; "a b"@one.test`,
		"jürgen@one.test":   `utf-8; j\x{FC}rgen@one.test`,
		"ü+b=c@one.test":    `utf-8; \x{FC}\x{2B}b\x{3D}c@one.test`,
		"大@one.test":        `utf-8; \x{5927}@one.test`,
		`"ü \\"@one.test`:   `utf-8; "\x{FC}\x{20}\x{5C}\x{5C}"@one.test`,
		"ann@bücher.test":   "rfc822; ann@xn--bcher-kva.test",
		"\U0001F600@x.test": `utf-8; \x{1F600}@x.test`,
	} {
		a := address(t, text)
		got := typed(a)
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
		if v, ok := strings.CutPrefix(got, "utf-8; "); ok && decodeXtext(t, v) != a.String() {
			t.Errorf("%s decodes to %q", got, decodeXtext(t, v))
		}
	}
}

func TestStatusAndDiagnostic(t *testing.T) {
	for name, c := range map[string]struct {
		f                  Fate
		status, diagnostic string
	}{
		"the server's enhanced code": {Fate{Code: 550, Enhanced: "5.1.1", Text: "no"}, "5.1.1", "smtp; 550 5.1.1 no"},
		"without an enhanced code":   {Fate{Code: 550, Text: "no"}, "5.0.0", "smtp; 550 no"},
		"without a text":             {Fate{Code: 550}, "5.0.0", "smtp; 550"},
		"several lines":              {Fate{Code: 550, Text: "no\nsuch\nuser"}, "5.0.0", "smtp; 550 no such user"},
		"our own words":              {Fate{Code: 550, Enhanced: "5.7.30", Text: "no", Local: true}, "5.7.30", "X-Sealpost; 550 5.7.30 no"},
		"nothing known":              {Fate{}, "5.0.0", ""},
		"a code nobody defined":      {Fate{Code: 602, Text: "odd"}, "5.0.0", "smtp; odd"},
		"a code that is a success":   {Fate{Code: 550, Enhanced: "2.0.0", Text: "odd"}, "5.0.0", "smtp; 550 odd"},
		"a code that is none":        {Fate{Code: 550, Enhanced: "5.1", Text: "odd"}, "5.0.0", "smtp; 550 odd"},
		"RFC 3463 section 3.5: delivery time expired": {Fate{Expired: true, Code: 451, Text: "busy", Local: true}, "4.4.7",
			"X-Sealpost; delivery time expired, last reply: 451 busy"},
		"expired without a reply":             {Fate{Expired: true}, "4.4.7", "X-Sealpost; delivery time expired"},
		"a temporary reply that became final": {Fate{Code: 450, Text: "x", Local: true}, "4.0.0", "X-Sealpost; 450 x"},
	} {
		if got := c.f.status(Failed); got != c.status {
			t.Errorf("%s: status %q, want %q", name, got, c.status)
		}
		if got := c.f.diagnostic(); got != c.diagnostic {
			t.Errorf("%s: diagnostic %q, want %q", name, got, c.diagnostic)
		}
	}
}

func TestFieldsAreFolded(t *testing.T) {
	for name, value := range map[string]string{
		"short": "smtp; 550 no", "words": "smtp; " + strings.Repeat("lorem ipsum ", 200), "one word": strings.Repeat("x", 5000),
		"two long words": strings.Repeat("x", 990) + " " + strings.Repeat("y", 990), "foreign": "smtp; 550 " + strings.Repeat("ü ", 300), "empty": "",
	} {
		var b strings.Builder
		field(&b, "Diagnostic-Code", value)
		for line := range strings.Lines(b.String()) {
			if len(line) > 1000 || !strings.HasSuffix(line, "\r\n") || strings.TrimSpace(line) == "" {
				t.Errorf("%s: line %q", name, line)
			}
		}
		got := fieldsOf(t, b.String()+"\r\n")
		unfolded := strings.ReplaceAll(got.Get("Diagnostic-Code"), " ", "")
		if want := strings.ReplaceAll(escape(value), " ", ""); unfolded != want {
			t.Errorf("%s: got %q", name, unfolded)
		}
	}
}
