package plaintext

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/proportion"
)

func TestFromHTML(t *testing.T) {
	for source, want := range map[string]string{
		"":                              "",
		"plain":                         "plain\n",
		"<p>One  two\nthree</p>":        "One two three\n",
		"<p>One</p><p>Two</p>":          "One\n\nTwo\n",
		"<p>One</p>\n\n <p>Two</p>":     "One\n\nTwo\n",
		"a<br>b<br/>c<br><br>d":         "a\nb\nc\n\nd\n",
		"<div>a</div><div>b</div>":      "a\nb\n",
		"<h1>Head</h1>text":             "Head\n\ntext\n",
		"a <b>bold</b> word, <i>i</i>.": "a bold word, i.\n",
		"x<b>y</b>z":                    "xyz\n",
		"&lt;b&gt; &amp; &auml;&nbsp;x": "<b> & ä x\n",
		`<a href="https://a.test/?x=1&amp;y=2">Read on</a>.`:                                      "Read on <https://a.test/?x=1&y=2>.\n",
		`<a href="https://a.test">https://a.test</a>`:                                             "https://a.test\n",
		`<a href="https://a.test">a.test</a>`:                                                     "a.test\n",
		`<a href="mailto:a@b.test">a@b.test</a>`:                                                  "a@b.test\n",
		`<a href="#top">up</a> <a href="javascript:x()">js</a>`:                                   "up js\n",
		`<a href="https://a.test"><img src=x alt="Logo"></a>`:                                     "Logo <https://a.test>\n",
		`<a href="https://a.test"><img src=x></a>`:                                                "<https://a.test>\n",
		"<ul><li>one<li>two<ul><li>deep</ul></ul>after":                                           "- one\n- two\n  - deep\n\nafter\n",
		"<ol><li>one</li><li>two</li></ol>":                                                       "1. one\n2. two\n",
		"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>":                         "a b\nc\n",
		"<pre>  a\n   b\n\nc</pre>":                                                               "a\n   b\n\nc\n",
		"<blockquote><p>said</p><p>more</p></blockquote>then":                                     "> said\n\n> more\n\nthen\n",
		"<html><head><title>T</title><style>p{}</style></head><body>x<script>1<2</script></body>": "x\n",
		`<div style="display: none">preview<div>in</div></div>seen`:                               "seen\n",
		"a<hr>b":                      "a\n\n---\n\nb\n",
		"a < b and <3":                "a < b and <3\n",
		"<p>%recipient.name%":         "%recipient.name%\n",
		"<!-- no --><!doctype html>x": "x\n",
	} {
		if got := FromHTML(source); got != want {
			t.Errorf("%q\n got: %q\nwant: %q", source, got, want)
		}
	}
}

func FuzzFromHTML(f *testing.F) {
	f.Add("<ul><li>a<ol><li>b</ol></ul><pre> x\n</pre><a href=x>y</a><blockquote>q")
	f.Fuzz(func(t *testing.T, s string) {
		if got := FromHTML(s); len(got) > 40*len(s)+1 {
			t.Errorf("%d octets became %d", len(s), len(got))
		}
	})
}

func TestIsLinear(t *testing.T) {
	for _, unit := range []string{"<a href=x>", "</a>", "<div style='display:none'>", "<li>", "<ul>", "<blockquote>x", "<br>", "<pre>\n", "<", "&", "<a href=x>y</a>"} {
		proportion.Linear(t, unit, 1<<18/len(unit), func(n int) func() {
			source := strings.Repeat(unit, n)
			return func() { FromHTML(source) }
		})
	}
}
