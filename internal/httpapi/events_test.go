package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
)

// A shownPage is a page as a client reads it.
type shownPage struct {
	Items  []struct{ ID, Event, Recipient string }
	Paging struct{ Next, Previous, First, Last string }
}

func (p shownPage) ids() []string {
	var ids []string
	for _, i := range p.Items {
		ids = append(ids, i.ID)
	}
	return ids
}

const base = "https://mail.example.net"

func (rg *rig) page(t failer, path string) shownPage {
	w := rg.call("admin", "GET", strings.TrimPrefix(path, base), nil)
	var p shownPage
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s %v", path, w.Code, w.Body, err)
	}
	for _, link := range []string{p.Paging.Next, p.Paging.Previous, p.Paging.First, p.Paging.Last} {
		token, ok := strings.CutPrefix(link, base+"/v3/example.com/events/")
		if u, err := url.Parse(link); !ok || err != nil || !u.IsAbs() || token == "" || strings.ContainsAny(token, "/?&=+ ") {
			t.Fatalf("GET %s: link %q", path, link)
		}
	}
	return p
}

type failer interface {
	Fatalf(format string, args ...any)
}

// follow reads pages by next until one is empty.
func (rg *rig) follow(t failer, path string) (ids []string, last shownPage) {
	for range 1000 {
		p := rg.page(t, path)
		if len(p.Items) == 0 {
			return ids, p
		}
		ids = append(ids, p.ids()...)
		path = p.Paging.Next
	}
	t.Fatalf("pages do not end")
	return nil, shownPage{}
}

// fill adds events to example.com, with others of example.org between them.
func (rg *rig) fill(n int, at func(i int) time.Time) {
	rg.store.mu.Lock()
	defer rg.store.mu.Unlock()
	types := []event.Type{event.Accepted, event.Delivered, event.FailedTemporary, event.FailedPermanent}
	for i := range n {
		r := event.Record{ID: rg.store.ids.Next(), Time: at(i), Type: types[i%len(types)], DomainID: 1, Recipient: fmt.Sprintf("r%d@example.net", i%5)}
		if i%7 == 3 {
			r.DomainID = 2
		}
		rg.store.events = append(rg.store.events, store.EventItem{Record: r, Meta: event.Meta{Tags: []string{fmt.Sprint("t", i%3)}}})
	}
}

func now(int) time.Time { return time.Now().UTC() }

// want lists the ids a search should find, oldest first.
func (rg *rig) want(keep func(event.Record) bool) []string {
	ids := []string{}
	for _, e := range rg.store.events {
		if e.DomainID == 1 && keep(e.Record) {
			ids = append(ids, e.ID.String())
		}
	}
	return ids
}

func everything(event.Record) bool { return true }

// Pages of a search, followed by next in either direction, are disjoint, complete
// and in order; previous and last walk the same pages back.
func TestPagesAreDisjointAndComplete(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rg := newRig(t)
		rg.fill(rapid.IntRange(0, 60).Draw(rt, "events"), now)
		limit := rapid.IntRange(1, 20).Draw(rt, "limit")
		ascending := rapid.Bool().Draw(rt, "ascending")
		filter, keep := "", everything
		if rapid.Bool().Draw(rt, "filtered") {
			filter, keep = "&event=failed", func(r event.Record) bool { return r.Type.String() == "failed" }
		}
		want := rg.want(keep)
		if !ascending {
			slices.Reverse(want)
		}
		path := fmt.Sprintf("/v3/example.com/events?limit=%d&ascending=%v%s", limit, ascending, filter)
		got, end := rg.follow(rt, path)
		if !slices.Equal(got, want) {
			rt.Fatalf("forward: got %v, want %v", got, want)
		}
		var back []string
		for p := rg.page(rt, end.Paging.Previous); len(p.Items) > 0; p = rg.page(rt, p.Paging.Previous) {
			if back = append(p.ids(), back...); len(back) > len(want) {
				rt.Fatalf("back from the end shows more than there is: %v, want %v", back, want)
			}
		}
		if !slices.Equal(back, want) {
			rt.Fatalf("back from the end: got %v, want %v", back, want)
		}
		last := rg.page(rt, end.Paging.Last)
		if tail := want[max(0, len(want)-limit):]; !slices.Equal(last.ids(), tail) && len(tail) > 0 {
			rt.Fatalf("last page: got %v, want %v", last.ids(), tail)
		}
		if p := rg.page(rt, last.Paging.Next); len(p.Items) != 0 && len(want) > 0 {
			rt.Fatalf("something after the last page: %v", p.ids())
		}
		if again, _ := rg.follow(rt, end.Paging.First); !slices.Equal(again, want) {
			rt.Fatalf("first: got %v, want %v", again, want)
		}
		if len(want) > 0 { // a page and back again
			one := rg.page(rt, path)
			two := rg.page(rt, one.Paging.Next)
			if again := rg.page(rt, two.Paging.Previous); !slices.Equal(again.ids(), one.ids()) {
				rt.Fatalf("previous of the second page: got %v, want %v", again.ids(), one.ids())
			}
		}
	})
}

// A client that polls an ascending search sees every event once, however events
// arrive between its calls.
func TestAscendingPollingMissesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rg := newRig(t)
		begin := time.Now().Add(-time.Second)
		path := fmt.Sprintf("/v3/example.com/events?ascending=yes&begin=%d.%06d&limit=%d&event=delivered+OR+failed",
			begin.Unix(), begin.Nanosecond()/1000, rapid.IntRange(1, 7).Draw(rt, "limit"))
		var got []string
		for range rapid.IntRange(1, 25).Draw(rt, "polls") {
			rg.fill(rapid.IntRange(0, 9).Draw(rt, "arrivals"), now)
			p := rg.page(rt, path)
			got = append(got, p.ids()...)
			path = p.Paging.Next
		}
		rest, _ := rg.follow(rt, path)
		got = append(got, rest...)
		if want := rg.want(func(r event.Record) bool { return r.Type != event.Accepted }); !slices.Equal(got, want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
}

// The newest page's previous shows what has come since.
func TestPreviousOfTheNewestPageShowsWhatCameSince(t *testing.T) {
	rg := newRig(t)
	rg.fill(10, now)
	p := rg.page(t, "/v3/example.com/events?limit=3")
	if n := rg.page(t, p.Paging.Previous); len(n.Items) != 0 {
		t.Errorf("newer than the newest: %v", n.ids())
	}
	seen := rg.want(everything)
	rg.fill(2, now)
	all := rg.want(everything)
	slices.Reverse(all)
	if n := rg.page(t, p.Paging.Previous); !slices.Equal(n.ids(), all[:len(all)-len(seen)]) {
		t.Errorf("got %v", n.ids())
	}
}

// Directions and bounds as the reference tells them; times are exact to the microsecond.
func TestRangeAndDirection(t *testing.T) {
	rg := newRig(t)
	start := time.Now().UTC().Add(-30 * time.Second).Truncate(time.Second) // within idSlack of the ids
	rg.fill(50, func(i int) time.Time { return start.Add(time.Duration(i) * time.Microsecond) })
	at := func(i int) string {
		us := start.Add(time.Duration(i) * time.Microsecond).UnixMicro()
		return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
	}
	all := rg.store.events
	between := func(from, to int, ascending bool) []string {
		ids := []string{}
		for i := from; i <= to; i++ {
			if all[i].DomainID == 1 {
				ids = append(ids, all[i].ID.String())
			}
		}
		if !ascending {
			slices.Reverse(ids)
		}
		return ids
	}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"", between(0, 49, false)},
		{"ascending=yes", between(0, 49, true)},
		{"ascending=no", between(0, 49, false)},
		{"begin=" + at(10) + "&ascending=yes", between(10, 49, true)},
		{"begin=" + at(10) + "&ascending=no", between(0, 10, false)},
		{"begin=" + at(10), between(10, 49, false)},
		{"end=" + at(10), between(0, 10, false)},
		{"end=" + at(10) + "&ascending=yes", between(0, 10, true)},
		{"begin=" + at(10) + "&end=" + at(20), between(10, 20, true)},
		{"begin=" + at(20) + "&end=" + at(10), between(10, 20, false)},
		{"begin=" + at(10) + "&end=" + at(20) + "&ascending=yes", between(10, 20, true)},
		{"begin=" + at(20) + "&end=" + at(10) + "&ascending=no", between(10, 20, false)},
		{"begin=" + at(10) + "&end=" + at(10), between(10, 10, true)},
		{"begin=" + url.QueryEscape(start.Format(time.RFC1123Z)) + "&ascending=yes", between(0, 49, true)},
		{"begin=" + url.QueryEscape(start.Add(time.Hour).Format(time.RFC1123)) + "&ascending=yes", nil},
	} {
		got, _ := rg.follow(t, "/v3/example.com/events?limit=7&"+c.query)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %d events %v, want %d %v", c.query, len(got), got, len(c.want), c.want)
		}
	}
	for _, query := range []string{"begin=" + at(10) + "&end=" + at(20) + "&ascending=no", "begin=" + at(20) + "&end=" + at(10) + "&ascending=yes"} {
		if w := rg.call("admin", "GET", "/v3/example.com/events?"+query, nil); w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, w.Code)
		}
	}
}

// The token wins over the query that clients send beside it, and a limit above the
// largest is the largest.
func TestTokenCarriesTheWholeQuery(t *testing.T) {
	rg := newRig(t)
	rg.fill(400, now)
	p := rg.page(t, "/v3/example.com/events?limit=2&event=delivered&ascending=yes")
	n := rg.page(t, p.Paging.Next+"?limit=50&event=accepted&ascending=no&begin=nonsense")
	if len(n.Items) != 2 || n.Items[0].Event != "delivered" || n.Items[0].ID <= p.Items[1].ID {
		t.Errorf("second page is %+v", n.Items)
	}
	if big := rg.page(t, "/v3/example.com/events?limit=1000"); len(big.Items) != maxEvents {
		t.Errorf("limit=1000 shows %d events", len(big.Items))
	}
	if plain := rg.page(t, "/v3/example.com/events"); len(plain.Items) != defaultEvents {
		t.Errorf("no limit shows %d events", len(plain.Items))
	}
}

// A search that finds little asks the store again until the end of the log: an
// empty page before it would be the end to clients.
func TestEmptyScansAreNotTheEnd(t *testing.T) {
	rg := newRig(t)
	rg.fill(50, now)
	rg.store.events[40].Recipient = "needle@example.net"
	rg.api.deps.Events = scanLimited{rg.store, 3}
	for _, ascending := range []string{"yes", "no"} {
		p := rg.page(t, "/v3/example.com/events?ascending="+ascending+"&subject=NOT+x&tags=t1&recipient=needle@example.net")
		if len(p.Items) != 1 {
			t.Errorf("ascending=%s found %d", ascending, len(p.Items))
		}
	}
}

type scanLimited struct {
	*fakeStore
	scan int
}

func (s scanLimited) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	q.Scan = s.scan
	return s.fakeStore.Events(ctx, q)
}

// slowAfter is a store that runs out of time after so many reads.
type slowAfter struct {
	*fakeStore
	reads *int
}

func (s slowAfter) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if *s.reads--; *s.reads < 0 {
		return store.EventPage{}, fmt.Errorf("list events: %w", store.ErrSlow)
	}
	q.Scan = 3
	return s.fakeStore.Events(ctx, q)
}

// A search that the store has no time for is answered with what was found, and if that is nothing, with
// 503: an empty page would say that there is nothing.
func TestSlowStore(t *testing.T) {
	rg := newRig(t)
	rg.fill(50, now)
	for reads, want := range map[int]int{0: 0, 2: 6} {
		rg.api.deps.Events = slowAfter{rg.store, &reads}
		if want == 0 {
			if w := rg.call("admin", "GET", "/v3/example.com/events", nil); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), errSlowSearch.Message) {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			continue
		}
		if p := rg.page(t, "/v3/example.com/events"); len(p.Items) != want || p.Paging.Next == "" {
			t.Errorf("found %d, next page %q", len(p.Items), p.Paging.Next)
		}
	}
}

// An expression that no event can match is answered without looking.
func TestImpossibleSearchIsNotScanned(t *testing.T) {
	rg := newRig(t)
	rg.fill(50, now)
	if p := rg.page(t, "/v3/example.com/events?event=list_uploaded"); len(p.Items) != 0 || rg.store.scanned != 0 {
		t.Errorf("found %d, looked at %d", len(p.Items), rg.store.scanned)
	}
}

// A token is foreign text: whatever it holds, the answer is a page or 400.
func FuzzToken(f *testing.F) {
	f.Add(cursor{search{Limit: 10}, position{}}.token())
	f.Add(cursor{search{Limit: 300, Ascending: true, From: 1, To: 5, Filters: url.Values{"event": {"failed"}}}, position{At: 7, Back: true}}.token())
	f.Add(cursor{search{Limit: 1}, position{Back: true, Last: true}}.token())
	f.Add("e30")
	f.Add("")
	rg := newRig(f)
	rg.fill(10, now)
	f.Fuzz(func(t *testing.T, token string) {
		c, err := parseToken(token)
		if err != nil {
			return
		}
		if again, err := parseToken(c.token()); err != nil || again.token() != c.token() {
			t.Errorf("%q does not survive a round trip: %v", token, err)
		}
		rg.page(t, "/v3/example.com/events/"+c.token())
	})
}
