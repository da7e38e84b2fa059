package sqlite

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
)

// tenKB is text that compresses about as mail does.
func tenKB() string {
	var b strings.Builder
	for i := 0; b.Len() < 10_000; i++ {
		fmt.Fprintf(&b, "<td style=\"padding:0\">item %d costs %d</td>\r\n", i*7919%1000, i*104729%10007)
	}
	return b.String()
}

func BenchmarkAccept(b *testing.B) {
	for _, producers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			s := openTest(b, Options{Dir: testDir(b)})
			octets := tenKB()
			parallel(b, producers, func() error {
				return s.Accept(context.Background(), newMessage(s.NewID(), octets, someDay))
			})
			report(b, s)
		})
	}
}

func BenchmarkCycle(b *testing.B) {
	for _, producers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			s := openTest(b, Options{Dir: testDir(b)})
			octets := tenKB()
			parallel(b, producers, func() error {
				m := newMessage(s.NewID(), octets, someDay)
				m.Leased = true
				if err := s.Accept(context.Background(), m); err != nil {
					return err
				}
				_, err := s.Settle(context.Background(), outcome(m))
				return err
			})
			report(b, s)
		})
	}
}

// BenchmarkLease reads from the backlog what was not handed on from memory.
func BenchmarkLease(b *testing.B) {
	s := openTest(b, Options{Dir: testDir(b)})
	fill(b, s, 5000)
	for b.Loop() {
		r, err := s.Lease(context.Background(), store.LeaseRequest{NextHop: "one.example", Now: someDay, Limit: 20})
		if err != nil || len(r.Rows) != 20 {
			b.Fatal(len(r.Rows), err)
		}
		for _, row := range r.Rows {
			if err := s.Release(context.Background(), []store.LeaseRef{{Row: row.ID, Lease: row.Lease}}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	s := openTest(b, Options{Dir: testDir(b)})
	last := fill(b, s, 20000)
	for name, q := range map[string]store.EventQuery{
		"last page": {}, "types": {Types: []event.Type{event.Delivered, event.FailedPermanent}},
		"message": {Message: last.ID}, "recipient": {Recipient: "a@one.example"},
	} {
		b.Run(name, func(b *testing.B) {
			q.DomainID, q.Limit = testDomain, 100
			for b.Loop() {
				if _, err := s.Events(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// parallel runs b.N calls of f, so many at a time.
func parallel(b *testing.B, at int, f func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, at)
	b.ResetTimer()
	for range at {
		go func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range at {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
}

func report(b *testing.B, s *Store) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(b.N)/float64(s.commits.Load()), "msgs/sync")
}

// fill accepts n messages and returns the last.
func fill(b *testing.B, s *Store, n int) (last *store.NewMessage) {
	b.Helper()
	ch := make(chan *store.NewMessage, 64)
	for range 64 {
		go func() {
			for i := 0; i < n/64; i++ {
				m := newMessage(s.NewID(), "hello", someDay)
				if err := s.Accept(context.Background(), m); err != nil {
					b.Error(err)
				}
				ch <- m
			}
		}()
	}
	for range n / 64 * 64 {
		last = <-ch
	}
	return last
}
