package markup

import (
	"strconv"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	tests := []struct{ src, want string }{ // links in want are between braces
		{"see https://example.com/a?b=c&d=e now", "see {https://example.com/a?b=c&d=e} now"},
		{"https://example.com", "{https://example.com}"},
		{"HTTPS://EXAMPLE.COM/X", "{HTTPS://EXAMPLE.COM/X}"},
		{"End of sentence: https://example.com/a.", "End of sentence: {https://example.com/a}."},
		{"(see https://example.com/a)", "(see {https://example.com/a})"},
		{"https://en.example.org/wiki/Mail_(software)", "{https://en.example.org/wiki/Mail_(software)}"},
		{"(https://en.example.org/wiki/Mail_(software)).", "({https://en.example.org/wiki/Mail_(software)})."},
		{"[link](https://example.com/a)!", "[link]({https://example.com/a})!"},
		{"<https://example.com/a>", "<{https://example.com/a}>"},
		{"<https://example.com/a b>", "<https://example.com/a b>"},
		{"<https://example.com/long\r\n/broken>", "<https://example.com/long\r\n/broken>"},
		{"https://example.com/long \r\n/flowed", "https://example.com/long \r\n/flowed"},
		{"https://example.com/a. \nb", "https://example.com/a. \nb"},
		{"<https://example.com/never closed", "<https://example.com/never closed"},
		{"\"https://example.com/a\"", "\"{https://example.com/a}\""},
		{"'https://example.com/a'", "'{https://example.com/a}'"},
		{"*https://example.com/a*", "*{https://example.com/a}*"},
		{"a https://example.com/a, https://example.com/b; c", "a {https://example.com/a}, {https://example.com/b}; c"},
		{"https://example.com/a\r\nhttps://example.com/b\r\n", "{https://example.com/a}\r\n{https://example.com/b}\r\n"},
		{"請看https://example.com/a。謝謝", "請看{https://example.com/a}。謝謝"},
		{"https://example.com/你好", "https://example.com/你好"},
		{"https://example.com/caf\xe9 latin1", "https://example.com/caf\xe9 latin1"},
		{"„https://example.com/a“", "„{https://example.com/a}“"},
		{"https://example.com/a…", "{https://example.com/a}…"},
		{"shttps://example.com xhttp://example.com", "shttps://example.com xhttp://example.com"},
		{"https://web.example/save/https://example.com/a", "{https://web.example/save/https://example.com/a}"},
		{"u=https://example.com", "u=https://example.com"},
		{"www.example.com ftp://example.com mailto:a@example.com", "www.example.com ftp://example.com mailto:a@example.com"},
		{"https:// http://. ://", "https:// http://. ://"},
		{"https://example.com/%recipient.id%", "https://example.com/%recipient.id%"},
		{"http://a.example|http://b.example", "{http://a.example}|{http://b.example}"},
	}
	for _, tt := range tests {
		got := Text(tt.src, Edit{Link: func(u string) (string, bool) { return "{" + u + "}", true }})
		if got != tt.want {
			t.Errorf("%q\n got %q\nwant %q", tt.src, got, tt.want)
		}
	}
	e := Edit{Places: map[string]string{"%unsubscribe_url%": "https://t.example/u/1"}, Footer: "\n\nleave: <%unsubscribe_url%>\n"}
	if got, want := Text("hi %unsubscribe_url%", e), "hi https://t.example/u/1\n\nleave: <https://t.example/u/1>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Text("hi", Edit{}); got != "hi" {
		t.Errorf("got %q", got)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"a https://example.com/a. b", "<http://x.example>", "http://x.example/(a", "é://http://x", "https://x.example你", "http://http://http://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if strings.Contains(src, "\x00") {
			return
		}
		var links []string
		out := Text(src, Edit{Link: func(u string) (string, bool) {
			links = append(links, u)
			return "\x00" + strconv.Itoa(len(links)-1) + "\x00", true
		}})
		for i, c := range links {
			out = strings.Replace(out, "\x00"+strconv.Itoa(i)+"\x00", c, 1)
		}
		if out != src && isASCII(src) { // hosts beyond ASCII are written otherwise
			t.Fatalf("%q became %q", src, out)
		}
	})
}
