package merge

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

var ann = mail.Mailbox{Name: "Ann van der Lee", Address: mail.Address{Local: "Ann", Domain: "one.test"}}

func TestFill(t *testing.T) {
	v, err := ParseVariables(`{"Somebody <aNN@one.test>": {"name": "Änne & <b>", "n": 7, "no": null, "ok": true, "list": [1, "x"], "with space": "s", "pct": "%recipient.n%"}}`)
	if err != nil {
		t.Fatal(err)
	}
	person, stranger := v.Of(ann), v.Of(mail.Mailbox{Address: mail.Address{Local: "x", Domain: "two.test"}})
	for text, want := range map[string][2]string{
		"":                            {"", ""},
		"plain 100% text":             {"plain 100% text", "plain 100% text"},
		"%recipient.name%":            {"Änne & <b>", "%recipient.name%"},
		"%recipient.n%%recipient.ok%": {"7true", "%recipient.n%%recipient.ok%"},
		"[%recipient.no%]":            {"[]", "[%recipient.no%]"},
		"%recipient.list%":            {`[1, "x"]`, "%recipient.list%"},
		"%recipient.with space%":      {"s", "%recipient.with space%"},
		"%recipient.pct%":             {"%recipient.n%", "%recipient.pct%"}, // put in once, not again
		"%recipient%":                 {"Ann van der Lee <Ann@one.test>", "x@two.test"},
		"%recipient_email%":           {"Ann@one.test", "x@two.test"},
		"%recipient_name%":            {"Ann van der Lee", ""},
		"%recipient_fname%":           {"Ann", ""},
		"%recipient_lname%":           {"van der Lee", ""},
		"%recipient_xname%":           {"%recipient_xname%", "%recipient_xname%"},
		"%recipient.%":                {"%recipient.%", "%recipient.%"},
		"50%recipient.n%":             {"507", "50%recipient.n%"},
		"%recipient %recipient.n%":    {"%recipient 7", "%recipient %recipient.n%"},
		"%%recipient.n%%":             {"%7%", "%%recipient.n%%"},
		"%recipient.a\nb%":            {"%recipient.a\nb%", "%recipient.a\nb%"},
	} {
		parsed := Parse(text)
		for i, p := range []*Person{&person, &stranger} {
			if got := parsed.Fill(p); got != want[i] {
				t.Errorf("%q: %q, want %q", text, got, want[i])
			}
			var c Count
			c.Add(parsed)
			if n := int64(len(want[i])); parsed.Size(p) != n || c.For(p) != n {
				t.Errorf("%q: size %d, counted %d, want %d", text, parsed.Size(p), c.For(p), n)
			}
		}
		if HasPlaces(text) != !parsed.Plain() {
			t.Errorf("%q has places: %v", text, HasPlaces(text))
		}
	}
}

func TestParseVariables(t *testing.T) {
	for _, bad := range []string{"", "[]", "null", `"x"`, `{"a@b.test":1}`, `{"a@b.test":null}`, `{"a@b.test":{},"a@b.test":{}}`,
		`{"a@b.test":{},"Ann <A@B.test>":{}}`, `{"a@b.test":{"k":1,"k":2}}`, `{"a@b.test":{}}x`, `{"a@b.test":{}`} {
		if v, err := ParseVariables(bad); err == nil {
			t.Errorf("%q became %v", bad, v)
		}
	}
	if _, err := ParseVariables(strings.Repeat(" ", MaxVariables+1)); err != ErrTooLarge {
		t.Error(err)
	}
	if v, err := ParseVariables(`{"no address": {"x": "y"}, "a@b.test": {}}`); err != nil || len(v) != 2 {
		t.Error(v, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Hi %recipient.name% %recipient% 100% %recipient.x", "Ann", "name")
	f.Fuzz(func(t *testing.T, s, value, key string) {
		p := Person{Mailbox: ann, Values: map[string]string{key: value}}
		parsed := Parse(s)
		got := parsed.Fill(&p)
		if int64(len(got)) != parsed.Size(&p) {
			t.Errorf("%q: %d octets, said %d", s, len(got), parsed.Size(&p))
		}
		if !strings.Contains(s, "%recipient") && got != s {
			t.Errorf("%q became %q", s, got)
		}
		if !isKey("recipient."+key) || strings.Contains(key, "%") || len(key) > 200 {
			return
		}
		if got := Parse("a%recipient." + key + "%b").Fill(&p); got != "a"+value+"b" {
			t.Errorf("%q: %q", key, got)
		}
	})
}

func FuzzParseVariables(f *testing.F) {
	f.Add(`{"a@b.test": {"x": 1}, "A <c@d.test>": {}}`)
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVariables(s)
		if err != nil {
			return
		}
		for address := range v {
			if address != strings.ToLower(address) && addressKey(address) != address {
				t.Errorf("%q is known as %q", address, addressKey(address))
			}
		}
	})
}
