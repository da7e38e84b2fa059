package markup

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "rewrite testdata")

// newsletters are documents as real senders write them, by name.
func newsletters(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/newsletters/*.html")
	if err != nil || len(files) < 12 {
		t.Fatalf("newsletters: %v, %v", files, err)
	}
	all := map[string]string{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".html")] = string(b)
	}
	all["crlf"] = strings.ReplaceAll(all["mailchimp"], "\n", "\r\n")
	all["huge-base64"] = strings.Replace(all["ghost"], "https://static.example.com/size/w600/logo.png",
		"data:image/png;base64,"+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("\x89PNG<a href="), 100_000)), 1)
	all["clipped"] = strings.Replace(all["tables"], "</table>\n</td>", strings.Repeat(`<tr><td><a href="https://example.com/row?n=1&amp;m=2">row</a></td></tr>`+"\n", 2000)+"</table>\n</td>", 1)
	return all
}

const tracked = "https://t.example/c/"

// A recorder replaces every link and remembers what stood there.
type recorder struct{ links []string }

func (r *recorder) link(u string) (string, bool) {
	r.links = append(r.links, u)
	return tracked + strconv.Itoa(len(r.links)-1) + "x", true
}

var trackedLink = regexp.MustCompile(regexp.QuoteMeta(tracked) + `(\d+)x`)

// reverted undoes all changes of HTML with the octets that the source had there.
func reverted(t testing.TB, src, out string, e Edit) string {
	t.Helper()
	r := &recorder{}
	d := scan(e.fill(src), r.link)
	// Found in the order of the document, so the changes have the numbers of the links.
	if !slices.IsSortedFunc(d.changes, func(a, b change) int { return a.start - b.start }) {
		t.Fatal("changes are not in order")
	}
	out = strings.Replace(out, e.Footer, "", 1)
	out = regexp.MustCompile(`<img src="https://t\.example/o/[^>]*>`).ReplaceAllString(out, "")
	return trackedLink.ReplaceAllStringFunc(out, func(s string) string {
		n, err := strconv.Atoi(trackedLink.FindStringSubmatch(s)[1])
		if err != nil || n >= len(d.changes) {
			t.Fatalf("link %q was never made", s)
		}
		return e.fill(src)[d.changes[n].start:d.changes[n].end]
	})
}

func TestNewslettersAreUnharmed(t *testing.T) {
	for name, src := range newsletters(t) {
		t.Run(name, func(t *testing.T) {
			for _, top := range []bool{false, true} {
				r := &recorder{}
				e := Edit{Link: r.link, Pixel: "https://t.example/o/1", PixelTop: top, Footer: `<span class="our-footer">bye</span>`}
				out := HTML(src, e)
				if back := reverted(t, src, out, e); back != src {
					t.Fatalf("octets besides links changed:\n%s", cmp.Diff(src, back))
				}
				if got, want := tree(t, out, r.links), tree(t, src, nil); got != want {
					t.Errorf("top %v: the document is another one (-want +got):\n%s", top, cmp.Diff(want, got))
				}
				if n := strings.Count(out, "https://t.example/o/1"); n != 1 {
					t.Errorf("has %d pixels", n)
				}
				if strings.Contains(strings.Join(r.links, " "), "never.example") {
					t.Errorf("touched what is no link: %q", r.links)
				}
			}
		})
	}
}

// tree is the document as a reader builds it, without what we add, and with tracked links as they were.
func tree(t *testing.T, src string, links []string) string {
	root, err := html.Parse(strings.NewReader(src))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	text := "" // not written yet: what we took out may have stood within it
	flush := func() {
		if text != "" {
			fmt.Fprintf(&b, "text %q\n", text)
		}
		text = ""
	}
	var walk func(n *html.Node, depth int)
	walk = func(n *html.Node, depth int) {
		ours := func(a html.Attribute) bool {
			return a.Key == "class" && a.Val == "our-footer" || a.Key == "src" && strings.HasPrefix(a.Val, "https://t.example/o/")
		}
		if slices.ContainsFunc(n.Attr, ours) {
			return
		}
		if n.Type == html.TextNode {
			text += n.Data
			return
		}
		flush()
		data := n.Data
		if n.Type == html.CommentNode {
			data = trackedLink.ReplaceAllString(data, "LINK")
			data = regexp.MustCompile(`(?i)href="https?://[^"]*"`).ReplaceAllString(data, `href="LINK"`)
		}
		fmt.Fprintf(&b, "%*s%d %s %q\n", depth, "", n.Type, n.Namespace, data)
		for _, a := range n.Attr {
			v := a.Val
			if m := trackedLink.FindStringSubmatch(v); m != nil && m[0] == v {
				i, _ := strconv.Atoi(m[1])
				v = links[i]
			} else if u, ok := followed(v); ok && a.Key == "href" {
				v = u
			}
			fmt.Fprintf(&b, "%*s %s %s=%q\n", depth, "", a.Namespace, a.Key, v)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, depth+1)
		}
		flush()
	}
	walk(root, 0)
	return b.String()
}

// The links of every newsletter, as they are followed. Those that must not be touched name
// never.example.
func TestLinksOfNewsletters(t *testing.T) {
	var out strings.Builder
	all := newsletters(t)
	for _, name := range []string{"amp", "fragment", "ghost", "latin1", "mailchimp", "mjml", "nested-quote", "outlook-vml", "placeholders", "preheader-only", "schemes", "sjis", "svg", "tables", "unclosed"} {
		r := &recorder{}
		HTML(all[name], Edit{Link: r.link})
		fmt.Fprintf(&out, "%s\n", name)
		for _, l := range r.links {
			fmt.Fprintf(&out, "\t%s\n", l)
		}
	}
	const golden = "testdata/links.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
