package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A mortal store refuses everything once its process has died.
type mortal struct {
	*fakeStore
	dead atomic.Bool
}

func (m *mortal) Settle(ctx context.Context, o store.Outcome) ([]mail.ID, error) {
	if m.dead.Load() {
		return nil, store.ErrClosed
	}
	return m.fakeStore.Settle(ctx, o)
}

func (m *mortal) Release(ctx context.Context, l []store.LeaseRef) error {
	if m.dead.Load() {
		return store.ErrClosed
	}
	return m.fakeStore.Release(ctx, l)
}

func (m *mortal) Lease(ctx context.Context, r store.LeaseRequest) (store.LeaseResult, error) {
	if m.dead.Load() {
		return store.LeaseResult{}, store.ErrClosed
	}
	return m.fakeStore.Lease(ctx, r)
}

// An operation of the model test.
type operation struct {
	kind int // 0-3 accept, 4-5 let time pass, 6 crash, 7 hold and release all, 8 retry all
	n    int
}

// Whatever is accepted, attempted, deferred, killed and restarted: every
// recipient ends exactly once, with an event for each counted attempt, and was
// handed over more than once only if the process died in between.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		ops := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) operation {
			return operation{kind: rapid.IntRange(0, 8).Draw(rt, "kind"), n: rapid.IntRange(1, 20).Draw(rt, "n")}
		}), 1, 12).Draw(rt, "operations")
		var problem error
		synctest.Test(t, func(t *testing.T) {
			realYears()
			problem = playModel(seed, ops)
		})
		if problem != nil {
			rt.Fatal(problem)
		}
	})
}

type model struct {
	store   *fakeStore
	queue   *Queue
	process *mortal
	ended   chan error
	mu      sync.Mutex
	random  *rand.Rand
	sent    map[mail.ID]int // copies the remote side took, by row
	crashes int
	dones   atomic.Int64
}

func playModel(seed uint64, ops []operation) error {
	m := &model{store: newFakeStore(), random: rand.New(rand.NewPCG(seed, 1)), sent: make(map[mail.ID]int)}
	m.boot()
	for _, op := range ops {
		switch op.kind {
		case 0, 1, 2, 3:
			for i := range op.n {
				to := []string{fmt.Sprintf("a@hop%d.example", i%4), fmt.Sprintf("b@hop%d.example", i%4), "c@hop9.example"}
				submit(m.store, m.queue, m.store.message(to[:1+op.kind%3]...), func() { m.dones.Add(1) })
			}
		case 4:
			time.Sleep(time.Duration(op.n) * time.Second)
		case 5:
			time.Sleep(time.Duration(op.n) * 10 * time.Minute)
		case 6:
			m.die()
			m.crashes++
			m.boot()
		case 7:
			if _, err := m.queue.Hold(context.Background(), store.RowQuery{}); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			if _, err := m.queue.Release(context.Background(), store.RowQuery{}); err != nil {
				return err
			}
		case 8:
			if _, err := m.queue.Retry(context.Background(), store.RowQuery{}); err != nil {
				return err
			}
		}
	}
	time.Sleep(10 * 24 * time.Hour)
	stats := m.queue.Stats()
	if err := m.queue.Shutdown(context.Background()); err != nil {
		return err
	}
	<-m.ended
	return m.check(stats)
}

func (m *model) boot() {
	m.process = &mortal{fakeStore: m.store}
	m.queue = New(Roles{Queue: m.process, Domains: m.store, Contents: m.store}, attempterFunc(m.attempt), Config{MaxRecipients: 2, Budget: 20000, MaxConnections: 12, Resync: time.Hour, Renew: time.Hour}, newQueue(m.store, Config{}, nil).log)
	m.ended = make(chan error, 1)
	q, ended := m.queue, m.ended
	go func() { ended <- q.Run(context.Background()) }()
	synctest.Wait()
}

// die ends the process: nothing of it reaches the store any more.
func (m *model) die() {
	m.process.dead.Store(true)
	_ = m.queue.Shutdown(context.Background())
	<-m.ended
	m.store.crash()
}

func (m *model) attempt(ctx context.Context, j mail.Job) mail.Report {
	m.mu.Lock()
	dice, wait := m.random.IntN(100), time.Duration(m.random.IntN(90))*time.Second
	m.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return reportAll(j, resAbandoned)
	}
	res := resDelivered
	switch {
	case dice < 10:
		panic("poison")
	case dice < 25:
		res = resNoAnswer
	case dice < 30:
		res = resSelf
	case dice < 35:
		res = resAbandoned
	case dice < 50:
		res = mail.RecipientResult{Reply: mail.Reply{Code: 451, Text: "later"}}
	case dice < 55:
		res = mail.RecipientResult{Outcome: mail.Bounced, Reply: mail.Reply{Code: 550}}
	case dice < 60:
		return mail.Report{}
	default:
		m.mu.Lock()
		for _, r := range j.Recipients {
			m.sent[r.Row]++
		}
		m.mu.Unlock()
	}
	return reportAll(j, res)
}

func (m *model) check(stats Stats) error {
	s := m.store
	if n, leased := s.waiting(); n != 0 {
		return fmt.Errorf("%d rows still wait, %d leased, %+v", n, leased, stats)
	}
	if stats.BudgetUsed != 0 || stats.Ready != 0 || stats.InFlight != 0 || stats.Lost != 0 {
		return fmt.Errorf("something is held at the end: %+v", stats)
	}
	for id := range s.hopOf {
		if s.final[id] != 1 {
			return fmt.Errorf("row %v ended %d times", id, s.final[id])
		}
		list := s.events[id]
		last := list[len(list)-1]
		for i, e := range list {
			if i < len(list)-1 && e.Type != event.FailedTemporary || e.Data.Status.AttemptNo != i+1 {
				return fmt.Errorf("row %v: event %d of %d is %v of attempt %d", id, i+1, len(list), e.Type, e.Data.Status.AttemptNo)
			}
		}
		copies := m.sent[id]
		if last.Type == event.Delivered && copies == 0 || copies > 1+m.crashes || last.Type == event.FailedPermanent && copies > m.crashes {
			return fmt.Errorf("row %v ended as %v after %d copies and %d crashes", id, last.Type, copies, m.crashes)
		}
	}
	return nil
}
