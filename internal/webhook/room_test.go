package webhook_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

const (
	one = "https://one.example/hook"
	two = "https://two.example/hook"
)

// Which events a webhook is told of, by which name; the domain's and the account's both.
func TestWhoIsToldOfWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		other := r.newDomain("example.org", store.PrimaryAccount)
		foreign := r.newDomain("foreign.example", r.newAccount())
		r.hook(1, r.domain.ID, one, "delivered", "permanent_fail")
		r.hook(1, 0, two, "delivered", "temporary_fail", "accepted", "opened", "clicked", "unsubscribed", "complained")
		r.hook(1, 0, one, "delivered") // the same URL for the account: another target
		ids := r.add(r.domain, of(event.Accepted, event.FailedTemporary, event.FailedPermanent, event.Delivered, event.Opened, event.Clicked, event.Unsubscribed, event.Complained, event.Rejected, event.Stored)...)
		others := r.add(other, of(event.Delivered, event.FailedPermanent)...)
		r.add(foreign, of(event.Delivered)...)
		r.wait(time.Second)
		if got, want := sorted(r.world.ids(one)), sorted([]string{ids[2], ids[3], others[0]}); !slices.Equal(got, want) {
			t.Errorf("one was told of %v, want %v", got, want)
		}
		if n := len(r.world.to(one)); n != 4 { // delivered of example.com by both
			t.Errorf("one got %d calls", n)
		}
		if got, want := sorted(r.world.ids(two)), sorted([]string{ids[0], ids[1], ids[3], ids[4], ids[5], ids[6], ids[7], others[0]}); !slices.Equal(got, want) {
			t.Errorf("two was told of %v, want %v", got, want)
		}
		// What is deleted is told no more, what is new from now on.
		if _, err := r.store.ChangeWebhooks(t.Context(), 1, 0, func([]store.Webhook) ([]store.Webhook, error) {
			return []store.Webhook{{URL: "https://three.example/", Kinds: []string{"delivered"}}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		late := r.add(r.domain, of(event.Delivered)...)
		r.wait(time.Second)
		if n := len(r.world.to(two)); n != 8 {
			t.Errorf("a deleted webhook was told: %d calls", n)
		}
		if got := r.world.ids("https://three.example/"); !slices.Equal(got, late) {
			t.Errorf("the new webhook was told of %v, want %v", got, late)
		}
	})
}

// 200 is done, 406 a final no, and everything else is tried again.
func TestAnswers(t *testing.T) {
	for status, again := range map[int]bool{200: false, 406: false, 201: true, 204: true, 301: true, 302: true, 400: true, 401: true, 404: true, 410: true, 500: true, 503: true, 0: true} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.hook(1, r.domain.ID, one, "delivered")
				if r.world.answers(one, status, 200); status == 0 {
					r.world.set(one, func(_ context.Context, n int) (outhttp.Answer, error) {
						if n == 1 {
							return outhttp.Answer{}, context.DeadlineExceeded
						}
						return outhttp.Answer{Status: 200}, nil
					})
				}
				r.add(r.domain, of(event.Delivered)...)
				r.wait(20 * time.Minute)
				if n := len(r.world.to(one)); (n == 2) != again || n > 2 {
					t.Errorf("%d calls", n)
				}
				if v := r.target(one); v.State != webhook.Working || v.Waiting+v.Failed != 0 || v.LastError != "" {
					t.Errorf("target %+v", v)
				}
			})
		})
	}
}

// The schedule, to its end; then the event is kept and can be replayed.
func TestScheduleAndReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hook(1, r.domain.ID, one, "delivered")
		r.world.answers(one, 500)
		ids := r.add(r.domain, of(event.Delivered)...)
		begin := time.Now()
		r.wait(10 * time.Hour)
		var after []time.Duration
		tokens := map[string]bool{}
		for _, c := range r.world.to(one) {
			after = append(after, c.at.Sub(begin).Truncate(time.Minute))
			tokens[signature(t, c.body).Token] = true
			if c.id() != ids[0] {
				t.Errorf("the id is %s", c.id())
			}
		}
		want := []time.Duration{0, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, 90 * time.Minute, 210 * time.Minute, 450 * time.Minute}
		if !slices.Equal(after, want) {
			t.Errorf("attempts after %v, want %v", after, want)
		}
		if len(tokens) != len(want) {
			t.Errorf("%d tokens for %d attempts", len(tokens), len(want))
		}
		if v := r.target(one); v.State != webhook.Failing || v.Failed != 1 || v.Waiting != 0 || v.LastError != "status 500, not 200" {
			t.Errorf("target %+v", v)
		}
		log, err := r.room.Attempts(t.Context(), webhook.Scope{}, 0, 100)
		if err != nil || len(log) != 7 {
			t.Fatalf("log %v, %v", log, err)
		}
		if a := log[0]; a.Attempt != 7 || a.Outcome != "failed" || a.Status != 500 || a.Answer != "said so" || a.Kind != "delivered" || a.Event.String() != ids[0] {
			t.Errorf("last attempt %+v", a)
		}
		r.world.answers(one, 200)
		for _, p := range []webhook.Replay{
			{Failed: true},
			{Event: parseID(t, ids[0]), Domains: []int64{r.domain.ID}},
			{Begin: begin.Add(-time.Minute), End: begin.Add(time.Minute), Domains: []int64{r.domain.ID}},
		} {
			before := len(r.world.to(one))
			if n, err := r.room.Replay(t.Context(), p); n != 1 || err != nil {
				t.Fatalf("%+v: replayed %d, %v", p, n, err)
			}
			r.wait(time.Second)
			if n := len(r.world.to(one)) - before; n != 1 {
				t.Errorf("%+v: %d calls", p, n)
			}
		}
		if v := r.target(one); v.State != webhook.Working || v.Failed+v.Waiting != 0 {
			t.Errorf("target %+v", v)
		}
		for _, p := range []webhook.Replay{
			{Failed: true},
			{Event: 12345, Domains: []int64{r.domain.ID}},
			{Event: parseID(t, ids[0]), Domains: []int64{r.domain.ID + 1}},
			{Scope: webhook.Scope{AccountID: 9}, Event: parseID(t, ids[0]), Domains: []int64{r.domain.ID}},
		} {
			if n, err := r.room.Replay(t.Context(), p); n != 0 || err != nil {
				t.Errorf("%+v: replayed %d, %v", p, n, err)
			}
		}
	})
}

// SEC-68: a thousand events to an endpoint that hangs, beside a healthy one. The healthy
// one is told at once and in order, the other one costs next to nothing; when it
// comes back it is told of everything.
func TestHangingEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hook(1, r.domain.ID, one, "delivered")
		r.hook(1, r.domain.ID, two, "delivered")
		r.world.set(one, hang)
		var want []string
		before := runtime.NumGoroutine()
		for range 1000 {
			want = append(want, r.add(r.domain, of(event.Delivered)...)...)
		}
		r.wait(time.Second)
		if got := r.world.ids(two); !slices.Equal(sorted(got), want) || disorder(got) > 64 {
			t.Errorf("the healthy endpoint was told of %d events in a second, %d places from their order", len(got), disorder(got))
		}
		if n := runtime.NumGoroutine() - before; n > 30 {
			t.Errorf("%d goroutines for an endpoint that hangs", n)
		}
		r.wait(2 * time.Hour)
		hung := r.target(one)
		if calls := len(r.world.to(one)); calls > 150 || hung.Waiting+hung.Failed > 100 {
			t.Errorf("%d calls, %d rows for an endpoint that hangs", calls, hung.Waiting+hung.Failed)
		}
		if hung.State != webhook.Failing || hung.Behind.IsZero() {
			t.Errorf("target %+v", hung)
		}
		if r.room.Consumed().After(hung.Behind) {
			t.Errorf("events may be dropped until %v, needed from %v", r.room.Consumed(), hung.Behind)
		}
		r.world.set(one, nil)
		r.wait(4 * time.Hour)
		if n := len(r.world.ids(one)); n != 1000 {
			t.Errorf("after it came back the endpoint was told of %d events", n)
		}
		if v := r.target(one); v.State != webhook.Working || v.Waiting+v.Failed != 0 || !v.Behind.IsZero() {
			t.Errorf("target %+v", v)
		}
		again := r.add(r.domain, of(event.Delivered)...)
		r.wait(time.Second)
		if ids := r.world.ids(one); ids[len(ids)-1] != again[0] {
			t.Error("the endpoint is not told at once although it works again")
		}
	})
}

// An account's target that is behind reads the log of all domains, and takes its own.
func TestAccountCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		account := r.newAccount()
		mine, foreign := r.newDomain("mine.example", account), r.newDomain("foreign.example", r.newAccount())
		r.hook(account, 0, one, "delivered")
		r.world.answers(one, 500, 500, 500, 500, 500, 200)
		var want []string
		for range 300 {
			want = append(want, r.add(mine, of(event.Accepted, event.Delivered)...)[1])
			r.add(foreign, of(event.Delivered)...)
		}
		r.wait(time.Hour)
		got := r.world.ids(one)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("told of %d events, want %d", len(got), len(want))
		}
		if signature(t, r.world.to(one)[0].body).parent == nil {
			t.Error("a call of a sub-account has no parent signature")
		}
	})
}

// A room that is stopped and started goes on where it was, and loses nothing.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hook(1, r.domain.ID, one, "delivered")
		r.hook(1, r.domain.ID, two, "delivered")
		r.world.answers(two, 503)
		var want []string
		for round := range 5 {
			for range 40 {
				want = append(want, r.add(r.domain, of(event.Delivered)...)...)
			}
			r.wait(time.Duration(round*50) * time.Millisecond)
			r.halt()
			want = append(want, r.add(r.domain, of(event.Delivered)...)...) // while nobody runs
			r.start()
		}
		r.world.answers(two, 200)
		r.wait(2 * time.Hour)
		for _, url := range []string{one, two} {
			got := r.world.ids(url)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s was told of %d events, want %d", url, len(got), len(want))
			}
		}
		if n := len(r.world.to(one)); n != len(want) {
			t.Errorf("an orderly stop repeated %d calls to a healthy endpoint", n-len(want))
		}
	})
}

func sorted(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

// disorder is how many places an id is from where it would be in their order.
func disorder(ids []string) (most int) {
	for i, id := range sorted(ids) {
		most = max(most, i-slices.Index(ids, id), slices.Index(ids, id)-i)
	}
	return most
}

// A time without any success disables a target; enabling it tells it of what happens then.
func TestDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *webhook.Config) { c.DisableAfter = 3 * time.Hour })
		r.hook(1, r.domain.ID, one, "delivered")
		r.world.answers(one, 500)
		first := time.Now()
		for range 5 {
			r.add(r.domain, of(event.Delivered)...)
			r.wait(time.Hour)
		}
		v := r.target(one)
		if v.State != webhook.Disabled || v.DisabledAt.Sub(first) < 3*time.Hour {
			t.Fatalf("target %+v", v)
		}
		if s := r.room.Stats(); s.Disabled != 1 {
			t.Errorf("stats %+v", s)
		}
		if r.room.Consumed().Before(time.Now().Add(-time.Hour)) {
			t.Error("a disabled target holds events back")
		}
		calls := len(r.world.to(one))
		r.halt()
		r.start() // it stays disabled
		r.add(r.domain, of(event.Delivered)...)
		r.wait(time.Hour)
		if n := len(r.world.to(one)); n != calls {
			t.Errorf("a disabled target was called %d times", n-calls)
		}
		r.world.answers(one, 200)
		if n, err := r.room.Enable(t.Context(), webhook.Scope{URL: one}); n != 1 || err != nil {
			t.Fatalf("enabled %d, %v", n, err)
		}
		ids := r.add(r.domain, of(event.Delivered)...)
		r.wait(time.Minute)
		if v := r.target(one); v.State != webhook.Working || v.Waiting != 0 {
			t.Errorf("target %+v", v)
		}
		if got := r.world.ids(one); got[len(got)-1] != ids[0] {
			t.Error("an enabled target is not told of a new event")
		}
	})
}

// With few slots for all, everybody gets a turn.
func TestSlotsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *webhook.Config) { c.Connections = 2 })
		urls := []string{one, two, "https://three.example/", "https://four.example/"}
		for _, u := range urls {
			r.hook(1, r.domain.ID, u, "delivered")
			r.world.set(u, func(context.Context, int) (outhttp.Answer, error) {
				time.Sleep(time.Second)
				return outhttp.Answer{Status: 200}, nil
			})
		}
		for range 20 {
			r.add(r.domain, of(event.Delivered)...)
		}
		r.wait(45 * time.Second)
		for _, u := range urls {
			if n := len(r.world.to(u)); n != 20 {
				t.Errorf("%s was told of %d events", u, n)
			}
		}
	})
}
