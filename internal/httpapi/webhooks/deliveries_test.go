package webhooks_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// form makes a POST of parameters.
func form(path string, values url.Values) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

type delivery struct {
	URL     string  `json:"url"`
	Domain  string  `json:"domain"`
	Event   string  `json:"event-id"`
	Kind    string  `json:"event-type"`
	Attempt int     `json:"attempt"`
	Outcome string  `json:"outcome"`
	Code    int     `json:"code"`
	Seconds float64 `json:"seconds"`
	Answer  string  `json:"answer"`
}

// deliveries asks for the log until it has n entries.
func (rg *rig) deliveries(t *testing.T, key, query string, n int) []delivery {
	t.Helper()
	var list struct{ Items []delivery }
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		w := rg.call(key, httptest.NewRequest("GET", "/v1/sealpost/webhooks/deliveries?"+query, nil))
		list.Items = nil
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if len(list.Items) >= n {
			return list.Items
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("log %+v, want %d entries", list.Items, n)
		}
	}
}

// The log shows what a call came to, to those who own the domain, and an event that was
// deferred is told again when somebody asks.
func TestLogAndReplay(t *testing.T) {
	rg := newRig(t)
	const target = "http://a.example.com/fail"
	if w := rg.call("admin", form("/v3/domains/example.com/webhooks", url.Values{"id": {"delivered"}, "url": {target}})); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	id := rg.add(t, "example.com")
	got := rg.deliveries(t, "own-admin", "domain=example.com", 1)[0]
	if got.Seconds <= 0 {
		t.Errorf("it took %v s", got.Seconds)
	}
	got.Seconds = 0
	if want := (delivery{URL: target, Domain: "example.com", Event: id, Kind: "delivered", Attempt: 1, Outcome: "deferred", Code: 500, Answer: "database <b>is</b> down sorry"}); got != want {
		t.Errorf("log %+v, want %+v", got, want)
	}
	for _, key := range []string{"other-admin", "sub-admin"} {
		if n := len(rg.deliveries(t, key, "", 0)); n != 0 {
			t.Errorf("%s sees %d deliveries of others", key, n)
		}
		if w := rg.call(key, form("/v1/sealpost/webhooks/replay", url.Values{"event": {id}})); w.Code != 404 {
			t.Errorf("%s replays an event of others: %d %s", key, w.Code, w.Body)
		}
	}
	if w := rg.call("own-admin", form("/v1/sealpost/webhooks/replay", url.Values{"event": {id}})); w.Code != 200 || !strings.Contains(w.Body.String(), `"count":1`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if again := rg.deliveries(t, "admin", "event="+id, 2); again[0].Event != id {
		t.Errorf("log %+v", again)
	}
}
