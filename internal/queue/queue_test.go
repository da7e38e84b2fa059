package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/throttle"
)

// bubble runs f with a clock of its own that starts at a plausible time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		realYears()
		f(t)
	})
}

func submit(s *fakeStore, q *Queue, m *store.NewMessage, done func()) bool {
	if m.Leased = q.Reserve(m.Content.Size); m.Leased {
		s.accept(m)
		q.Offer(m, done)
		return true
	}
	s.accept(m)
	for _, r := range m.Rows {
		q.Wake(r.NextHop, r.Due)
	}
	return false
}

func TestOfferedMailNeverReadsTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		var jobs []mail.Job
		var mu sync.Mutex
		q := newQueue(s, Config{MaxRecipients: 2}, func(_ context.Context, j mail.Job) mail.Report {
			mu.Lock()
			jobs = append(jobs, j)
			mu.Unlock()
			if r, err := j.Open(); err != nil || r.Close() != nil {
				t.Error("content cannot be opened")
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		synctest.Wait()
		var done atomic.Int32
		if !submit(s, q, s.message("a@one.example", "b@one.example", "c@one.example", "d@two.example"), func() { done.Add(1) }) {
			t.Fatal("no room")
		}
		synctest.Wait()
		if n, _ := s.waiting(); n != 0 || len(jobs) != 3 || done.Load() != 1 {
			t.Errorf("%d rows left, %d jobs, done called %d times; want 0, 3, 1", n, len(jobs), done.Load())
		}
		if s.called("Lease") != 0 || s.opened != 0 {
			t.Errorf("store was asked for %d leases and %d contents", s.called("Lease"), s.opened)
		}
		if st := q.Stats(); st.Delivered != 4 || st.BudgetUsed != 0 || st.InFlight != 0 || st.Ready != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestByteBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		gate := make(chan struct{})
		q := newQueue(s, Config{Budget: 2500}, func(_ context.Context, j mail.Job) mail.Report {
			<-gate
			return reportAll(j, resDelivered)
		})
		run(t, q)
		took := 0
		for i := range 5 {
			if submit(s, q, s.message(fmt.Sprintf("a@hop%d.example", i)), nil) {
				took++
			}
		}
		if q.Reserve(1 << 40) {
			t.Error("room for more than the whole budget")
		}
		synctest.Wait()
		if st := q.Stats(); took != 2 || st.BudgetUsed != 2000 || st.InFlight != 5 {
			t.Errorf("took %d, stats %+v", took, st)
		}
		close(gate)
		synctest.Wait()
		if st := q.Stats(); st.BudgetUsed != 0 || st.Delivered != 5 {
			t.Errorf("stats %+v", st)
		}
	})
}

// REL-30: five days without an answer, schedule kept, first event at once, nothing
// given up, everything delivered within one step of the recovery.
func TestFiveDaysDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		begin := time.Now()
		recovery := begin.Add(5*24*time.Hour - time.Hour)
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			time.Sleep(2 * time.Minute) // all addresses time out
			if time.Now().Before(recovery) {
				return reportAll(j, resNoAnswer)
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		for range 50 {
			m := s.message("a@down.example")
			m.Rows[0].Expires = begin.Add(5 * 24 * time.Hour)
			submit(s, q, m, nil)
		}
		time.Sleep(15 * time.Minute)
		if got := s.eventsOf(event.FailedTemporary); got < 50 {
			t.Errorf("after 15 minutes %d of 50 messages show their first failure", got)
		}
		time.Sleep(time.Until(recovery.Add(5 * time.Hour)))
		if got := s.eventsOf(event.Delivered); got != 50 {
			n, _ := s.waiting()
			t.Errorf("%d of 50 delivered after recovery, %d waiting, %+v", got, n, q.Stats())
		}
		if got := s.eventsOf(event.FailedPermanent); got != 0 {
			t.Errorf("%d given up", got)
		}
		synctest.Wait()
		for row, list := range s.events {
			if n := len(list); n < 30 || n > 45 {
				t.Errorf("row %v had %d events in five days", row, n)
			}
		}
	})
}

func TestTooOldAfterLifetime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			time.Sleep(time.Second)
			return reportAll(j, mail.RecipientResult{Reply: mail.Reply{Code: 450, Text: "greylisted"}})
		})
		run(t, q)
		submit(s, q, s.message("a@one.example"), nil)
		time.Sleep(DefaultLifetime - time.Minute)
		if got := s.eventsOf(event.FailedPermanent); got != 0 {
			t.Error("given up before the lifetime ended")
		}
		time.Sleep(12 * time.Minute)
		if got := s.eventsOf(event.FailedPermanent); got != 1 || q.Stats().Expired != 1 {
			t.Errorf("%d final events after the lifetime, stats %+v", got, q.Stats())
		}
	})
}

// REL-41, law 8: a stalled next hop with 10,000 messages delays nobody.
func TestStalledNextHopDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		q := newQueue(s, Config{}, func(ctx context.Context, j mail.Job) mail.Report {
			if j.NextHop == "stalled.example" {
				select {
				case <-time.After(30 * time.Minute):
				case <-ctx.Done():
					return reportAll(j, resAbandoned)
				}
				return reportAll(j, resNoAnswer)
			}
			time.Sleep(time.Second)
			return reportAll(j, resDelivered)
		})
		for range 10000 {
			s.accept(s.message("a@stalled.example"))
		}
		run(t, q)
		synctest.Wait()
		for i := range 100 {
			submit(s, q, s.message(fmt.Sprintf("a@quick%d.example", i)), nil)
		}
		time.Sleep(1500 * time.Millisecond)
		if got := s.eventsOf(event.Delivered); got != 100 {
			t.Errorf("%d of 100 delivered, stats %+v", got, q.Stats())
		}
		if st := q.Stats(); st.Ready > 200 {
			t.Errorf("%d rows of the stalled next hop are kept in memory", st.Ready)
		}
	})
}

// REL-41: tarpits without number leave free slots to those who answered before,
// and to newcomers once they are known as tarpits.
func TestTarpitsDoNotTakeAllConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		q := newQueue(s, Config{MaxConnections: 100}, func(ctx context.Context, j mail.Job) mail.Report {
			if j.NextHop[0] == 't' {
				select {
				case <-time.After(10 * time.Minute):
				case <-ctx.Done():
					return reportAll(j, resAbandoned)
				}
				return reportAll(j, mail.RecipientResult{Reply: mail.Reply{Code: 451}})
			}
			time.Sleep(time.Second)
			return reportAll(j, resDelivered)
		})
		run(t, q)
		for i := range 10 {
			submit(s, q, s.message(fmt.Sprintf("a@good%d.example", i)), nil)
		}
		time.Sleep(2 * time.Second)
		for i := range 1000 {
			submit(s, q, s.message(fmt.Sprintf("a@t%d.example", i)), nil)
		}
		time.Sleep(time.Second)
		if got := q.Stats().InFlight; got != 80 {
			t.Errorf("unknown next hops use %d of 100 connections, want 80", got)
		}
		for i := range 10 {
			submit(s, q, s.message(fmt.Sprintf("a@good%d.example", i)), nil)
		}
		time.Sleep(1500 * time.Millisecond)
		if got := s.eventsOf(event.Delivered); got != 20 {
			t.Errorf("%d of 20 delivered", got)
		}
	})
}

// REL-32: 5,000 messages due at once at a host that comes back.
func TestThunderingHerd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		var down atomic.Bool
		down.Store(true)
		var now, peak, tries atomic.Int32
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			tries.Add(1)
			n := now.Add(1)
			defer now.Add(-1)
			for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
			}
			time.Sleep(time.Second)
			if down.Load() {
				return reportAll(j, resNoAnswer)
			}
			return reportAll(j, resDelivered)
		})
		const messages = 5000
		for range messages {
			s.accept(s.message("a@big.example"))
		}
		run(t, q)
		time.Sleep(time.Minute)
		if n := tries.Load(); n > 20 || s.eventsOf(event.FailedTemporary) < messages {
			t.Errorf("%d attempts and %d events in the first minute of an outage; want few and one for each", n, s.eventsOf(event.FailedTemporary))
		}
		down.Store(false)
		peak.Store(0)
		time.Sleep(10*time.Minute - 30*time.Second)
		first := peak.Load()
		time.Sleep(20 * time.Minute)
		if got := s.eventsOf(event.Delivered); got != messages || peak.Load() > 20 || first > 20 {
			t.Errorf("%d of %d delivered, at most %d at once", got, messages, peak.Load())
		}
	})
}

// One message's unmet TLS requirement slows nobody and marks nothing.
func TestPolicyFailureIsNobodyElses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			if j.Recipients[0].Address.Local == "strict" {
				return reportAll(j, mail.RecipientResult{Scope: mail.ScopePolicy, Reply: mail.LocalReply(451, "4.7.10", "no TLS"), Session: refusedTLS})
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		for range 30 {
			submit(s, q, s.message("strict@one.example"), nil)
			submit(s, q, s.message("plain@one.example"), nil)
			synctest.Wait()
		}
		if st := q.Stats(); st.Delivered != 30 || st.Deferred != 30 || st.Failing != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// REL-31: the resolver is gone for a day; nothing fails, nothing is counted.
func TestResolverDownForADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		back := time.Now().Add(24 * time.Hour)
		var tries atomic.Int32
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			tries.Add(1)
			time.Sleep(5 * time.Second)
			if time.Now().Before(back) {
				return reportAll(j, resSelf)
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		for i := range 200 {
			submit(s, q, s.message(fmt.Sprintf("a@hop%d.example", i%50)), nil)
		}
		time.Sleep(time.Hour)
		if !q.Stats().Outage {
			t.Error("the outage was not recognised")
		}
		time.Sleep(time.Until(back))
		if n := tries.Load(); n > 4000 {
			t.Errorf("%d attempts while the resolver was down", n)
		}
		time.Sleep(5 * time.Minute)
		if d, f := s.eventsOf(event.Delivered), s.eventsOf(event.FailedPermanent)+s.eventsOf(event.FailedTemporary); d != 200 || f != 0 {
			t.Errorf("%d of 200 delivered, %d failures", d, f)
		}
	})
}

// REL-34: no next hop at all can be connected to.
func TestUplinkDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		back := time.Now().Add(20 * time.Hour)
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			time.Sleep(30 * time.Second)
			if time.Now().Before(back) {
				return reportAll(j, resNoAnswer)
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		for i := range 100 {
			submit(s, q, s.message(fmt.Sprintf("a@hop%d.example", i)), nil)
		}
		time.Sleep(time.Until(back.Add(15 * time.Minute)))
		if d, f := s.eventsOf(event.Delivered), s.eventsOf(event.FailedPermanent); d != 100 || f != 0 {
			t.Errorf("%d of 100 delivered, %d given up", d, f)
		}
		if n := s.eventsOf(event.FailedTemporary); n > outageHops {
			t.Errorf("%d attempts were counted", n)
		}
	})
}

// REL-09
func TestPanicDefersItsJobOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			if j.Recipients[0].Address.Local == "poison" {
				panic("boom")
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		submit(s, q, s.message("poison@one.example"), nil)
		submit(s, q, s.message("a@one.example"), nil)
		synctest.Wait()
		if st := q.Stats(); st.Panics != 1 || st.Delivered != 1 || st.Deferred != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestDomainDisabledOrDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		s.domains[1] = store.Domain{ID: 1, State: store.DomainDisabled}
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
			if !j.DomainTLS.RequireTLS.Bool() {
				t.Error("the domain's flags were not read for the attempt")
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		submit(s, q, s.message("a@one.example"), nil)
		time.Sleep(20 * time.Hour)
		if n, _ := s.waiting(); n != 1 || len(s.events) != 0 {
			t.Errorf("%d rows wait with %d events while the domain is disabled; want 1, 0", n, len(s.events))
		}
		s.mu.Lock()
		s.domains[1] = store.Domain{ID: 1, State: store.DomainActive, TLS: mail.TLSFlags{RequireTLS: mail.True}}
		s.mu.Unlock()
		time.Sleep(16 * time.Minute)
		if s.eventsOf(event.Delivered) != 1 {
			t.Error("not delivered after the domain was enabled")
		}
		s.mu.Lock()
		delete(s.domains, 1)
		s.mu.Unlock()
		submit(s, q, s.message("b@one.example"), nil)
		synctest.Wait()
		if s.eventsOf(event.FailedPermanent) != 1 {
			t.Error("mail of a deleted domain did not fail")
		}
	})
}

func TestLostLeaseEndsTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		var cause error
		q := newQueue(s, Config{}, func(ctx context.Context, j mail.Job) mail.Report {
			if cause != nil {
				return reportAll(j, resDelivered)
			}
			<-ctx.Done()
			cause = context.Cause(ctx)
			return reportAll(j, resAbandoned)
		})
		run(t, q)
		submit(s, q, s.message("a@one.example"), nil)
		synctest.Wait()
		s.crash()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !errors.Is(cause, ErrLeaseLost) || s.eventsOf(event.Delivered) != 1 {
			t.Errorf("cause %v, %d delivered", cause, s.eventsOf(event.Delivered))
		}
	})
}

// A stalled next hop may not hold the budget that everybody's new mail lives on.
func TestStalledNextHopDoesNotHoldTheBudget(t *testing.T) {
	for _, answer := range []mail.RecipientResult{resAbandoned, resNoAnswer} {
		bubble(t, func(t *testing.T) {
			s := newFakeStore()
			q := newQueue(s, Config{}, func(ctx context.Context, j mail.Job) mail.Report {
				wait := time.Hour
				if answer.Outcome == mail.Deferred {
					wait = time.Second
				}
				select {
				case <-ctx.Done():
				case <-time.After(wait):
				}
				return reportAll(j, answer)
			})
			run(t, q)
			for range 1000 {
				submit(s, q, s.message("a@stalled.example"), nil)
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait()
			if st := q.Stats(); st.BudgetUsed > 30*1000 {
				t.Errorf("%v: %d messages are held in memory", answer.Outcome, st.BudgetUsed/1000)
			}
		})
	}
}

// New mail that never ends does not keep an older message from its retry.
func TestRetriesAreNotStarvedByNewMail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		var first atomic.Bool
		q := newQueue(s, Config{NextHop: throttle.Limits{Max: 5}}, func(_ context.Context, j mail.Job) mail.Report {
			time.Sleep(time.Second)
			if j.Recipients[0].Address.Local == "old" && first.CompareAndSwap(false, true) {
				return reportAll(j, mail.RecipientResult{Reply: mail.Reply{Code: 450}})
			}
			return reportAll(j, resDelivered)
		})
		run(t, q)
		old := s.message("old@busy.example")
		submit(s, q, old, nil)
		for range 12 {
			submit(s, q, s.message("new@busy.example"), nil)
		}
		for range 12 * 60 * 5 {
			submit(s, q, s.message("new@busy.example"), nil)
			time.Sleep(200 * time.Millisecond)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.final[old.Rows[0].ID] != 1 {
			t.Error("the retry due after 10 minutes was not made within 12")
		}
	})
}
