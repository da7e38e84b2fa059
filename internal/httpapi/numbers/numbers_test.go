package numbers_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/numbers"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// The contract, one case a file; see newStory for what happened.
func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newStory(t)
		return func(key string, r *http.Request) *httptest.ResponseRecorder {
			w := rg.do(key, r)
			if w.Header().Get("X-RateLimit-Remaining") != "" {
				w.Header().Set("X-RateLimit-Remaining", "499") // a new span may begin at any time
			}
			return w
		}
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range numbers.New(nil, nil, numbers.Config{}).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}

// Without start and end the totals are of eight days, today included, from midnight on.
func TestDefaultWindow(t *testing.T) {
	rg := newRig(t, 0)
	now := time.Now().UTC()
	rg.happen(t, now, "example.com", "a@example.net", nil, event.Accepted, event.Data{})
	var a struct {
		Start, End, Resolution string
		Stats                  []struct {
			Time     string
			Accepted struct{ Total int }
		}
	}
	w := rg.do("admin", httptest.NewRequest("GET", "/v3/example.com/stats/total?event=accepted", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	const format = "Mon, 02 Jan 2006 15:04:05 UTC"
	day := now.Truncate(24 * time.Hour)
	if len(a.Stats) != 8 || a.Stats[7].Time != day.Format(format) || a.Stats[0].Time != a.Start || a.End != day.Format(format) || a.Stats[7].Accepted.Total != 1 {
		if time.Now().UTC().Truncate(24 * time.Hour).Equal(day) { // else midnight came between
			t.Errorf("%+v", a)
		}
	}
}

// The tags of a domain in pages, forwards and back, each once.
func TestTagPages(t *testing.T) {
	rg := newRig(t, 0)
	var want []string
	for i := range 23 {
		tag := fmt.Sprintf("tag/%02d &ü", i)
		want = append(want, tag)
		rg.happen(t, monday, "example.com", "a@example.net", []string{tag, "other-" + tag}, event.Accepted, event.Data{})
	}
	type page struct {
		Items  []struct{ Tag string }
		Paging struct{ Next, Previous, First, Last string }
	}
	get := func(link string) page {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		var p page
		w := rg.do("admin", httptest.NewRequest("GET", u.RequestURI(), nil))
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s", link, w.Code, w.Body)
		}
		return p
	}
	for _, limit := range []int{1, 5, 23, 100} {
		var got []string
		p := get(fmt.Sprintf("/v3/example.com/tags?prefix=TAG&limit=%d", limit))
		last := p
		for len(p.Items) > 0 {
			for _, it := range p.Items {
				got = append(got, it.Tag)
			}
			last, p = p, get(p.Paging.Next)
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %d: %q", limit, got)
		}
		if back := get(p.Paging.Previous); limit > 1 && len(back.Items) == 0 {
			t.Errorf("by %d: nothing before the empty page", limit)
		}
		if p := get(last.Paging.Last); p.Items[len(p.Items)-1].Tag != want[22] {
			t.Errorf("by %d: the last page ends with %s", limit, p.Items[len(p.Items)-1].Tag)
		}
		got = nil
		for p := get(last.Paging.Last); len(p.Items) > 0; p = get(p.Paging.Previous) {
			for _, it := range slices.Backward(p.Items) {
				got = append(got, it.Tag)
			}
		}
		slices.Reverse(got)
		if !slices.Equal(got, want) {
			t.Errorf("back by %d: %q", limit, got)
		}
	}
}

// A tag is the same in every spelling of it and of its path, with all characters that it may have.
func TestTagForms(t *testing.T) {
	rg := newRig(t, 0)
	const tag = `Spring & "sale"/50% ü+`
	rg.happen(t, monday, "example.com", "a@example.net", []string{tag}, event.Accepted, event.Data{})
	for _, path := range []string{"/tags/" + url.PathEscape(tag), "/tag?tag=" + url.QueryEscape(tag), "/tags/" + url.PathEscape(strings.ToUpper(tag))} {
		w := rg.do("admin", httptest.NewRequest("GET", "/v3/example.com"+path, nil))
		var a struct{ Tag string }
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Tag != tag {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// Every metric, for every dimension that there is, adds up to the same.
func TestDimensionsAddUp(t *testing.T) {
	rg := newStory(t)
	body := `{"start":"Sun, 23 Feb 2025 00:00:00 +0000","end":"Wed, 26 Feb 2025 00:00:00 +0000","dimensions":[%s],"include_aggregates":true,"include_subaccounts":true,"pagination":{"limit":1000}}`
	read := func(dimensions string) map[string]any {
		t.Helper()
		var a struct {
			Aggregates struct{ Metrics map[string]any }
		}
		w := rg.post("admin", "/v1/analytics/metrics", fmt.Sprintf(body, dimensions))
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s", dimensions, w.Code, w.Body)
		}
		return a.Aggregates.Metrics
	}
	want := read("")
	if want["accepted_count"] != 6.0 || want["opened_count"] != 2.0 || want["unique_opened_count"] != 1.0 || want["delivered_rate"] != "0.7500" {
		t.Errorf("without dimensions: %v", want)
	}
	for _, d := range []string{`"time"`, `"domain"`, `"subaccount"`, `"recipient_domain"`, `"recipient_provider"`, `"domain","time"`, `"time","recipient_domain","domain"`} {
		got := read(d)
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s: %s is %v, want %v", d, name, got[name], want[name])
			}
		}
	}
	if w := rg.post("admin", "/v1/analytics/metrics", fmt.Sprintf(body, `"tag","recipient_domain"`)); w.Code != 400 {
		t.Errorf("tag and recipient domain: %d", w.Code)
	}
}

// Nobody learns numbers of domains that are not theirs.
func TestWhoSeesWhat(t *testing.T) {
	rg := newStory(t)
	for _, c := range []struct {
		key, sub string
		want     float64
	}{{"admin", "false", 5}, {"admin", "true", 6}, {"own-admin", "true", 4}, {"sub", "true", 1}} {
		var a struct {
			Items []struct{ Metrics map[string]float64 }
		}
		w := rg.post(c.key, "/v1/analytics/metrics", `{"end":"Wed, 26 Feb 2025 00:00:00 +0000","metrics":["accepted_count"],"include_subaccounts":`+c.sub+`}`)
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || len(a.Items) != 1 || a.Items[0].Metrics["accepted_count"] != c.want {
			t.Errorf("%s, sub-accounts %s: %d %s", c.key, c.sub, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/v3/example.org/tags", "/v3/example.org/tags/news", "/v3/nowhere.example/tags", "/v3/example.org/aggregates/devices", "/v3/domains/example.org/limits/tag"} {
		if w := rg.do("own-admin", httptest.NewRequest("GET", path, nil)); w.Code != 404 || !strings.Contains(w.Body.String(), "Domain not found") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w := rg.do("sending", httptest.NewRequest("GET", path, nil)); w.Code != 401 {
			t.Errorf("%s with a sending key: %d", path, w.Code)
		}
	}
}

func FuzzMetrics(f *testing.F) {
	rg := newLimitedStory(f, 1<<30)
	f.Add([]byte(`{"start":"Wed, 25 Jun 2025 00:00:00 +0000","duration":"1m","resolution":"hour","dimensions":["time","tag"],"metrics":["opened_rate"],"filter":{"AND":[{"attribute":"tag","comparator":"contains","values":[{"value":"n"}]}]},"pagination":{"sort":"time:desc","skip":1,"limit":2}}`))
	f.Add([]byte(`{"end":"253402300799","duration":"999999h"}`))
	f.Add([]byte(`{"dimensions":["recipient_provider"],"filter":{"AND":[{"attribute":"recipient_provider","comparator":"=","values":[{"value":"Gmail"}]}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/analytics/metrics", "/v1/analytics/usage/metrics", "/v1/analytics/tags"} {
			if w := rg.post("admin", path, string(body)); w.Code != 200 && w.Code != 400 && w.Code != 413 {
				t.Errorf("%s %q: status %d: %s", path, body, w.Code, w.Body)
			}
		}
	})
}

func FuzzStats(f *testing.F) {
	rg := newLimitedStory(f, 1<<30)
	f.Add("event=accepted&filter=domain:example.com+AND+tag:news&group=tag&duration=3d&resolution=month")
	f.Add("event=opened&start=1&end=2&tag=%00&limit=-1&page=prev&prefix=%ff")
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/v3/stats/filter", "/v3/stats/total/domains", "/v3/example.com/stats/total", "/v3/example.com/stats", "/v3/example.com/tags", "/v3/example.com/tag", "/v3/example.com/tag/stats", "/v3/example.com/tag/stats/aggregates"} {
			r := httptest.NewRequest("GET", path, nil)
			r.URL.RawQuery = query
			if w := rg.do("admin", r); w.Code != 200 && w.Code != 400 && w.Code != 404 {
				t.Errorf("%s?%q: status %d: %s", path, query, w.Code, w.Body)
			}
		}
	})
}
