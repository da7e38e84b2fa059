package mail

import (
	"errors"
	netmail "net/mail"
	"strings"
	"testing"
	"unicode/utf8"
)

// SEC-16: what real senders write is read; each form gives one address that no
// other reading of the text gives.
func TestParseMailbox(t *testing.T) {
	for in, want := range map[string]Mailbox{
		`a@b.example`:                                    {"", Address{"a", "b.example"}},
		` a@b.example `:                                  {"", Address{"a", "b.example"}},
		`<a@b.example>`:                                  {"", Address{"a", "b.example"}},
		`< a@b.example >`:                                {"", Address{"a", "b.example"}},
		`Ann <a@b.example>`:                              {"Ann", Address{"a", "b.example"}},
		`Ann<a@b.example>`:                               {"Ann", Address{"a", "b.example"}},
		`Ann  B. Cee <a@b.example>`:                      {"Ann B. Cee", Address{"a", "b.example"}},
		"Ann\t<a@b.example>":                             {"Ann", Address{"a", "b.example"}},
		`"Cee, Ann" <a@b.example>`:                       {"Cee, Ann", Address{"a", "b.example"}},
		`"Ann \"B\" \\" <a@b.example>`:                   {`Ann "B" \`, Address{"a", "b.example"}},
		`"" <a@b.example>`:                               {"", Address{"a", "b.example"}},
		`"x@evil.example" <a@b.example>`:                 {"x@evil.example", Address{"a", "b.example"}},
		`"<x@evil.example>" <a@b.example>`:               {"<x@evil.example>", Address{"a", "b.example"}},
		`Jürgen <a@b.example>`:                           {"Jürgen", Address{"a", "b.example"}},
		`=?utf-8?q?J=C3=BCrgen?= <a@b.example>`:          {"Jürgen", Address{"a", "b.example"}},
		`=?UTF-8?B?SsO8cmdlbg==?= <a@b.example>`:         {"Jürgen", Address{"a", "b.example"}},
		`=?iso-8859-1?Q?J=FCrgen?= Z <a@b.example>`:      {"Jürgen Z", Address{"a", "b.example"}},
		`=?windows-1252?q?=80uro?= <a@b.example>`:        {"€uro", Address{"a", "b.example"}},
		`=?utf-8?q?J=C3?= =?utf-8?q?=BC?= <a@b.example>`: {"Jü", Address{"a", "b.example"}},
		`"=?utf-8?q?J=C3=BCrgen?=" <a@b.example>`:        {"Jürgen", Address{"a", "b.example"}},
		`=?x-none?q?a?= <a@b.example>`:                   {"=?x-none?q?a?=", Address{"a", "b.example"}},
		`(hi) Ann (x (y) \) z) <a@b.example> (bye)`:      {"Ann", Address{"a", "b.example"}},
		`a@b.example (Ann)`:                              {"", Address{"a", "b.example"}},
		`(x@evil.example) a@b.example`:                   {"", Address{"a", "b.example"}},
		`"a b"@b.example`:                                {"", Address{"a b", "b.example"}},
		`<"a b"@b.example>`:                              {"", Address{"a b", "b.example"}},
		`"a,b"@b.example`:                                {"", Address{"a,b", "b.example"}},
		`a+tag@B.Example`:                                {"", Address{"a+tag", "b.example"}},
		`a@bücher.example`:                               {"", Address{"a", "xn--bcher-kva.example"}},
		`jürgen@b.example`:                               {"", Address{"jürgen", "b.example"}},
		`, a@b.example,`:                                 {"", Address{"a", "b.example"}},
		`O'Brien <o'b@b.example>`:                        {"O'Brien", Address{"o'b", "b.example"}},
	} {
		got, err := ParseMailbox(in)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", in, got, err, want)
		}
	}
}

// SEC-15, SEC-16: forms that two programs read differently are refused.
func TestParseMailboxRefuses(t *testing.T) {
	for _, in := range []string{
		``, ` `, `,`, `()`, `Ann`, `Ann B`, `"Ann"`, `<>`, `Ann <>`, `a@`, `@b.example`, `a@b`, `a b@c.example`,
		`a@b.example c@d.example`, `a@b.example, c@d.example`, `a@b.example; c@d.example`,
		`a@evil.example <a@b.example>`, `Ann a@evil.example <a@b.example>`, `<a@b.example> <c@d.example>`, `<a@b.example> x`,
		`<a@b.example`, `a@b.example>`, `<<a@b.example>>`, `Ann <Bob <a@b.example>>`,
		`group: a@b.example, c@d.example;`, `group:;`, `undisclosed-recipients:;`, `x: <a@b.example>`,
		`<@r.example:a@b.example>`, `<@r.example,@s.example:a@b.example>`,
		`a@b.example@c.example`, `<a@b.example@c.example>`, `"a@evil.example"@b.example`, `"x@evil.example y"@b.example`,
		`"a@evil.example> ORCPT=x"@b.example`, `a＠evil.example@b.example`, `a(x)@b.example`, `a@(x)b.example`, `<a(x)@b.example>`, `<(x)a@b.example>`,
		`=?utf-8?q?a?=@b.example`, `<=?utf-8?q?a=40evil.example?=@b.example>`, `<a@=?utf-8?q?b?=.example>`,
		`=?utf-8?q?a=40b.example?=`, `=?utf-8?q?x=0D=0ABcc:_y?= <a@b.example>`, `=?utf-8?b?AA==?= <a@b.example>`,
		"Ann\r\nBcc: x@y.example <a@b.example>", "a@b.example\n", "a\x00@b.example", "Ann\u0085 <a@b.example>", "Ann\u2028 <a@b.example>", "a\x7f@b.example",
		"A\xff <a@b.example>", `(a@b.example`, `"Ann <a@b.example>`, `Ann "B <a@b.example>`, `Ann \ <a@b.example>`, `[Ann] <a@b.example>`,
		`a@[192.0.2.1]`, `a@192.0.2.1`, `.a@b.example`, `a..b@b.example`, `a.@b.example`, `a@b..example`, `a@-b.example`, `"a\`, `(\`, `<"a`,
		`"a" "b"@c.example`, `Ann "b"@c.example`, `a"b"@c.example`,
	} {
		if got, err := ParseMailbox(in); err == nil {
			t.Errorf("%q: got %+v, want an error", in, got)
		}
	}
}

func TestParseMailboxList(t *testing.T) {
	got, err := ParseMailboxList(`Ann <a@b.example>,"B, C" <c@d.example> , , e@f.example (x, y)`, 3)
	want := []Mailbox{{"Ann", Address{"a", "b.example"}}, {"B, C", Address{"c", "d.example"}}, {"", Address{"e", "f.example"}}}
	if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ParseMailboxList("a@b.example, c@d.example", 1); !errors.Is(err, ErrTooManyMailboxes) {
		t.Errorf("two of one: %v", err)
	}
	if _, err := ParseMailboxList(strings.Repeat(" ", MaxMailboxList)+"a@b.example", 1); err == nil {
		t.Error("a list that is too long is read")
	}
	if _, err := ParseMailboxList(strings.Repeat("x ", MaxMailbox)+"<a@b.example>", 1); err == nil {
		t.Error("a mailbox that is too long is read")
	}
}

func TestMailboxString(t *testing.T) {
	a := Address{"a", "b.example"}
	for want, m := range map[string]Mailbox{
		`a@b.example`:                           {"", a},
		`Ann Bee <a@b.example>`:                 {"Ann Bee", a},
		`"Bee, Ann" <a@b.example>`:              {"Bee, Ann", a},
		`"Ann B." <a@b.example>`:                {"Ann B.", a},
		`"a \"b\" \\" <a@b.example>`:            {`a "b" \`, a},
		`=?utf-8?q?J=C3=BCrgen?= <a@b.example>`: {"Jürgen", a},
		`=?utf-8?b?5pel5pys?= <a@b.example>`:    {"日本", a},
		`=?utf-8?b?PT94?= <a@b.example>`:        {"=?x", a},
		`"x Bcc: y" <a@b.example>`:              {"x\r\nBcc: y", a},
	} {
		if got := m.String(); got != want {
			t.Errorf("%+v: got %s, want %s", m, got, want)
		}
	}
}

func TestEncodeText(t *testing.T) {
	for _, s := range []string{"", "x", "ä", strings.Repeat("ä", 100), strings.Repeat("日本語", 100), strings.Repeat("a b_c=?", 50), "👩‍👩‍👧‍👦" + strings.Repeat("👋🏽", 60)} {
		got := EncodeText(s)
		if decoded := DecodeText(got); decoded != s {
			t.Errorf("%q became %q", s, decoded)
		}
		for word := range strings.FieldsSeq(got) {
			if len(word) > maxWord {
				t.Errorf("word of %d octets", len(word))
			}
			if !utf8.ValidString(DecodeText(word)) || strings.Contains(DecodeText(word), "\uFFFD") {
				t.Errorf("a character is split in %s", word)
			}
		}
	}
	if got := DecodeText(EncodeText("a\r\nb\x00\u2028")); got != "a  b  " {
		t.Errorf("control characters became %q", got)
	}
}

func TestDecodeText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                              "plain",
		"a =?utf-8?q?b?= c":                  "a b c",
		"=?utf-8?q?a?= \t =?utf-8?q?b?=":     "ab",
		"=?utf-8?q?a?= =?iso-8859-1?q?=E4?=": "aä",
		"=?utf-8*en?q?a_b?=":                 "a b",
		"=?utf-8?q?a b?=":                    "=?utf-8?q?a b?=",
		"=?utf-8?q?=4?=":                     "=?utf-8?q?=4?=",
		"=?utf-8?x?a?=":                      "=?utf-8?x?a?=",
		"=?=?=?=?utf-8?q?a?=":                "=?=?=?a",
		"=?utf-8?b?w6Q?=":                    "ä",
		"=?utf-8?b?w?= =?utf-8?b?w6Q=?=":     "=?utf-8?b?w?= ä",
		"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=": "日本",
		"\xff":                               "\uFFFD",
		"=?utf-8?q?=FF?=":                    "\uFFFD",
		"https://x.example/?a=?b":            "https://x.example/?a=?b",
	} {
		if got := DecodeText(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Time is linear: the octets per second do not fall with the size, apart from
// what the collector of garbage takes.
func BenchmarkParseMailboxList(b *testing.B) {
	for name, unit := range map[string]string{
		"addresses": "Ann <a@b.example>, ", "comments": "(", "quotes": `"a" `, "words": "a ", "commas": ",", "encoded": "=?utf-8?q?x", "brackets": "<",
	} {
		for _, size := range []int{64 << 10, 512 << 10} {
			text := strings.Repeat(unit, size/len(unit))
			b.Run(name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					ParseMailboxList(text, MaxMailboxList)
				}
			})
		}
	}
}

// FuzzParseMailboxList: whatever is read can be written and read again, by us
// and by another parser, and gives the same address.
func FuzzParseMailboxList(f *testing.F) {
	for _, s := range []string{
		`Ann <a@b.example>, "x, y" <"c d"@e.example> (z)`, `=?utf-8?q?=C3=A4=0D?= <a@b.example>`, `jürgen@bücher.example`,
		`g: a@b.c;`, `"a@b"@c.d`, `=?iso-2022-jp?b?GyRCRnxLXBsoQg==?= <a@b.example>`, `"\"" <a@b.example>,,`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseMailboxList(s, 10)
		if err != nil {
			return
		}
		for _, m := range list {
			text := m.String()
			if strings.ContainsFunc(text, IsControl) {
				t.Fatalf("%q: control character in %q", s, text)
			}
			again, err := ParseMailbox(text)
			if err != nil || again.Address != m.Address || again.Name != m.Name {
				t.Fatalf("%q: %+v, written as %q, reads %+v, %v", s, m, text, again, err)
			}
			other, err := netmail.ParseAddress(text)
			if err != nil {
				t.Fatalf("%q: net/mail cannot read %q: %v", s, text, err)
			}
			if want := m.Address.Local + "@" + m.Address.Domain; other.Address != want {
				t.Fatalf("%q: net/mail sees %q in %q, we %q", s, other.Address, text, want)
			}
		}
	})
}
