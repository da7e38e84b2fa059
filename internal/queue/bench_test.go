package queue

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

// The queue's own cost per message, from the offer to the recorded outcome.
func BenchmarkOffered(b *testing.B) {
	s := newFakeStore()
	q := newQueue(s, Config{Budget: 1 << 50}, func(_ context.Context, j mail.Job) mail.Report { return reportAll(j, resDelivered) })
	go q.Run(b.Context())
	slots := make(chan struct{}, 500)
	for i := 0; b.Loop(); i++ {
		slots <- struct{}{}
		submit(s, q, s.message(fmt.Sprintf("a@hop%d.example", i%200)), func() { <-slots })
	}
	if err := q.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
}

// The same from the store's backlog: lease, attempt, settle.
func BenchmarkBacklog(b *testing.B) {
	s := newFakeStore()
	for i := range b.N {
		s.accept(s.message(fmt.Sprintf("a@hop%d.example", i%1000)))
	}
	var attempted atomic.Int64
	last := make(chan struct{})
	q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report {
		if attempted.Add(1) == int64(b.N) {
			close(last)
		}
		return reportAll(j, resDelivered)
	})
	b.ResetTimer()
	go q.Run(b.Context())
	<-last
	if err := q.Shutdown(context.Background()); err != nil { // waits until all is recorded
		b.Error(err)
	}
	b.StopTimer()
}
