package impact

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// until is evidence with a certificate that ends so long from now.
func until(d mail.TLSDetail, left time.Duration) mail.TLSDetail {
	end := time.Now().Add(left).UTC()
	d.CertNotAfter = &end
	return d
}

func TestCertificatesThatExpire(t *testing.T) {
	dane := func(m tlspolicy.TLSAMatch) mail.TLSDetail {
		s := verified()
		s.TLSA = m
		return evidence(tlspolicy.Facts{TLSA: tlspolicy.TLSAUsable}, s, nil)
	}
	tests := []struct {
		name  string
		d     mail.TLSDetail
		left  time.Duration
		loses int
	}{
		{"in five days", at("mx", verified()), 5 * 24 * time.Hour, 4},
		{"in twenty days", at("mx", verified()), 20 * 24 * time.Hour, 0},
		{"yesterday", at("mx", verified()), -24 * time.Hour, 4},
		{"did not verify anyhow", at("mx", expiredSession()), 24 * time.Hour, 0},
		{"DANE-EE needs no date", dane(tlspolicy.MatchEE), 24 * time.Hour, 0},
		{"DANE-TA does", dane(tlspolicy.MatchTA), 24 * time.Hour, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				d := until(tt.d, tt.left)
				w.send("a@a.example", event.Delivered, d)
				w.send("a@b.example", event.Delivered, d)
				rep := w.answer(Question{})
				if tt.loses == 0 {
					if len(rep.Warnings) != 0 {
						t.Errorf("%+v", rep.Warnings)
					}
					return
				}
				if len(rep.Warnings) != 1 {
					t.Fatalf("%+v", rep.Warnings)
				}
				g := rep.Warnings[0]
				if g.Kind != CertificateExpires || g.Domains != 2 || g.Messages != 2 || len(g.Loses) != tt.loses || !g.At.Equal(*d.CertNotAfter) || strings.Join(g.Named, " ") != "a.example b.example" {
					t.Errorf("%+v", g)
				}
			})
		})
	}
}

func TestTestingThatWouldFail(t *testing.T) {
	tests := []struct {
		name   string
		listed bool
		s      tlspolicy.Session
		loses  int
	}{
		{"not listed", false, verified(), 4},
		{"does not verify", true, expiredSession(), 3}, // (t,f) does not deliver as it is
		{"in order", true, verified(), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.send("a@a.example", event.Delivered, evidence(tlspolicy.Facts{STS: tlspolicy.STSTesting, STSListed: tt.listed}, tt.s, nil))
				rep := w.answer(Question{})
				if tt.loses == 0 && len(rep.Warnings) == 0 {
					return
				}
				if len(rep.Warnings) != 1 || rep.Warnings[0].Kind != TestingWouldFail || len(rep.Warnings[0].Loses) != tt.loses || !rep.Warnings[0].Undelivered {
					t.Errorf("%+v", rep.Warnings)
				}
			})
		})
	}
}

// The least exception that helps is suggested, and where nothing lost, none.
func TestSuggestions(t *testing.T) {
	mismatch := evidence(tlspolicy.Facts{TLSA: tlspolicy.TLSAUsable}, verified(), nil)
	unlisted := evidence(tlspolicy.Facts{STS: tlspolicy.STSEnforce, STSListed: true}, expiredSession(), nil)
	failed := evidence(tlspolicy.Facts{TLSA: tlspolicy.TLSAFailed}, verified(), nil)
	tests := []struct {
		name string
		d    mail.TLSDetail
		want string
	}{
		{"a certificate", at("mx", expiredSession()), "[{true false}] requirement=RA unverified refused-verify-failed"},
		{"no TLS", at("mx", noTLS()), "[{true false} {true true}] requirement=OA plaintext refused-not-offered"},
		{"no TLSA record matches", mismatch, "[{false false} {false true} {true false} {true true}] dane=audit verified refused-dane-mismatch"},
		{"an enforced policy that the host does not meet", unlisted, "[{false false} {false true} {true true}] mta-sts=audit plaintext refused-verify-failed"},
		{"nothing is known behind a failed look-up", failed, ""},
		{"verified", at("mx", verified()), ""},
	}
	for _, tt := range tests {
		inWorld(t, func(w *world) {
			w.send("a@a.example", event.Delivered, tt.d)
			got := []string{}
			for _, s := range w.answer(Question{}).Suggestions {
				got = append(got, fmt.Sprintf("%v %s %s %s", s.Flags, s.Sets, s.Delivery, s.Because))
			}
			if len(got) == 0 && tt.want == "" {
				return
			}
			if len(got) == 0 || got[0] != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

// An exception that is made ends the suggestion, and the loss.
func TestSuggestionTaken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.send("a@a.example", event.Delivered, at("mx.a.example", noTLS()))
		o := mail.Override{Target: "a.example", Requirement: "OA", Expires: time.Now().Add(time.Hour)}
		w.cfg.Overrides = fakeOverrides{"a.example": o}
		rep := w.answer(Question{})
		w.wantShares(rep, "0 0 1 0 0", "0 0 1 0 0", "0 0 1 0 0", "0 0 1 0 0")
		if len(rep.Suggestions) != 0 {
			t.Errorf("%+v", rep.Suggestions)
		}
		time.Sleep(2 * time.Hour) // it has ended
		w.wantShares(w.answer(Question{}), "0 0 1 0 0", "0 0 1 0 0", "0 0 0 1 0", "0 0 0 1 0")
	})
}

// A journal is a log that a test takes line by line.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(p))
	return len(p), nil
}

// take returns the lines since it was last asked.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// One line a day for a domain that requires TLS and loses recipients by it.
func TestWatch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.send("a@fine.example", event.Delivered, until(at("mx.fine.example", verified()), 20*24*time.Hour))
		w.send("a@bad.example", event.Delivered, at("mx.bad.example", noTLS()))
		var log journal
		done := make(chan struct{})
		ctx, stop := context.WithCancel(w.t.Context())
		defer func() { stop(); <-done }()
		go func() {
			defer close(done)
			New(w.cfg).Watch(ctx, w.store, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		pass := func(d time.Duration) []string {
			time.Sleep(d)
			synctest.Wait()
			return log.take()
		}
		if got := pass(time.Hour); len(got) != 0 {
			t.Errorf("a domain that does not require TLS: %q", got)
		}
		var err error
		if w.domain, err = w.store.UpdateDomain(w.t.Context(), w.domain.Name, func(d *store.Domain) error { d.TLS.RequireTLS = mail.True; return nil }); err != nil {
			t.Fatal(err)
		}
		got := pass(24 * time.Hour)
		if len(got) != 1 || !strings.Contains(got[0], "level=WARN") || !strings.Contains(got[0], "recipient-domains=1 messages=1 days=30 first=\"bad.example: refused-not-offered at mx.bad.example\"") {
			t.Errorf("%q", got)
		}
		got = pass(6 * 24 * time.Hour) // thirteen days before the certificate ends
		if len(got) != 6 || !strings.Contains(got[5], "recipient-domains=2 messages=2") {
			t.Errorf("%q", got)
		}
	})
}
