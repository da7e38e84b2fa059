package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

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
	q := newQueue(s, Config{}, func(_ context.Context, j mail.Job) mail.Report { return reportAll(j, resDelivered) })
	b.ResetTimer()
	go q.Run(b.Context())
	for q.Stats().Delivered < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	if err := q.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
}
