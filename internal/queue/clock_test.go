package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
)

// REL-27: the wall clock leaps a year ahead, stays, and comes back. Nothing
// expires by it, and retries scheduled in the wrong year come near again.
func TestClockLeapsAYear(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		var ahead atomic.Int64
		wall := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		var up atomic.Bool
		var tries atomic.Int32
		q := newQueue(s, Config{Wall: wall}, func(_ context.Context, j mail.Job) mail.Report {
			tries.Add(1)
			if up.Load() {
				return reportAll(j, resDelivered)
			}
			return reportAll(j, mail.RecipientResult{Reply: mail.Reply{Code: 450}})
		})
		run(t, q)
		m := s.message("a@one.example")
		m.Rows[0].Expires = m.Rows[0].Due.Add(48 * time.Hour)
		submit(s, q, m, nil)
		time.Sleep(30 * time.Minute) // attempts at 0, 10 and 25 minutes
		ahead.Store(int64(365 * 24 * time.Hour))
		time.Sleep(10 * time.Minute)
		if got := tries.Load(); got != 3 || !q.Stats().ClockDoubted {
			t.Errorf("%d attempts, doubted %v; the leap must not make retries due", got, q.Stats().ClockDoubted)
		}
		time.Sleep(12 * time.Hour)
		if s.eventsOf(event.FailedPermanent) != 0 || tries.Load() < 5 {
			t.Errorf("%d expired by the leap, %d attempts", s.eventsOf(event.FailedPermanent), tries.Load())
		}
		ahead.Store(0)
		up.Store(true)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if s.eventsOf(event.Delivered) != 1 {
			t.Errorf("not delivered after the clock came back, stats %+v", q.Stats())
		}
	})
}

// One line for each recipient and attempt, with the same words every time.
func TestAttemptLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newFakeStore()
		var out bytes.Buffer
		ses := &mail.Session{MXHost: "mx.one.example", TLS: true, CertificateVerified: true,
			Detail: mail.TLSDetail{MXIP: "192.0.2.25", Requirement: "OV", Result: "verified-pkix", Fallback: "none"}}
		q := New(Roles{Queue: s, Domains: s, Contents: s}, attempterFunc(func(_ context.Context, j mail.Job) mail.Report {
			began := time.Now()
			time.Sleep(2 * time.Second)
			r := reportAll(j, mail.RecipientResult{Reply: mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "later\n\x1b[31mplease"}, Session: ses})
			r.Started, r.Finished, r.Connecting, r.Transmitting = began, time.Now(), time.Second, time.Second
			return r
		}), Config{Jitter: func() float64 { return 0 }}, slog.New(slog.NewJSONHandler(&out, nil)))
		run(t, q)
		m := s.message("a@one.example")
		submit(s, q, m, nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if bytes.ContainsRune(out.Bytes(), 0x1b) {
			t.Error("foreign control characters reach the log")
		}
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("not one line: %v\n%s", err, out.String())
		}
		delete(got, "time")
		delete(got, "before-lease") // ids are milliseconds, given before the test's clock counts
		want := map[string]any{"level": "INFO", "msg": "attempt", "message": m.ID.String(), "message-id": m.Meta.MessageID,
			"domain": "sender.example", "recipient": "a@one.example", "next-hop": "one.example", "attempt": 1.0, "status": "deferred",
			"code": 451.0, "enhanced": "4.7.1", "reply": "later\n\x1b[31mplease", "local": false, "mx-host": "mx.one.example",
			"mx-ip": "192.0.2.25", "tls": true, "certificate-verified": true, "requirement": "OV", "result": "verified-pkix", "fallback": "none",
			"in-queue": 0.0, "connecting": 1e9, "transmitting": 1e9, "retry-in": 600.0}
		for k, w := range want {
			if got[k] != w {
				t.Errorf("%s is %v, want %v", k, got[k], w)
			}
			delete(got, k)
		}
		if len(got) != 0 {
			t.Errorf("more than expected: %v", got)
		}
	})
}

// REL-39
func TestNextHopIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(hop{}) + unsafe.Sizeof(verdict{}); size > 768 {
		t.Errorf("a next hop takes %d octets", size)
	}
}
