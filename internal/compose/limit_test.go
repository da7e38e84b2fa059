package compose

import (
	"errors"
	"strings"
	"testing"
)

// SEC-19: each limit refuses by itself, one past what TestLimitsAreReached lets
// through, and says which it was.
func TestOnePastEachLimit(t *testing.T) {
	for name, c := range map[string]struct{ message, problem string }{
		"21 deep":              {head + nested(21), "deep"},
		"21 deep, messages":    {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 20) + "\r\nx\r\n--b--\r\n", "deep"},
		"1001 parts":           {head + parts(1000), "parts"},
		"101 Received":         {strings.Repeat("Received: x\r\n", 101) + head + "\r\n", "Received"},
		"1001 fields":          {head + strings.Repeat("X-A: x\r\n", 996) + "\r\n", "fields"},
		"999 octets, not MIME": {head + "\r\n" + strings.Repeat("x", 999) + "\r\n", "line longer"},
		"field name of 999":    {head + strings.Repeat("x", 999) + ": x\r\n\r\n", "line longer"},
	} {
		r := refusal(t, c.message, Submission)
		if r == nil || !strings.Contains(r.Problem, c.problem) {
			t.Errorf("%s: got %v, want a refusal about %q", name, r, c.problem)
		}
	}
}

// SEC-14: a control character is refused with words that name what is wrong, in
// the open and hidden in an encoded word, also in fields that keep their octets.
func TestControlCharactersAreNamed(t *testing.T) {
	fields := map[string]func(*Draft, string){
		"subject": func(d *Draft, s string) { d.Subject = s }, "o:tag": func(d *Draft, s string) { d.Tags = []string{s} },
		"h:X-A":              func(d *Draft, s string) { d.Headers = []Field{{"X-A", s}} },
		"h:References":       func(d *Draft, s string) { d.Headers = []Field{{"References", s}} },
		"h:List-Unsubscribe": func(d *Draft, s string) { d.Headers = []Field{{"List-Unsubscribe", "<" + s + ">"}} },
		"attachment":         func(d *Draft, s string) { d.Files = []File{file(s, "", "x")} },
		"inline":             func(d *Draft, s string) { d.Inline = []File{file(s, "", "x")} },
	}
	for field, set := range fields {
		for s, want := range map[string]string{
			"a\r\nBcc: x": "line break", "a\x00": "line break", "a\x7fb": "line break",
			"=?utf-8?q?a=0D=0ABcc:_x?=": "hides", "=?utf-8?b?DQpCY2M6IHg=?=": "hides", "=?utf-8?q?=00?=": "hides",
		} {
			d := draft()
			set(&d, s)
			var fe *FieldError
			if err := d.Check(); !errors.As(err, &fe) || fe.Field != field || !strings.Contains(fe.Problem, want) {
				t.Errorf("%s, %q: got %v, want a FieldError of it that says %q", field, s, err, want)
			}
		}
	}
}
