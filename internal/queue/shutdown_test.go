package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// REL-07: a shutdown in each state of a row loses nothing and repeats nothing.
func TestShutdownAtEveryState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		var sent atomic.Int32
		q := newQueue(s, Config{}, func(ctx context.Context, j mail.Job) mail.Report {
			switch j.NextHop {
			case "before-dot.example":
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), ErrShutdown) {
					t.Errorf("cause %v", context.Cause(ctx))
				}
				return reportAll(j, resAbandoned)
			case "after-dot.example":
				<-ctx.Done()
				time.Sleep(5 * time.Minute)
				sent.Add(1)
				return reportAll(j, resDelivered)
			}
			return reportAll(j, mail.RecipientResult{Reply: mail.Reply{Code: 451}})
		})
		go q.Run(context.Background())
		synctest.Wait()
		var done atomic.Int32
		count := func() { done.Add(1) }
		for range 3 * initialWindow { // some in flight, some ready
			submit(s, q, s.message("a@before-dot.example"), count)
		}
		submit(s, q, s.message("a@after-dot.example"), count)
		submit(s, q, s.message("a@deferred.example"), count)
		s.accept(s.message("a@never-fetched.example"))
		synctest.Wait()
		// Recording fails a few times just then.
		failures := 3
		s.mu.Lock()
		s.fail = func(call string) error {
			if call == "Settle" && failures > 0 {
				failures--
				return errors.New("disk is busy")
			}
			return nil
		}
		s.mu.Unlock()
		if err := q.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		n, leased := s.waiting()
		if n != 3*initialWindow+2 || leased != 0 || s.eventsOf(event.Delivered) != 1 || sent.Load() != 1 {
			t.Errorf("%d rows wait, %d leased, %d delivered", n, leased, s.eventsOf(event.Delivered))
		}
		if got, want := done.Load(), int32(3*initialWindow+2); got != want || q.Stats().BudgetUsed != 0 {
			t.Errorf("done called %d times, want %d; budget %d", got, want, q.Stats().BudgetUsed)
		}
		rows, _ := s.Rows(context.Background(), store.RowQuery{NextHop: "before-dot.example", Limit: 1000})
		for _, r := range rows {
			if r.Attempt != 0 || r.Due.After(time.Now()) {
				t.Errorf("abandoned row has attempt %d, due %v", r.Attempt, r.Due)
			}
		}
		if q.Reserve(1) {
			t.Error("room after shutdown")
		}
		m := s.message("late@one.example")
		m.Leased = true
		s.accept(m)
		q.Offer(m, count)
		if _, leased := s.waiting(); leased != 0 || done.Load() != int32(3*initialWindow+3) {
			t.Error("a late offer was not given back")
		}
	})
}

// initialWindow is how many attempts a new next hop may have at once.
const initialWindow = 5

func TestShutdownGivesUpWhenItsTimeEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		s.fail = func(call string) error {
			if call == "Settle" {
				return errors.New("disk is gone")
			}
			return nil
		}
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report { return reportAll(j, resDelivered) })
		ended := make(chan error, 1)
		go func() { ended <- q.Run(context.Background()) }()
		submit(s, q, s.message("a@one.example"), nil)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := q.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The context given to Run ends it like Shutdown does; a queue never run shuts
// down at once.
func TestRunEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		q := newQueue(s, Config{}, nil)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Hour, cancel)
		if err := q.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := newQueue(s, Config{}, nil).Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// REL-36: the backlog of an earlier process is found and sent.
func TestRestartWithBacklog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		for i := range 2000 {
			m := s.message(fmt.Sprintf("a@hop%d.example", i%500))
			m.Leased = i%2 == 0 // of the process that died
			s.accept(m)
		}
		s.crash()
		q := newQueue(s, Config{MaxConnections: 50}, func(_ context.Context, j mail.Job) mail.Report {
			time.Sleep(100 * time.Millisecond)
			return reportAll(j, resDelivered)
		})
		run(t, q)
		time.Sleep(10 * time.Second)
		if got := s.eventsOf(event.Delivered); got != 2000 || s.opened != 0 {
			t.Errorf("%d of 2000 delivered, %d contents read ahead", got, s.opened)
		}
		time.Sleep(11 * time.Minute)
		if st := q.Stats(); st.NextHops != 0 {
			t.Errorf("%d idle next hops are kept", st.NextHops)
		}
	})
}

func TestStoreErrorsAreTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		n := 0
		s.fail = func(string) error {
			if n++; n%2 == 1 {
				return errors.New("busy")
			}
			return nil
		}
		s.accept(s.message("a@one.example"))
		q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report { return reportAll(j, resDelivered) })
		run(t, q)
		time.Sleep(time.Minute)
		if s.eventsOf(event.Delivered) != 1 || q.Stats().StoreErrors == 0 {
			t.Errorf("stats %+v", q.Stats())
		}
	})
}

func TestOperatorVerbs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		ctx := context.Background()
		answer := resNoAnswer
		q := newQueue(s, Config{}, func(ctx context.Context, j mail.Job) mail.Report {
			if j.NextHop == "slow.example" {
				select {
				case <-time.After(time.Hour):
				case <-ctx.Done():
					return reportAll(j, resAbandoned)
				}
			}
			return reportAll(j, answer)
		})
		if e, _ := q.Explain(ctx, store.RowQuery{}); len(e) != 0 {
			t.Errorf("explained %v", e)
		}
		run(t, q)
		explain := func(local string, want State, words string) {
			t.Helper()
			synctest.Wait()
			e, err := q.Explain(ctx, store.RowQuery{Recipient: local})
			if err != nil || len(e) != 1 {
				t.Fatalf("explain %s: %v, %v", local, e, err)
			}
			if e[0].State != want || !strings.Contains(e[0].Sentence, words) {
				t.Errorf("%s is %q: %s; want %q with %q", local, e[0].State, e[0].Sentence, want, words)
			}
		}
		submit(s, q, s.message("one@down.example"), nil)
		explain("one@down.example", StateScheduled, `The last attempt ended with "451 4.4.1 connection timed out"`)
		submit(s, q, s.message("two@down.example"), nil)
		explain("two@down.example", StateBackoff, "Nobody answered")
		for i := range initialWindow + 1 {
			submit(s, q, s.message(fmt.Sprintf("m%d@slow.example", i)), nil)
		}
		explain("m0@slow.example", StateInProgress, "Attempt 1")
		last := fmt.Sprintf("m%d@slow.example", initialWindow)
		explain(last, StateLimited, "5 of 5 attempts that slow.example may have")
		if n, err := q.Hold(ctx, store.RowQuery{Recipient: strings.ToUpper(last)}); n != 1 || err != nil {
			t.Errorf("held %d, %v", n, err)
		}
		explain(last, StateHeld, "Held")
		if n, err := q.Release(ctx, store.RowQuery{Recipient: last}); n != 1 || err != nil {
			t.Errorf("released %d, %v", n, err)
		}
		explain(last, StateLimited, "5 of 5")
		if n, err := q.Cancel(ctx, store.RowQuery{NextHop: "slow.example"}); n != 1 || err != nil {
			t.Errorf("cancelled %d, %v; want only the one that is not being attempted", n, err)
		}
		answer = resDelivered
		if n, err := q.Retry(ctx, store.RowQuery{NextHop: "down.example"}); n != 2 || err != nil {
			t.Errorf("retried %d, %v", n, err)
		}
		synctest.Wait()
		if got := s.eventsOf(event.Delivered); got != 2 {
			t.Errorf("%d of 2 delivered after retry", got)
		}
	})
}
