package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// browser is what a person reads mail with.
const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// bodies returns the decoded leaf parts of a message by their media type.
func bodies(t *testing.T, content []byte) map[string]string {
	t.Helper()
	found := map[string]string{}
	e, err := message.Read(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	err = e.Walk(func(_ []int, e *message.Entity, err error) error {
		media, _, _ := e.Header.ContentType()
		if err != nil || strings.HasPrefix(media, "multipart/") {
			return err
		}
		text, err := io.ReadAll(e.Body)
		found[media] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// follow follows a link of a mail as a program does, without redirects and without a key.
func (c *client) follow(t *testing.T, method, link, agent, body string) *http.Response {
	t.Helper()
	u, err := url.Parse(link)
	ok(t, err)
	req, err := http.NewRequest(method, c.base+u.RequestURI(), strings.NewReader(body))
	ok(t, err)
	req.Host = u.Host
	req.Header.Set("User-Agent", agent)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := (&http.Client{Transport: c.http.Transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}).Do(req)
	ok(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// A letter with everything tracked, from the API to the recipient's clicks and back: the pixel,
// a link, the page to unsubscribe on and the one-click of RFC 8058; and then no more mail.
func TestTrackedLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settings := strings.Replace(string(w.settings("")), "[http]\n", "[http]\npublic_url = \"https://links.server.test\"\n", 1)
	rg := w.startWith(t, []byte(settings))
	rg.open(t, "example.com")
	mx := w.receive(t, "tracked", smtptest.Valid, smtptest.Behaviour{})
	letter := form{
		{name: "from", value: "bob@example.com"}, {name: "to", value: mx.address()}, {name: "subject", value: "News"},
		{name: "text", value: "See https://shop.example/a?b=1&c=2 or leave: %unsubscribe_url%"},
		{name: "html", value: `<p>See <a href="https://shop.example/a?b=1&amp;c=2">this</a>, <a href="%unsubscribe_url%">leave</a></p>`},
		{name: "o:tracking", value: "yes"}, {name: "o:tag", value: "tracked"}, {name: "v:order", value: "17"},
		{name: "h:List-Unsubscribe", value: "<%unsubscribe_url%>"}, {name: "h:List-Unsubscribe-Post", value: "List-Unsubscribe=One-Click"},
	}
	id := rg.mustSubmit(t, "example.com", "messages", letter)
	rg.outcome(t, "example.com", id)
	got := mx.Messages()[0].Content
	parts := bodies(t, got)
	find := func(text, expression string) string {
		t.Helper()
		m := regexp.MustCompile(expression).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in:\n%s", expression, text)
		}
		return m[1]
	}
	pixel := find(parts["text/html"], `src="(https://links\.server\.test/o/[^"]+)"`)
	click := find(parts["text/html"], `href="(https://links\.server\.test/c/[^"]+)"`)
	leave := find(parts["text/html"], `href="(https://links\.server\.test/u/[^"]+)"`)
	textClick := find(parts["text/plain"], `(https://links\.server\.test/c/\S+)`)
	header, _, _ := bytes.Cut(got, []byte("\r\n\r\n"))
	oneClick := find(strings.ReplaceAll(string(header), "\r\n", ""), `List-Unsubscribe: ?<(https://links\.server\.test/u/[^>]+)>`)

	if r := rg.follow(t, "GET", pixel, browser, ""); r.StatusCode != 200 || r.Header.Get("Content-Type") != "image/gif" {
		t.Errorf("the pixel answers %s", r.Status)
	}
	for _, link := range []string{click, textClick} {
		if r := rg.follow(t, "GET", link, browser, ""); r.StatusCode != 302 || r.Header.Get("Location") != "https://shop.example/a?b=1&c=2" {
			t.Errorf("the link answers %s to %s", r.Status, r.Header.Get("Location"))
		}
	}
	if r := rg.follow(t, "GET", click[:len(click)-2]+"xx", browser, ""); r.StatusCode != 404 && r.StatusCode != 400 {
		t.Errorf("a forged link answers %s", r.Status)
	}
	rg.follow(t, "GET", leave, "Barracuda Sentinel (EE)", "") // a scanner looks at the page
	events := func(kind string) []Event {
		t.Helper()
		list, err := rg.events("example.com", url.Values{"event": {kind}})
		ok(t, err)
		return list
	}
	if n := len(events("unsubscribed")); n != 0 {
		t.Fatalf("looking at the page unsubscribed %d times", n)
	}
	if r := rg.follow(t, "POST", oneClick, browser, "List-Unsubscribe=One-Click"); r.StatusCode != 200 {
		t.Errorf("one click answers %s", r.Status)
	}
	for kind, n := range map[string]int{"opened": 1, "clicked": 2, "unsubscribed": 1} {
		var list []Event
		await(t, kind, func() bool { list = events(kind); return len(list) >= n })
		if len(list) != n {
			t.Errorf("%d events %s", len(list), kind)
		}
		for _, e := range list {
			if e.Recipient != mx.address() || !slices.Equal(e.Tags, []string{"tracked"}) || e.Variables["order"] != "17" || e.Message.Headers.MessageID != id {
				t.Errorf("%s: %+v", kind, e)
			}
		}
	}
	rg.wantClientInfo(t)
	id = rg.mustSubmit(t, "example.com", "messages", letter)
	if e := rg.outcome(t, "example.com", id); e.Event != "failed" || e.Status.Code != 606 {
		t.Errorf("mail to somebody who left: %+v", e)
	}
	if n := len(mx.Messages()); n != 1 {
		t.Errorf("the receiver got %d messages", n)
	}
}

// wantClientInfo looks at what opened events say of the program.
func (rg *rig) wantClientInfo(t *testing.T) {
	t.Helper()
	status, data, err := rg.do(rg.http, "GET", rg.base+"/v3/example.com/events", url.Values{"event": {"opened"}})
	var page struct {
		Items []struct {
			IP     string `json:"ip"`
			Client struct {
				Name string `json:"client-name"`
				OS   string `json:"client-os"`
				Type string `json:"client-type"`
				Bot  string `json:"bot"`
			} `json:"client-info"`
			Geo map[string]string `json:"geolocation"`
		}
	}
	if err != nil || status != 200 || json.Unmarshal(data, &page) != nil || len(page.Items) != 1 {
		t.Fatalf("events: %d %s, %v", status, data, err)
	}
	if c := page.Items[0].Client; c.Name != "Firefox" || c.OS != "Linux" || c.Type != "browser" || c.Bot != "" || page.Items[0].IP != "127.0.0.1" {
		t.Error(fmt.Sprint(page.Items[0]))
	}
}
