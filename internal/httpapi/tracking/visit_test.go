package tracking

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
	links "github.com/sealpost/sealpost/internal/tracking"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"

func TestPixel(t *testing.T) {
	rg := newRig(t)
	w := rg.visit(t, "GET", rg.path(links.Link{Kind: links.Open}), "User-Agent", firefox)
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/gif" || w.Body.Len() != 43 || !strings.HasPrefix(w.Body.String(), "GIF89a") {
		t.Errorf("got %d %q of %d octets", w.Code, w.Header().Get("Content-Type"), w.Body.Len())
	}
	if c := w.Header().Get("Cache-Control"); !strings.Contains(c, "no-store") {
		t.Errorf("may be cached: %q", c)
	}
	got := rg.happened(t)
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	want := event.Record{ID: got[0].ID, Time: got[0].Time, Type: event.Opened, DomainID: 1, Message: messageID, Recipient: "Ann@example.net", Data: event.Data{Visit: &event.Visit{
		IP: "192.0.2.1", Client: event.ClientInfo{ClientType: "browser", ClientOS: "Linux", DeviceType: "desktop", ClientName: "Firefox", UserAgent: firefox}}}}
	if d := cmp.Diff(want, got[0].Record); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if w := rg.visit(t, "HEAD", rg.path(links.Link{Kind: links.Open})); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d octets", w.Code, w.Body.Len())
	}
	if got := rg.happened(t); len(got) != 2 || got[1].Data.Visit.Client.Bot != "generic" {
		t.Error("HEAD passes for a person")
	}
}

func TestClick(t *testing.T) {
	rg := newRig(t)
	for _, target := range []string{"https://example.com/x?a=1&b=2#c", "http://example.com/", "https://example.com/caf\u00e9?q=%C3%A9"} {
		w := rg.visit(t, "GET", rg.path(links.Link{Kind: links.Click, URL: target}), "User-Agent", firefox)
		if want := strings.ReplaceAll(target, "\u00e9", "%C3%A9"); w.Code != 302 || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q", target, w.Code, w.Header().Get("Location"))
		}
		if p := w.Header().Get("Referrer-Policy"); p != "no-referrer" {
			t.Errorf("Referrer-Policy is %q", p)
		}
		got := rg.happened(t)
		if last := got[len(got)-1]; last.Type != event.Clicked || last.Data.Visit.URL != target || last.Recipient != "Ann@example.net" {
			t.Errorf("%s: event is %+v", target, last.Record)
		}
	}
}

// A click is a person's only some time after the delivery.
func TestClicksAtOnceAreScanners(t *testing.T) {
	rg := newRig(t)
	path := rg.path(links.Link{Kind: links.Click, URL: "https://example.com/"})
	rg.visit(t, "GET", path, "User-Agent", firefox) // before the delivery
	delivered := event.Record{Type: event.Delivered, DomainID: 1, Message: messageID, Recipient: "Ann@example.net"}
	if err := rg.store.Record(t.Context(), &delivered); err != nil {
		t.Fatal(err)
	}
	rg.visit(t, "GET", path, "User-Agent", firefox)
	for i, e := range rg.happened(t) {
		if e.Data.Visit.Client.Bot != "generic" {
			t.Errorf("click %d is a person's", i)
		}
	}
}

// SEC-74: what is not a link of ours is never a redirect, whatever it is.
func TestNoOtherLinkLeadsAnywhere(t *testing.T) {
	rg := newRig(t)
	click := rg.path(links.Link{Kind: links.Click, URL: "https://example.com/"})
	token := click[len(links.ClickPath):]
	other := rg.keys.Seal(links.Link{Kind: links.Click, DomainID: 99, Message: messageID, URL: "https://example.com/"})
	for _, path := range []string{
		"/c/https://evil.example", "/c/https%3A%2F%2Fevil.example", "/c/" + token + "A", "/c/" + token[:len(token)-1], "/c/A" + token[1:], "/c/" + token + "?url=https://evil.example&x=" + token[:3],
		"/o/" + token, "/u/" + token, "/c/" + rg.path(links.Link{Kind: links.Open})[3:], "/c/" + other, "/c/x", "/u/x", "/o/x",
	} {
		w := rg.visit(t, "GET", path)
		ok := strings.Contains(path, "?url=") && w.Code == 302 && w.Header().Get("Location") == "https://example.com/"
		if !ok && (w.Code != 404 || w.Header().Get("Location") != "") {
			t.Errorf("%s: %d to %q", path, w.Code, w.Header().Get("Location"))
		}
	}
	for host, want := range map[string]int{
		"email.example.org": 404, "EXAMPLE.org:443": 404, "a.b.example.org.": 404, // another's
		"email.example.com": 302, "old.EXAMPLE.com:443": 302, "mail.example.net:8080": 302, // its own, and ours
		"127.0.0.1:8080": 302, "[::1]:80": 302, "sealpost": 302, "": 302, // behind a proxy
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://mail.example.net"+click, nil)
		r.Host = host
		if w := rg.do("", r); w.Code != want {
			t.Errorf("at %q: %d, want %d", host, w.Code, want)
		}
	}
}

// A link outlives what the log knows, but not its domain.
func TestForgottenMessages(t *testing.T) {
	rg := newRig(t)
	rg.message = messageID + 1 // of which nothing is known
	if w := rg.visit(t, "GET", rg.path(links.Link{Kind: links.Click, URL: "https://example.com/"})); w.Code != 302 {
		t.Errorf("click: %d", w.Code)
	}
	if w := rg.visit(t, "GET", rg.path(links.Link{Kind: links.Open})); w.Code != 200 {
		t.Errorf("open: %d", w.Code)
	}
	unsubscribe := rg.path(links.Link{Kind: links.Unsubscribe, Recipient: "ann@example.net"})
	if w := rg.visit(t, "POST", unsubscribe); w.Code != 200 || len(rg.suppressions.list) != 1 {
		t.Errorf("unsubscribe: %d, %q", w.Code, rg.suppressions.list)
	}
	if n := len(rg.happened(t)); n != 0 {
		t.Errorf("%d events", n)
	}
	if err := rg.store.DeleteDomain(t.Context(), "example.com"); err != nil {
		t.Fatal(err)
	}
	for _, l := range []links.Link{{Kind: links.Click, URL: "https://example.com/"}, {Kind: links.Open}, {Kind: links.Unsubscribe, Recipient: "a@b.example"}} {
		if w := rg.visit(t, "GET", rg.path(l)); w.Code != 404 {
			t.Errorf("kind %d of a deleted domain: %d", l.Kind, w.Code)
		}
	}
}

// RFC 8058 section 3.2, and what it warns of: programs follow links.
func TestUnsubscribe(t *testing.T) {
	rg := newRig(t)
	all := rg.path(links.Link{Kind: links.Unsubscribe, Recipient: "Ann@example.net"})
	tags := rg.path(links.Link{Kind: links.UnsubscribeTags, Recipient: "Ann@example.net", Tags: []string{"news", "<b>tag</b>"}})
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range []string{all, tags} {
			w := rg.visit(t, method, path)
			if w.Code != 200 || method == "GET" && !strings.Contains(w.Body.String(), `<form method="post"><button`) {
				t.Errorf("%s: %d %s", method, w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "Ann@") || strings.Contains(w.Body.String(), "<b>") {
				t.Errorf("page shows %s", w.Body)
			}
		}
	}
	if len(rg.suppressions.list)+len(rg.happened(t)) != 0 {
		t.Fatalf("looking unsubscribed: %q", rg.suppressions.list)
	}
	for range 2 {
		w := rg.visit(t, "POST", tags, "User-Agent", "Go-http-client/2.0")
		if w.Code != 200 || !strings.Contains(w.Body.String(), "You are unsubscribed") || strings.Contains(w.Body.String(), "<form") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	rg.visit(t, "POST", all)
	want := []string{"Ann@example.net news", "Ann@example.net <b>tag</b>", "Ann@example.net *"}
	if d := cmp.Diff(want, rg.suppressions.list); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	got := rg.happened(t)
	if len(got) != 3 || got[0].Type != event.Unsubscribed || got[0].Data.Visit.Client.Bot != "" {
		t.Errorf("events are %+v", got)
	}
}

// Who is told that it worked must not get mail again.
func TestUnsubscribeThatFails(t *testing.T) {
	rg := newRig(t)
	rg.suppressions.err = errors.New("disk on fire")
	w := rg.visit(t, "POST", rg.path(links.Link{Kind: links.Unsubscribe, Recipient: "ann@example.net"}))
	if w.Code != 500 || strings.Contains(w.Body.String(), "unsubscribed") || len(rg.happened(t)) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPageIsSafe(t *testing.T) {
	rg := newRig(t)
	w := rg.visit(t, "GET", rg.path(links.Link{Kind: links.Unsubscribe, Recipient: "ann@example.net"}))
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "style-src 'sha256-"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %s", csp, want)
		}
	}
	if body := w.Body.String(); strings.Contains(body, "<script") || !strings.Contains(body, "<style>"+pageCSS+"</style>") {
		t.Errorf("page is %s", body)
	}
}

// SEC-75: who reads the log must not be able to unsubscribe anybody.
func TestLinksAreNotLogged(t *testing.T) {
	rg := newRig(t)
	rg.suppressions.err = errors.New("disk on fire")
	var tokens []string
	for _, l := range []links.Link{{Kind: links.Open}, {Kind: links.Click, URL: "https://example.com/"}, {Kind: links.Unsubscribe, Recipient: "ann@example.net"}} {
		path := rg.path(l)
		tokens = append(tokens, path[3:])
		rg.visit(t, "GET", path)
		rg.visit(t, "POST", path)
	}
	if !strings.Contains(rg.log.String(), "/u/{link}") {
		t.Errorf("log does not tell of visits: %s", rg.log)
	}
	for _, token := range tokens {
		if strings.Contains(rg.log.String(), token) {
			t.Errorf("log holds a link: %s", rg.log)
		}
	}
}

// One link cannot fill the log, and guessing links ends soon.
func TestLimits(t *testing.T) {
	rg := newRig(t)
	open := rg.path(links.Link{Kind: links.Open})
	for range 50 {
		if w := rg.visit(t, "GET", open); w.Code != 200 {
			t.Fatalf("status %d", w.Code)
		}
	}
	if n := len(rg.happened(t)); n != 20 {
		t.Errorf("50 loads of one image made %d events", n)
	}
	codes := map[int]int{}
	for range 100 {
		codes[rg.visit(t, "GET", "/c/AAAA").Code]++
	}
	if codes[404] != 60 || codes[429] != 40 {
		t.Errorf("answers to guesses are %v", codes)
	}
	if w := rg.visit(t, "GET", open); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d", w.Code)
	}
}

func TestSettingsAreKept(t *testing.T) {
	rg := newRig(t)
	for path, form := range map[string]string{"open": "active=yes&place_at_the_top=yes", "click": "active=htmlonly", "unsubscribe": "active=yes&html_footer=a%0D%0Ab"} {
		r := rg.visitForm(t, "/v3/domains/example.com/tracking/"+path, form)
		if r != 200 {
			t.Errorf("%s: %d", path, r)
		}
	}
	d, err := rg.store.Domain(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := store.Tracking{Opens: true, PixelTop: true, Clicks: store.ClicksHTML, Unsubscribe: true, HTMLFooter: "a\nb"}
	if d := cmp.Diff(want, d.Settings.Tracking); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	audit, err := rg.store.AuditLog(t.Context(), store.AuditQuery{Limit: 10})
	if err != nil || len(audit) < 3 || audit[0].After["tracking-opens"]+audit[1].After["tracking-opens"]+audit[2].After["tracking-opens"] != "yes" {
		t.Errorf("audit log is %+v, %v", audit, err)
	}
	if code := rg.visitForm(t, "/v3/domains/example.com/tracking/unsubscribe", "html_footer="+strings.Repeat("x", maxFooter)); code != 200 {
		t.Errorf("the longest footer: %d", code)
	}
	for name, footer := range map[string]string{"long": strings.Repeat("x", maxFooter+1), "not text": "%FF", "NUL": "%00"} {
		if code := rg.visitForm(t, "/v3/domains/example.com/tracking/unsubscribe", "html_footer="+footer); code != 400 {
			t.Errorf("%s: %d", name, code)
		}
	}
}

func TestMasked(t *testing.T) {
	for address, want := range map[string]string{"ann@example.net": "a…@example.net", "ü@example.net": "ü…@example.net", `"a@b"@example.net`: `"…@example.net`, "": "", "@x": ""} {
		if got := masked(address); got != want {
			t.Errorf("%q: got %q", address, got)
		}
	}
}
