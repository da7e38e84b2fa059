package tracking

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/tracking/visit"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// A page is what people see who follow a link to unsubscribe. It needs no script, loads
// nothing, and its form can go nowhere but to where it came from.
type page struct {
	template *template.Template
	policy   string
}

// content is what a page says.
type content struct {
	Title, Text string
	Tags        []string
	Recipient   string
	Button      string // empty: there is nothing to do
	Done        bool
	Style       template.CSS
}

func newPage() page {
	sum := sha256.Sum256([]byte(pageCSS))
	return page{
		template: template.Must(template.New("page").Parse(pageHTML)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
}

// reply writes the page.
func (p page) reply(w http.ResponseWriter, status int, c content) error {
	c.Style = template.CSS(pageCSS) // ours
	var b bytes.Buffer
	if err := p.template.Execute(&b, c); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	private(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", p.policy)
	w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // an answer that nobody reads is no error of ours
	return nil
}

func ask(w visit.Wish) content {
	c := content{Title: "Unsubscribe?", Text: "You will get no more mail from " + w.Domain + ".", Recipient: masked(w.Recipient), Button: "Unsubscribe"}
	if len(w.Tags) > 0 {
		c.Text, c.Tags = "You will get no more mail of these kinds from "+w.Domain+":", w.Tags
	}
	return c
}

func done(w visit.Wish) content {
	c := ask(w)
	c.Title, c.Button, c.Done = "You are unsubscribed", "", true
	return c
}

// masked shows an address to whom it belongs, and not to others who get to see the link.
func masked(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return ""
	}
	_, size := utf8.DecodeRuneInString(address)
	return address[:size] + "…" + address[at:]
}
