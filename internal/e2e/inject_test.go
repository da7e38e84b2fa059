package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// An injection is a value that tries to become a header field, a line of SMTP, or the
// end of a message.
type injection struct{ name, value string }

func injections() []injection {
	const field = "X-Injected: yes"
	return []injection{
		{"CR", "a\r" + field},
		{"LF", "a\n" + field},
		{"CRLF", "a\r\n" + field},
		{"CRLF and body", "a\r\n" + field + "\r\n\r\nbody"},
		{"CRLF and dot", "a\r\n.\r\nMAIL FROM:<evil@evil.test>\r\n"},
		{"folded", "a\r\n " + field},
		{"NUL", "a\x00" + field},
		{"vertical tab", "a\v" + field},
		{"NEL", "a\u0085" + field},
		{"line separator", "a\u2028" + field},
		{"percent", "a%0d%0a" + field},
		{"quoted-printable", "a=0D=0A" + field},
		{"encoded word", "=?utf-8?q?a=0D=0AX-Injected:_yes?="},
		{"encoded word, base64", "=?utf-8?b?YQ0KWC1JbmplY3RlZDogeWVz?="},
		{"invalid UTF-8", "a\xff\r\n" + field},
	}
}

// A target is a parameter, and what it looks like with a value in it.
type target struct {
	name  string
	names []string // words of which a refusal holds one, so that its reader finds the place
	form  func(base form, value string) form
}

func targets(to string) []target {
	set := func(name string) func(form, string) form {
		return func(f form, v string) form {
			return append(slices.DeleteFunc(slices.Clone(f), func(p field) bool { return p.name == name }), field{name: name, value: v})
		}
	}
	address := func(name string) func(form, string) form {
		return func(f form, v string) form { return set(name)(f, "\""+v+"\" <"+to+">") }
	}
	bare := func(name string) func(form, string) form {
		return func(f form, v string) form { return set(name)(f, to+v) }
	}
	file := func(name string) func(form, string) form {
		return func(f form, v string) form {
			return f.with(field{name: name, value: "x", mediaType: "text/plain", disposition: `form-data; name="` + name + `"; filename*=utf-8''` + percent(v)})
		}
	}
	return []target{
		{"from, name", []string{"from"}, func(f form, v string) form { return set("from")(f, "\""+v+"\" <bob@"+plainDomain+">") }},
		{"from, address", []string{"from"}, func(f form, v string) form { return set("from")(f, "bob"+v+"@"+plainDomain) }},
		{"to, name", []string{"to"}, address("to")}, {"to, address", []string{"to"}, bare("to")},
		{"cc, name", []string{"cc"}, address("cc")}, {"cc, address", []string{"cc"}, bare("cc")},
		{"bcc, name", []string{"bcc"}, address("bcc")}, {"bcc, address", []string{"bcc"}, bare("bcc")},
		{"subject", []string{"subject"}, set("subject")},
		{"text", []string{"text"}, set("text")}, {"html", []string{"html"}, set("html")},
		{"h: value", []string{"x-own"}, set("h:X-Own")},
		{"h: name", []string{"header", "h:", "form-data"}, func(f form, v string) form { return set("h:X-Own"+v)(f, "x") }},
		{"h:Reply-To", []string{"reply-to"}, set("h:Reply-To")},
		{"h:Message-Id", []string{"message-id"}, func(f form, v string) form { return set("h:Message-Id")(f, "<"+v+"@x.test>") }},
		{"h:List-Unsubscribe", []string{"list-unsubscribe"}, func(f form, v string) form { return set("h:List-Unsubscribe")(f, "<https://x.test/"+v+">") }},
		{"h:X-Mailgun-Variables", []string{"variables"}, set("h:X-Mailgun-Variables")},
		{"o:tag", []string{"tag"}, set("o:tag")},
		{"v: value", []string{"v:"}, set("v:own")},
		{"v: name", []string{"v:", "variable", "form-data"}, func(f form, v string) form { return set("v:own"+v)(f, "x") }},
		{"o:deliverytime", []string{"date", "time"}, set("o:deliverytime")},
		{"recipient-variables", []string{"recipient-variables", "subject", "json"}, func(f form, v string) form {
			return set("recipient-variables")(set("subject")(f, "for %recipient.name%"), fmt.Sprintf(`{%q: {"name": %s}}`, to, jsonText(v)))
		}},
		{"attachment, name", []string{"attachment", "file"}, file("attachment")},
		{"inline, name", []string{"inline", "file"}, file("inline")},
		{"attachment, type", []string{"attachment", "type", "multipart"}, func(f form, v string) form {
			return f.with(field{name: "attachment", file: "x.txt", value: "x", mediaType: "text/plain; charset=\"" + strings.NewReplacer("\r", "", "\n", "").Replace(v) + "\""})
		}},
	}
}

// percent encodes every octet, as in RFC 8187.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// jsonText is a JSON string with every character escaped.
func jsonText(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return `"` + b.String() + `"`
}

// SEC-14: whatever is written into whatever parameter either is refused with a 400 that
// names the place, or arrives without having become a field, a recipient or a message.
func TestInjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})
	base := short(to.address())
	type sent struct{ name, id, tag string }
	var taken []sent
	refused := 0
	for _, target := range targets(to.address()) {
		for i, in := range injections() {
			name := target.name + "/" + in.name
			tag := fmt.Sprintf("%s-%d", strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' {
					return r
				}
				return -1
			}, target.name), i)
			// The mark is the first field, so that no injected value stands before it.
			f := target.form(base.with(field{name: "h:X-Mark", value: tag}), in.value)
			status, data, err := rg.post("/v3/"+plainDomain+"/messages", f)
			switch {
			case err != nil:
				t.Fatalf("%s: %v", name, err)
			case status == http.StatusOK:
				id := strings.Trim(string(data[strings.IndexByte(string(data), '<')+1:]), "\n")
				taken = append(taken, sent{name: name, tag: tag, id: id})
			case status != http.StatusBadRequest:
				t.Errorf("%s: %d %s", name, status, data)
			default:
				refused++
				text := strings.ToLower(string(data))
				if !slices.ContainsFunc(target.names, func(w string) bool { return strings.Contains(text, w) }) {
					t.Errorf("%s: the refusal does not name the place: %s", name, data)
				}
			}
		}
	}
	rg.settle(t)
	arrived := make(map[string]smtptest.Message)
	for _, m := range to.Accepted() {
		mark := headerOf(m.Content, "X-Mark")
		if _, twice := arrived[mark]; twice || mark == "" {
			t.Errorf("a message with mark %q too many:\n%s", mark, m.Content)
		}
		arrived[mark] = m
	}
	for _, s := range taken {
		t.Run(s.name, func(t *testing.T) {
			m, ok := arrived[s.tag]
			if !ok {
				t.Fatalf("taken, but not arrived: %s", s.id)
			}
			p := parse(t, m.Content)
			for f := p.header.Fields(); f.Next(); {
				if strings.HasPrefix(strings.ToLower(f.Key()), "x-inject") {
					t.Errorf("became a field:\n%s", m.Content)
				}
			}
			for _, rcpt := range m.Recipients {
				if rcpt != to.address() {
					t.Errorf("became a recipient: %q", m.Recipients)
				}
			}
		})
	}
	if n := len(arrived); n != len(taken) {
		t.Errorf("%d taken, %d arrived", len(taken), n)
	}
	t.Logf("%d refused, %d harmless", refused, len(taken))
}
