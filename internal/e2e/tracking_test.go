package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// startPublic starts a server that knows under which address it can be reached.
func (w *world) startPublic(t *testing.T) *rig {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	settings := strings.Replace(string(w.settings("")), "[http]\nlisten = \"127.0.0.1:0\"", fmt.Sprintf("[http]\nlisten = %q\npublic_url = %q", address, "http://"+address), 1)
	return w.startWith(t, []byte(settings))
}

// A visited is an event of a link, in the words of the contract.
type visited struct {
	Event       string `json:"event"`
	Recipient   string `json:"recipient"`
	URL         string `json:"url"`
	IP          string `json:"ip"`
	Geolocation struct{ Country, Region, City string }
	ClientInfo  struct {
		ClientType string  `json:"client-type"`
		ClientName string  `json:"client-name"`
		Bot        *string `json:"bot"`
	} `json:"client-info"`
	Tags    []string
	Message struct {
		Headers map[string]string `json:"headers"`
	} `json:"message"`
}

// visits returns the domain's events of links, oldest first.
func (rg *rig) visits(t *testing.T, domain string) []visited {
	t.Helper()
	_, data, err := rg.do(rg.http, "GET", rg.base+"/v3/"+domain+"/events", url.Values{"event": {"opened OR clicked OR unsubscribed"}, "ascending": {"yes"}, "begin": {"0"}})
	if err != nil {
		t.Fatal(err)
	}
	var page struct{ Items []visited }
	if err := json.Unmarshal(data, &page); err != nil {
		t.Fatal(err)
	}
	return page.Items
}

// follow asks for a link as a person's browser does, and does not go on.
func follow(t *testing.T, method, link string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp
}

var linkOf = regexp.MustCompile(`http://127\.0\.0\.1:\d+/([cou])/[A-Za-z0-9_-]+`)

// A newsletter to two people arrives as two signed letters, whose links tell them apart. Who
// follows one gets where it leads, and the log says so; who unsubscribes gets no more.
func TestTrackedNewsletter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.startPublic(t)
	rg.open(t, plainDomain)
	record := rg.records(t, plainDomain)
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})
	for setting, form := range map[string]url.Values{"open": {"active": {"yes"}}, "click": {"active": {"yes"}}, "unsubscribe": {"active": {"yes"}}} {
		rg.call(t, "PUT", "/v3/domains/"+plainDomain+"/tracking/"+setting, form)
	}
	people := []string{"ann@" + to.domain, "amy@" + to.domain}
	const target = "https://example.org/a?b=1&c=ü"
	id := rg.mustSubmit(t, plainDomain, "messages", form{
		{name: "from", value: "bob@" + plainDomain}, {name: "to", value: people[0]}, {name: "to", value: people[1]}, {name: "subject", value: "News"},
		{name: "text", value: "See https://example.org/text."}, {name: "html", value: `<body><p>Grüße</p><a href="https://example.org/a?b=1&amp;c=ü">see</a></body>`}, {name: "o:tag", value: "news"},
	})
	rg.outcomes(t, plainDomain, id, 2)
	clicks := map[string]string{}
	leave := ""
	for _, m := range to.Accepted() {
		verify(t, m.Content, record)
		view, err := compose.ReadView(strings.NewReader(string(m.Content)))
		if err != nil {
			t.Fatal(err)
		}
		who := m.Recipients[0]
		for _, link := range linkOf.FindAllStringSubmatch(view.BodyHTML, -1) {
			switch resp := follow(t, "GET", link[0]); link[1] {
			case "c":
				clicks[who] = link[0]
				if l := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || l != "https://example.org/a?b=1&c=%C3%BC" {
					t.Errorf("link of %s: %d to %q", who, resp.StatusCode, l)
				}
			case "o", "u":
				if resp.StatusCode != http.StatusOK {
					t.Errorf("link %s of %s: %d", link[1], who, resp.StatusCode)
				}
			}
		}
		if n := len(linkOf.FindAllString(view.BodyPlain, -1)); n != 2 || strings.Contains(view.BodyPlain, "example.org") {
			t.Errorf("text of %s is %q", who, view.BodyPlain)
		}
		leave = linkOf.FindString(view.Header("List-Unsubscribe"))
	}
	if len(clicks) != 2 || clicks[people[0]] == clicks[people[1]] {
		t.Fatalf("links are %v", clicks)
	}
	rg.checkVisits(t, id, people, target)
	if resp := follow(t, "GET", clicks[people[0]]+"x"); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Location") != "" {
		t.Errorf("a link with a letter more: %d", resp.StatusCode)
	}
	if resp := follow(t, "POST", leave); resp.StatusCode != http.StatusOK {
		t.Errorf("unsubscribe: %d", resp.StatusCode)
	}
	if got := rg.visits(t, plainDomain); len(got) != 5 || got[4].Event != "unsubscribed" {
		t.Errorf("events are %+v", got)
	} else if e := rg.outcome(t, plainDomain, rg.mustSubmit(t, plainDomain, "messages", form{
		{name: "from", value: "bob@" + plainDomain}, {name: "to", value: got[4].Recipient}, {name: "subject", value: "News"}, {name: "text", value: "More"},
	})); e.Event != "failed" || e.Status.Code != 606 {
		t.Errorf("mail after that: %s %+v", e.Event, e.Status)
	}
}

// checkVisits wants one open and one click of each.
func (rg *rig) checkVisits(t *testing.T, id string, people []string, target string) {
	t.Helper()
	count := map[string]int{}
	for _, v := range rg.visits(t, plainDomain) {
		count[v.Event+" "+v.Recipient]++
		if v.Message.Headers["message-id"] != id || v.IP != "127.0.0.1" || v.ClientInfo.ClientName != "Firefox" || v.ClientInfo.Bot == nil || v.Geolocation.Country != "Unknown" || len(v.Tags) != 1 {
			t.Errorf("event is %+v", v)
		}
		if v.Event == "clicked" && v.URL != target {
			t.Errorf("click leads to %q", v.URL)
		}
	}
	for _, who := range people {
		if count["opened "+who] != 1 || count["clicked "+who] != 1 {
			t.Errorf("events are %v", count)
		}
	}
}
