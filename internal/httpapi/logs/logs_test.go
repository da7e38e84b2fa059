package logs_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/logs"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

var tokens = regexp.MustCompile(`"(previous|next|first|last)":"[A-Za-z0-9_-]{20,}"`)

// The contract, one case a file; see rig for the keys.
func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		rg.mail(t, "example.com", "ann@example.net", []string{"Welcome"}, event.Accepted, event.Delivered)
		rg.mail(t, "example.org", "bo@example.net", nil, event.Accepted, event.FailedPermanent)
		rg.mail(t, "sub.example", "cy@example.net", nil, event.Accepted)
		return func(key string, r *http.Request) *httptest.ResponseRecorder {
			w := rg.do(key, r)
			b := tokens.ReplaceAllString(w.Body.String(), `"$1":"TOKEN"`)
			w.Body.Reset()
			w.Body.WriteString(b)
			if w.Header().Get("X-RateLimit-Remaining") != "" {
				w.Header().Set("X-RateLimit-Remaining", "499") // a new span may begin at any time
			}
			return w
		}
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range logs.New(nil, nil, logs.Config{}).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}

// An account that asks too often is told to wait, and how long.
func TestLimit(t *testing.T) {
	rg := newLimitedRig(t, 2)
	for range 100 { // a new span may begin between the first and the third
		r := httptest.NewRequest("POST", "/v1/analytics/logs", strings.NewReader(`{}`))
		w := rg.do("admin", r)
		if w.Code != 429 {
			continue
		}
		if wait, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || wait < 1 || wait > 10 || w.Header().Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("fields %v", w.Header())
		}
		return
	}
	t.Error("nobody is told to wait")
}

// The very request of Ghost's log client (as of autumn 2026), page by page.
func TestGhost(t *testing.T) {
	rg := newRig(t)
	began := time.Now()
	begin := began.Add(-time.Minute)
	var want []string
	for i := range 130 {
		m := rg.mail(t, "example.com", fmt.Sprintf("r%d@example.net", i), []string{"bulk-email", "ghost-email"}, event.Accepted, event.Delivered)
		want = append(want, m.Events[1].ID.String())
		rg.mail(t, "example.com", "x@example.net", []string{"bulk-email"}, event.Delivered)
		rg.mail(t, "example.org", "x@example.net", []string{"bulk-email", "ghost-email"}, event.Delivered)
	}
	m := rg.mail(t, "example.com", "gone@example.net", []string{"bulk-email", "ghost-email"}, event.FailedPermanent)
	want = append(want, m.Events[0].ID.String())
	rfc2822 := func(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05") + " -0000" }
	body := func(token string) string {
		if token != "" {
			token = `,"token":` + strconv.Quote(token)
		}
		return `{"start":"` + rfc2822(begin.Truncate(time.Second)) + `","end":"` + rfc2822(time.Now().Add(time.Second)) + `",
			"events":["delivered","opened","failed","unsubscribed","complained"],"include_subaccounts":false,"include_totals":false,
			"filter":{"AND":[{"attribute":"domain","comparator":"=","values":[{"label":"example.com","value":"example.com"}]},
				{"attribute":"tag","comparator":"=","values":[{"label":"bulk-email","value":"bulk-email"}]},
				{"attribute":"tag","comparator":"=","values":[{"label":"ghost-email","value":"ghost-email"}]}]},
			"pagination":{"sort":"timestamp:asc","limit":100` + token + `}}`
	}
	var got []string
	token := ""
	for pages := 1; ; pages++ {
		p := rg.ask(t, "admin", body(token))
		for _, it := range p.Items {
			got = append(got, it["id"].(string))
			checkGhostItem(t, it, began)
		}
		if token = p.Pagination.Next; token == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d in their order", len(got), len(want))
	}
	r := httptest.NewRequest("POST", "/v1/analytics/logs", strings.NewReader(body("")))
	r.Header.Set("Content-Type", "application/json")
	h := rg.do("admin", r).Header()
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if left, lerr := strconv.Atoi(h.Get("X-RateLimit-Remaining")); err != nil || lerr != nil || left < 1 || time.Until(time.UnixMilli(reset)) > time.Minute {
		t.Errorf("limit fields %v", h)
	}
}

// checkGhostItem reads an item of this test as Ghost does.
func checkGhostItem(t *testing.T, it map[string]any, began time.Time) {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000Z", it["@timestamp"].(string))
	if err != nil || at.Before(began.Truncate(time.Millisecond)) || at.After(time.Now()) {
		t.Errorf("@timestamp %v", it["@timestamp"])
	}
	if _, there := it["timestamp"]; there {
		t.Error("timestamp is shown as well")
	}
	status := it["delivery-status"].(map[string]any)
	if it["recipient"].(string) == "" || it["domain"].(map[string]any)["name"] != "example.com" || it["user-variables"] != `{"email-id":"17"}` ||
		it["message"].(map[string]any)["headers"].(map[string]any)["message-id"] != "20250224224403.1d63@example.com" || status["code"].(float64) < 200 {
		t.Errorf("item %v", it)
	}
}

// Pages of every size, over one domain, some and many, in both directions, with what is written meanwhile:
// every event once and in order, forwards and back again.
func TestPaging(t *testing.T) {
	var many []string
	for i := range 25 {
		many = append(many, fmt.Sprintf("d%d.example", i))
	}
	rg := newRig(t, many...)
	names := append([]string{"example.com", "example.org"}, many...)
	var all []string
	of := map[string][]string{}
	for i := range 40 {
		name := names[i*i%len(names)]
		for _, e := range rg.mail(t, name, "ann@example.net", nil, event.Accepted, event.Delivered).Events {
			all = append(all, e.ID.String())
			of[name] = append(of[name], e.ID.String())
		}
	}
	two := slices.Concat(of["example.com"], of["d1.example"])
	slices.Sort(two)
	filter := func(domains ...string) string {
		var v []string
		for _, d := range domains {
			v = append(v, fmt.Sprintf(`{"value":%q}`, d))
		}
		return `"filter":{"AND":[{"attribute":"domain","comparator":"=","values":[` + strings.Join(v, ",") + `]}]},`
	}
	for _, c := range []struct {
		name, filter string
		want         []string
	}{{"one domain", filter("example.com"), of["example.com"]}, {"two domains", filter("example.com", "d1.example"), two}, {"all domains", "", all}} {
		for _, limit := range []int{2, 7, 100} {
			asc := fmt.Sprintf(`{%s"pagination":{"sort":"timestamp:asc","limit":%d}}`, c.filter, limit)
			if got := rg.ids(t, "admin", asc, next); !slices.Equal(got, c.want) {
				t.Errorf("%s by %d: %d events, want %d in their order", c.name, limit, len(got), len(c.want))
			}
			down := slices.Clone(c.want)
			slices.Reverse(down)
			if got := rg.ids(t, "admin", strings.Replace(asc, "asc", "desc", 1), next); !slices.Equal(got, down) {
				t.Errorf("%s by %d, newest first: %d events, want %d in their order", c.name, limit, len(got), len(down))
			}
			checkBack(t, rg, c.name, asc, c.want)
		}
	}
}

// checkBack follows previous from the last page; pages come last first, each in order.
func checkBack(t *testing.T, rg *rig, name, body string, want []string) {
	t.Helper()
	first := rg.ask(t, "admin", body)
	var got []string
	for token := first.Pagination.Last; token != ""; {
		p := rg.ask(t, "admin", fmt.Sprintf(`{"pagination":{"token":%q}}`, token))
		var ids []string
		for _, it := range p.Items {
			ids = append(ids, it["id"].(string))
		}
		got = append(ids, got...)
		if p.Pagination.Next != "" && len(ids) > 0 { // forwards again is where we came from
			if q := rg.ask(t, "admin", fmt.Sprintf(`{"pagination":{"token":%q}}`, p.Pagination.Next)); len(q.Items) > 0 && q.Items[0]["id"] != got[len(ids)] {
				t.Errorf("%s: next of a previous page begins with %v", name, q.Items[0]["id"])
			}
		}
		token = p.Pagination.Previous
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s, back: %d events, want %d in their order", name, len(got), len(want))
	}
}

// What the caller may not know of is in no answer, whatever is asked for.
func TestWhoSeesWhat(t *testing.T) {
	rg := newRig(t)
	own := rg.mail(t, "example.com", "a@example.net", nil, event.Accepted).Events[0].ID.String()
	org := rg.mail(t, "example.org", "a@example.net", nil, event.Accepted).Events[0].ID.String()
	sub := rg.mail(t, "sub.example", "a@example.net", nil, event.Accepted).Events[0].ID.String()
	for _, c := range []struct {
		key, body string
		want      []string
	}{
		{"admin", `{"pagination":{"sort":"timestamp:asc"}}`, []string{own, org}},
		{"admin", `{"include_subaccounts":true,"pagination":{"sort":"timestamp:asc"}}`, []string{own, org, sub}},
		{"admin", `{"filter":{"AND":[{"attribute":"domain","comparator":"=","values":[{"value":"sub.example"}]}]}}`, nil},
		{"own-admin", `{"include_subaccounts":true}`, []string{own}},
		{"sub", `{"include_subaccounts":true}`, []string{sub}},
		{"sub", `{"filter":{"AND":[{"attribute":"domain","comparator":"=","values":[{"value":"example.com"}]}]}}`, nil},
	} {
		if got := rg.ids(t, c.key, c.body, func(*page) string { return "" }); !slices.Equal(got, c.want) {
			t.Errorf("%s, %s: %v, want %v", c.key, c.body, got, c.want)
		}
	}
	// A token of somebody else shows no more than one's own.
	foreign := rg.ask(t, "admin", `{"include_subaccounts":true,"pagination":{"limit":1}}`).Pagination.First
	if got := rg.ids(t, "own-admin", fmt.Sprintf(`{"pagination":{"token":%q}}`, foreign), func(*page) string { return "" }); !slices.Equal(got, []string{own}) {
		t.Errorf("with a foreign token: %v", got)
	}
}

func TestConditions(t *testing.T) {
	rg := newRig(t)
	a := rg.mail(t, "example.com", "Ann@Example.net", []string{"News", "x"}, event.Accepted, event.FailedTemporary)
	b := rg.mail(t, "example.com", "bo@other.example", []string{"newsletter"}, event.Accepted, event.Delivered)
	ids := []string{a.Events[0].ID.String(), a.Events[1].ID.String(), b.Events[0].ID.String(), b.Events[1].ID.String()}
	for _, c := range []struct {
		attribute, comparator, values string
		want                          []int
	}{
		{"tag", "=", `{"value":"news"}`, []int{0, 1}},
		{"tags", "!=", `{"value":"NEWS"}`, []int{2, 3}},
		{"tag", "contains", `{"value":"news"}`, []int{0, 1, 2, 3}},
		{"tag", "not contains", `{"value":"letter"}`, []int{0, 1}},
		{"tag", "=", `{"value":"x"},{"value":"newsletter"}`, []int{0, 1, 2, 3}},
		{"recipient", "=", `{"value":"ann@example.net"}`, []int{0, 1}},
		{"recipient", "contains", `{"value":"@other"}`, []int{2, 3}},
		{"recipient_domain", "=", `{"value":"example.net"}`, []int{0, 1}},
		{"event", "=", `{"value":"failed"}`, []int{1}},
		{"severity", "=", `{"label":"temporary"}`, []int{1}},
		{"reason", "=", `{"value":"bounce"}`, []int{1}},
		{"message-id", "=", `{"value":"<20250224224403.1d63@example.com>"}`, []int{0, 1, 2, 3}},
		{"message.headers.message-id", "=", `{"value":"nothing"}`, nil},
		{"subject", "contains", `{"value":"HELL"}`, []int{0, 1, 2, 3}},
		{"from", "=", `{"value":"bob"}`, nil},
		{"ip", "=", `{"value":"192.0.2.10"}`, []int{3}},
		{"subaccount", "=", `{"value":"1"}`, []int{0, 1, 2, 3}},
		{"subaccount", "!=", `{"value":"1"}`, nil},
		{"domain", "contains", `{"value":".COM"}`, []int{0, 1, 2, 3}},
	} {
		body := fmt.Sprintf(`{"filter":{"AND":[{"attribute":%q,"comparator":%q,"values":[%s]}]},"include_totals":true,"pagination":{"sort":"timestamp:asc"}}`, c.attribute, c.comparator, c.values)
		var want []string
		for _, i := range c.want {
			want = append(want, ids[i])
		}
		if got := rg.ids(t, "admin", body, next); !slices.Equal(got, want) {
			t.Errorf("%s %s %s: %v, want %v", c.attribute, c.comparator, c.values, got, want)
		}
		if p := rg.ask(t, "admin", body); p.Pagination.Total == nil || *p.Pagination.Total != len(want) {
			t.Errorf("%s %s %s: total %v", c.attribute, c.comparator, c.values, p.Pagination.Total)
		}
	}
	for body, want := range map[string]int{
		`{"events":["accepted"]}`: 2, `{"events":["accepted","failed"]}`: 3, `{"metric_events":["delivered_count"]}`: 1, `{"events":["list_uploaded"]}`: 0, `{"events":["permanent_fail"]}`: 0,
		`{"duration":"1h"}`: 4, `{"end":"Mon, 02 Jan 2006 15:04:05 -0000"}`: 0, `{}`: 4, ``: 4,
	} {
		if got := len(rg.ask(t, "admin", body).Items); got != want {
			t.Errorf("%s: %d events, want %d", body, got, want)
		}
	}
}

// Whatever comes as a body or a token: an answer, and never a fault of ours.
func FuzzRequest(f *testing.F) {
	rg := newLimitedRig(f, 1<<30)
	rg.mail(f, "example.com", "a@example.net", []string{"t"}, event.Accepted)
	f.Add([]byte(`{"start":"Wed, 25 Jun 2025 00:00:00 -0000","events":["delivered"],"filter":{"AND":[{"attribute":"tag","comparator":"=","values":[{"value":"t"}]}]},"pagination":{"sort":"timestamp:asc","limit":3}}`), "")
	f.Add([]byte(`{"duration":"5m","pagination":{"limit":-1}}`), rg.ask(f, "admin", `{}`).Pagination.First)
	f.Add([]byte(`[]`), "e30")
	f.Fuzz(func(t *testing.T, body []byte, token string) {
		for _, b := range []string{string(body), fmt.Sprintf(`{"pagination":{"token":%q}}`, token)} {
			r := httptest.NewRequest("POST", "/v1/analytics/logs", strings.NewReader(b))
			r.Header.Set("Content-Type", "application/json")
			if w := rg.do("admin", r); w.Code != 200 && w.Code != 400 && w.Code != 413 {
				t.Errorf("%q: status %d: %s", b, w.Code, w.Body)
			}
		}
	})
}
