package markup

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestHTML(t *testing.T) {
	to := func(string) (string, bool) { return "https://t.example/c/1", true }
	places := map[string]string{"%unsubscribe_url%": "https://t.example/u/1"}
	const pixel = `<img src="https://t.example/o/1" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`
	tests := []struct {
		name, src string
		e         Edit
		want      string
	}{
		{"nothing to do", `<a href="https://x.example">x</a>`, Edit{}, `<a href="https://x.example">x</a>`},
		{"quoted", `<a href="https://x.example">x</a>`, Edit{Link: to}, `<a href="https://t.example/c/1">x</a>`},
		{"single quotes", `<a class=b href='https://x.example'>x</a>`, Edit{Link: to}, `<a class=b href='https://t.example/c/1'>x</a>`},
		{"no quotes", `<a href=https://x.example/?a=b/>x</a>`, Edit{Link: to}, `<a href=https://t.example/c/1>x</a>`},
		{"white space around", "<a\nhref\t=\r\n\"https://x.example\" >x</a>", Edit{Link: to}, "<a\nhref\t=\r\n\"https://t.example/c/1\" >x</a>"},
		{"a tag that never ends", `<a href="https://x.example`, Edit{Link: to}, `<a href="https://x.example`},
		{"pixel before the end of the body", `<body>x</body></html>`, Edit{Pixel: "https://t.example/o/1"}, `<body>x` + pixel + `</body></html>`},
		{"pixel before the end of the document", `<html>x</html>`, Edit{Pixel: "https://t.example/o/1"}, `<html>x` + pixel + `</html>`},
		{"pixel at the end of a fragment", `<p>x`, Edit{Pixel: "https://t.example/o/1"}, `<p>x` + pixel},
		{"pixel before a comment that never ends", `x<!-- y`, Edit{Pixel: "https://t.example/o/1"}, `x` + pixel + `<!-- y`},
		{"pixel before a style that never ends", `x<style>y</body>`, Edit{Pixel: "https://t.example/o/1"}, `x` + pixel + `<style>y</body>`},
		{"pixel before a tag that never ends", `x<b y="`, Edit{Pixel: "https://t.example/o/1"}, `x` + pixel + `<b y="`},
		{"pixel on top of the body", `<html><head><title>t</title></head><body class=x>y`, Edit{Pixel: "https://t.example/o/1", PixelTop: true}, `<html><head><title>t</title></head><body class=x>` + pixel + `y`},
		{"pixel on top of a fragment", " <style>s</style>\n<p>y", Edit{Pixel: "https://t.example/o/1", PixelTop: true}, " <style>s</style>\n" + pixel + `<p>y`},
		{"pixel on top of an empty document", ``, Edit{Pixel: "https://t.example/o/1", PixelTop: true}, pixel},
		{"pixel on top of a head alone", `<head></head>`, Edit{Pixel: "https://t.example/o/1", PixelTop: true}, `<head></head>` + pixel},
		{"footer before the pixel", `<body>x</body>`, Edit{Footer: "<hr>", Pixel: "https://t.example/o/1"}, `<body>x<hr>` + pixel + `</body>`},
		{"links of ours stay ours", `<a href="%unsubscribe_url%">u</a>`, Edit{Places: places, Link: func(u string) (string, bool) {
			return "https://t.example/c/1", !strings.HasPrefix(u, "https://t.example/u/")
		}}, `<a href="https://t.example/u/1">u</a>`},
		{"footer with a place", `<body>x</body>`, Edit{Places: places, Link: to, Footer: `<a href="%unsubscribe_url%">u</a>`}, `<body>x<a href="https://t.example/u/1">u</a></body>`},
		{"places of others", `%recipient.x% %unsubscribe_email% 100%`, Edit{Places: places}, `%recipient.x% %unsubscribe_email% 100%`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := HTML(tt.src, tt.e); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestFollowed(t *testing.T) {
	tests := []struct{ link, want string }{
		{"https://example.com", "https://example.com"},
		{"HTTP://Example.com/A", "HTTP://Example.com/A"},
		{" \nhttps://example.com/a\n/b\t", "https://example.com/a/b"},
		{"https://example.com/a b", "https://example.com/a%20b"},
		{"https://example.com/%recipient.id%", ""},
		{"https://example.com/?u=%unsubscribe_url%", ""},
		{"https://example.com/?x=%20unsubscribe_url%20", "https://example.com/?x=%20unsubscribe_url%20"},
		{"https://example.com/%re", ""}, // no escape
		{"https://bücher.example/x", "https://xn--bcher-kva.example/x"},
		{"https://", ""}, {"https:///x", ""}, {"https://:80/x", ""}, {"http:", ""}, {"http", ""}, {"", ""}, {"http:/x", ""},
		{"httpx://example.com", ""}, {"mailto:a@example.com", ""}, {"tel:+49", ""}, {"#top", ""}, {"cid:x", ""}, {"data:,x", ""},
		{"https://example.com/\x01/", ""}, {"https://example.com/\x00/", ""}, {"https://exam\\ple.com", ""},
		{`https://exam"ple.com`, ""}, {"https://exam<ple.com", ""}, {"https://exam>ple.com", ""}, {`https://example.com\@example.org/`, ""},
		{"https://example.com/" + strings.Repeat("x", MaxURL), ""},
		{"https://example.com/" + strings.Repeat("x", MaxURL-20), "https://example.com/" + strings.Repeat("x", MaxURL-20)},
	}
	for _, tt := range tests {
		got, ok := followed(tt.link)
		if got = strings.TrimSpace(got); !ok {
			got = ""
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.link, got, tt.want)
		}
	}
}

// Undone, the changes leave the source; and the links are those that a tokenizer sees.
func FuzzHTML(f *testing.F) {
	for _, src := range newsletters(f) {
		if len(src) < 10_000 {
			f.Add(src, false)
		}
	}
	for _, src := range []string{`<a =href=x href=https://x.example>`, `<a/href=https://x.example/>`, `<a href = 'http://x.example`, "<a href\x00=http://x.example>", `<!--[if a]><a href=http://x.example><![endif]-->`, `<!--[if]-->]><![endif]-->`} {
		f.Add(src, true)
	}
	f.Fuzz(func(t *testing.T, src string, top bool) {
		if strings.Contains(src, "t.example") {
			return
		}
		r := &recorder{}
		e := Edit{Link: r.link, Pixel: "https://t.example/o/1", PixelTop: top, Footer: `<hr class="our-footer">`}
		if strings.Contains(src, e.Footer) {
			return
		}
		out := HTML(src, e)
		if back := reverted(t, src, out, e); back != src {
			t.Fatalf("%q became %q became %q", src, out, back)
		}
		// What our reading of a tag found is what the tokenizer understood.
		again := &recorder{}
		HTML(HTML(src, Edit{Link: r.link}), Edit{Link: func(u string) (string, bool) {
			if strings.HasPrefix(u, tracked) {
				again.links = append(again.links, u)
			}
			return "", false
		}})
		if first := (&recorder{}); true {
			HTML(src, Edit{Link: first.link})
			if len(first.links) != len(again.links) {
				t.Fatalf("%q: %d links became %d", src, len(first.links), len(again.links))
			}
		}
	})
}

// Our own reading of a tag gives what the tokenizer gives.
func FuzzAttribute(f *testing.F) {
	for _, tag := range []string{`<a href="x">`, `<a href>`, `<a href=>`, `<a href = x y>`, `<a / href='x'y>`, `<a =href=x>`, `<a a=b c href=x/>`, `<a "href"=x>`} {
		f.Add(tag)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		if !strings.HasPrefix(tag, "<a ") || strings.ContainsAny(tag, "&\x00\r") {
			return
		}
		z := html.NewTokenizer(strings.NewReader(tag))
		if k := z.Next(); k != html.StartTagToken && k != html.SelfClosingTagToken {
			return
		}
		raw := string(z.Raw())
		want, found := "", false
		for _, a := range z.Token().Attr {
			if a.Key == "href" {
				want, found = a.Val, a.Val != ""
				break
			}
		}
		start, end, ok := attribute(raw, "href")
		if ok != found || ok && raw[start:end] != want {
			t.Fatalf("%q: got %v %q, want %v %q", raw, ok, raw[start:end], found, want)
		}
	})
}

func BenchmarkHTML(b *testing.B) {
	src := newsletters(b)["clipped"]
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		HTML(src, Edit{Link: func(string) (string, bool) { return "https://t.example/c/1", true }, Pixel: "https://t.example/o/1"})
	}
}
