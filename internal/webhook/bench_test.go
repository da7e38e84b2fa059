package webhook_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

// BenchmarkFastEndpoint tells of events in the log over real HTTP on loopback, the
// receiver in the same process. One operation is one event.
func BenchmarkFastEndpoint(b *testing.B) {
	var got atomic.Int64
	done := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if got.Add(1) == int64(b.N) {
			close(done)
		}
	}))
	defer web.Close()
	s := openStore(b, b.TempDir())
	defer s.Close()
	d := store.Domain{Name: "example.com", State: store.DomainActive}
	if err := s.CreateDomain(b.Context(), &d); err != nil {
		b.Fatal(err)
	}
	if _, err := s.ChangeWebhooks(b.Context(), 1, d.ID, func([]store.Webhook) ([]store.Webhook, error) {
		return []store.Webhook{{URL: web.URL + "/", Kinds: []string{"delivered"}}}, nil
	}); err != nil {
		b.Fatal(err)
	}
	if err := s.SetCursor(b.Context(), "webhook", mail.ID(1)); err != nil {
		b.Fatal(err)
	}
	fill(b, s, d, b.N)
	room := webhook.New(webhook.Config{}, webhook.Roles{Journal: follow.NewTail(s), Events: s, Cursors: s, Domains: s, Hooks: s, Deliveries: s}, loopback(), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	b.ResetTimer()
	start, before := time.Now(), processor(b)
	go func() { defer close(ended); room.Run(ctx) }()
	<-done
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "events/s")
	// What a busy machine does not falsify: the processor's time, the receiver's included.
	b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(b.N), "cpu-µs/event")
	b.StopTimer()
	stop()
	<-ended
}

// processor returns the processor time of this process.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill stores n events, a hundred to a message.
func fill(b *testing.B, s store.Store, d store.Domain, n int) {
	b.Helper()
	for n > 0 {
		id := s.NewID()
		m := &store.NewMessage{ID: id, DomainID: d.ID, Meta: event.Meta{Domain: d.Name, MessageID: id.String() + "@example.com", Recipients: []string{"ann@example.net"}, Subject: "Hello"},
			Content: &store.Content{Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }}}
		yes, host := true, "mx1.example.net"
		for range min(n, 100) {
			m.Events = append(m.Events, event.Record{Type: event.Delivered, DomainID: d.ID, Message: id, Recipient: "ann@example.net",
				Data: event.Data{Status: &event.Status{AttemptNo: 1, Code: 250, Message: "OK", TLS: &yes, CertificateVerified: &yes, MXHost: &host}}})
			n--
		}
		if err := s.Accept(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
