package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/apiclient"
)

// fakeEvents is the events API of some domains, with the promises that following
// rests on: tokens are positions, and the next link of the last page goes on later.
type fakeEvents struct {
	mu      sync.Mutex
	domains []string
	log     map[string][]fakeEvent
	down    bool
	asked   int
}

type fakeEvent struct {
	ID        string  `json:"id"`
	Event     string  `json:"event"`
	Timestamp float64 `json:"timestamp"`
	Recipient string  `json:"recipient"`
}

// happen adds an event at the bubble's present.
func (f *fakeEvents) happen(domain, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.domains, domain) {
		f.domains = append(f.domains, domain)
	}
	f.log[domain] = append(f.log[domain], fakeEvent{ID: id, Event: "delivered", Timestamp: float64(time.Now().UnixMicro()) / 1e6, Recipient: id + "@x.example"})
}

func (f *fakeEvents) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeEvents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.down {
		http.Error(w, `{"message":"away"}`, http.StatusServiceUnavailable)
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.URL.Path == "/v4/domains" {
		var page apiclient.Page[map[string]string]
		for _, d := range f.domains {
			page.Items = append(page.Items, map[string]string{"name": d})
		}
		_ = json.NewEncoder(w).Encode(page)
		return
	}
	log, known := f.log[parts[1]]
	if !known {
		http.Error(w, `{"message":"Domain not found"}`, http.StatusNotFound)
		return
	}
	items, next := []fakeEvent{}, 0
	if len(parts) == 4 { // token: limit and position
		var limit int
		_, _ = fmt.Sscanf(parts[3], "t%d_%d", &limit, &next)
		items, next = forward(log, next, limit), min(next+limit, len(log))
		f.reply(w, parts[1], items, limit, next)
		return
	}
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	begin, _ := strconv.ParseFloat(q.Get("begin"), 64)
	if q.Get("ascending") == "yes" {
		for next < len(log) && log[next].Timestamp < begin {
			next++
		}
		items = forward(log, next, limit)
		f.reply(w, parts[1], items, limit, next+len(items))
		return
	}
	for i := len(log) - 1; i >= 0 && len(items) < limit; i-- {
		items = append(items, log[i])
	}
	f.reply(w, parts[1], items, limit, 0)
}

func forward(log []fakeEvent, from, limit int) []fakeEvent {
	return append([]fakeEvent{}, log[from:min(from+limit, len(log))]...)
}

func (f *fakeEvents) reply(w http.ResponseWriter, domain string, items []fakeEvent, limit, next int) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"items":  items,
		"paging": map[string]string{"next": fmt.Sprintf("http://elsewhere.example/v3/%s/events/t%d_%d", domain, limit, next)},
	})
}

// followed runs a follower in the bubble until the test ends it, and collects what it
// emits.
type followed struct {
	mu      sync.Mutex
	ids     []string
	notices []string
	stop    context.CancelFunc
	done    chan error
}

func (f *followed) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ids)
}

func follow(t *testing.T, api http.Handler, domain string, query url.Values, past int) *followed {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out := &followed{stop: stop, done: make(chan error, 1)}
	client := apiclient.InProcess(api)
	f := &follower{client: client, domain: domain, query: query, past: past,
		notice: func(format string, args ...any) {
			out.mu.Lock()
			defer out.mu.Unlock()
			out.notices = append(out.notices, fmt.Sprintf(format, args...))
		},
		emit: func(events []apiclient.Event) error {
			out.mu.Lock()
			defer out.mu.Unlock()
			for _, e := range events {
				out.ids = append(out.ids, e.ID)
			}
			return nil
		}}
	go func() {
		err := f.run(ctx)
		out.done <- errors.Join(err, client.Close())
	}()
	return out
}

// end stops the follower and returns its error.
func (f *followed) end() error {
	f.stop()
	return <-f.done
}

func newFakeEvents(domains ...string) *fakeEvents {
	f := &fakeEvents{domains: domains, log: map[string][]fakeEvent{}}
	for _, d := range domains {
		f.log[d] = nil
	}
	return f
}

func wantIDs(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestFollowShowsTheLastAndThenEverythingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeEvents("a.example")
		for _, id := range []string{"1", "2", "3"} { // all three at the same moment
			api.happen("a.example", id)
		}
		f := follow(t, api, "a.example", url.Values{}, 2)
		time.Sleep(500 * time.Millisecond)
		wantIDs(t, "at first", f.seen(), "2", "3")
		for i := range 700 { // more than two pages
			api.happen("a.example", fmt.Sprintf("n%03d", i))
		}
		time.Sleep(2 * time.Second)
		got := f.seen()[2:]
		if len(got) != 700 || !slices.IsSorted(got) || len(slices.Compact(got)) != 700 {
			t.Errorf("got %d events, sorted %v; want 700, each once and in order", len(got), slices.IsSorted(got))
		}
		if err := f.end(); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFollowBeginsWithNewEventsWhereNothingMatchedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeEvents("a.example")
		f := follow(t, api, "a.example", url.Values{}, 10)
		time.Sleep(3500 * time.Millisecond)
		wantIDs(t, "before anything happened", f.seen())
		api.happen("a.example", "1")
		time.Sleep(time.Second)
		wantIDs(t, "then", f.seen(), "1")
		_ = f.end()
	})
}

func TestFollowFromABeginShowsEverythingSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeEvents("a.example")
		api.happen("a.example", "old")
		time.Sleep(time.Minute)
		begin := epoch(time.Now())
		for i := range 350 {
			api.happen("a.example", strconv.Itoa(i))
		}
		f := follow(t, api, "a.example", url.Values{"begin": {begin}}, 1)
		time.Sleep(100 * time.Millisecond)
		if got := f.seen(); len(got) != 350 || got[0] != "0" || got[349] != "349" {
			t.Errorf("got %d events, want the 350 since the begin", len(got))
		}
		_ = f.end()
	})
}

func TestFollowSurvivesAServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeEvents("a.example")
		f := follow(t, api, "a.example", url.Values{}, 10)
		time.Sleep(1500 * time.Millisecond)
		api.setDown(true)
		api.happen("a.example", "while away")
		time.Sleep(10 * time.Minute)
		api.mu.Lock()
		asked := api.asked
		api.mu.Unlock()
		if asked > 60 {
			t.Errorf("asked %d times in ten minutes; want it to slow down", asked)
		}
		api.setDown(false)
		time.Sleep(pollAtMost)
		wantIDs(t, "after it came back", f.seen(), "while away")
		if len(f.notices) != 1 {
			t.Errorf("got notices %q, want one", f.notices)
		}
		_ = f.end()
	})
}

func TestFollowAllDomainsInTheOrderOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeEvents("a.example", "b.example")
		f := follow(t, api, "", url.Values{}, 10)
		time.Sleep(1500 * time.Millisecond)
		for i, d := range []string{"b.example", "a.example", "new.example", "b.example"} {
			api.happen(d, strconv.Itoa(i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		wantIDs(t, "three domains", f.seen(), "0", "1", "2", "3")
		api.mu.Lock()
		delete(api.log, "a.example") // deleted between the list and the look
		api.mu.Unlock()
		api.happen("b.example", "4")
		time.Sleep(time.Second)
		wantIDs(t, "after one was deleted", f.seen(), "0", "1", "2", "3", "4")
		_ = f.end()
	})
}

func TestFollowEndsAtOnceWhereTheFirstLookFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, newFakeEvents(), "missing.example", url.Values{}, 10)
		no, ok := errors.AsType[*apiclient.Error](<-f.done)
		if !ok || no.Status != http.StatusNotFound {
			t.Errorf("got %v, want the server's 404", no)
		}
		f.stop()
	})
}

func TestWaitingEndsWhenEveryCopyHasItsEnd(t *testing.T) {
	ev := func(name, severity, to string) apiclient.Event {
		return apiclient.Event{Event: name, Severity: severity, Recipient: to}
	}
	w := &waiting{pending: map[string]bool{}}
	steps := []struct {
		events []apiclient.Event
		want   error
	}{
		{nil, nil},
		{[]apiclient.Event{ev("accepted", "", "a"), ev("accepted", "", "b")}, nil},
		{[]apiclient.Event{ev("delivered", "", "a")}, nil},
		{[]apiclient.Event{ev("failed", "temporary", "b")}, nil},
		{[]apiclient.Event{ev("failed", "permanent", "b")}, errDone},
	}
	for i, step := range steps {
		if got := w.take(step.events); !errors.Is(got, step.want) {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
	if !slices.Equal(w.failed, []string{"b"}) {
		t.Errorf("failed: got %v, want b", w.failed)
	}
}
