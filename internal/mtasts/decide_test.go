package mtasts

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/tlsresult"
)

// Every publication, every purpose, every memory: sentences that hold for all.
func TestDecisionHolds(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	policy := func(mode Mode, id string, left time.Duration) *Policy {
		return &Policy{ID: id, Mode: mode, MX: []string{"a.test"}, Fetched: now.Add(-time.Hour), Expires: now.Add(left)}
	}
	policies := []*Policy{nil}
	for _, mode := range []Mode{Enforce, Testing, None} {
		for _, id := range []string{"1", "2"} {
			for _, left := range []time.Duration{-time.Second, 0, time.Second} {
				policies = append(policies, policy(mode, id, left))
			}
		}
	}
	for _, p := range policies {
		for _, since := range []time.Duration{-time.Hour, 0, fetchInterval - 1, fetchInterval, time.Hour} {
			for _, fault := range []tlsresult.Type{"", tlsresult.STSWebPKIInvalid} {
				m := memory{policy: p, attempted: now.Add(-since), fault: fault}
				if fault != "" {
					m.err = errors.New("what was wrong")
				}
				for _, d := range []discovery{{state: unknown, err: errors.New("timeout")}, {state: absent}, {state: malformed, err: errors.New("several")}, {state: published, id: "1"}} {
					for _, why := range []purpose{forDelivery, forRecheck, forRefresh} {
						checkDecision(t, m, d, why, now)
					}
				}
			}
		}
	}
}

func checkDecision(t *testing.T, m memory, d discovery, why purpose, now time.Time) {
	t.Helper()
	at := fmt.Sprintf("policy %+v, %s, purpose %d", m.policy, d.state, why)
	rules := m.policy != nil && now.Before(m.policy.Expires)
	wants := wantsFetch(m, d, why, now)
	r := m.result(d, now)
	switch {
	case wants && (d.state == absent || d.state == malformed):
		t.Errorf("%s: fetched without a record", at)
	case wants && d.state == unknown && !rules:
		t.Errorf("%s: fetched although nothing says that there is a policy", at)
	case !wants && d.state == published && (!rules || m.policy.ID != d.id):
		t.Errorf("%s: a new id is not fetched", at)
	case wants && why == forDelivery && rules && m.policy.ID == d.id:
		t.Errorf("%s: fetched for a delivery although nothing changed", at)
	}
	switch {
	case rules && (r.State != m.policy.Mode.State() || r.Policy.ID != m.policy.ID || !r.Cached || r.Fault != m.fault):
		t.Errorf("%s: a cached policy does not rule: %+v", at, r)
	case !rules && (r.Policy.Mode != "" || r.Cached || r.State != noPolicy && r.State != noFetch):
		t.Errorf("%s: something rules that is over: %+v", at, r)
	case !rules && (r.State == noFetch) != (d.state == published || d.state == unknown):
		t.Errorf("%s: %+v", at, r)
	case r.State == noFetch && r.Err == nil:
		t.Errorf("%s: a failure without a reason", at)
	case r.Fault != "" && !rules && d.state != published:
		t.Errorf("%s: a fault is reported of a domain without a policy", at)
	}
}

func TestRests(t *testing.T) {
	now := clock()
	for since, want := range map[time.Duration]bool{
		0: true, time.Minute: true, fetchInterval - 1: true, fetchInterval: false, time.Hour: false,
		-time.Hour: false, // the clock was set back
	} {
		if got := (memory{attempted: now.Add(-since)}).rests(now); got != want {
			t.Errorf("%s after: %t", since, got)
		}
	}
	if (memory{}).rests(now) {
		t.Error("what was never fetched rests")
	}
}

func TestRefreshDue(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	tests := []struct {
		name      string
		mode      Mode
		life, age time.Duration
		failed    time.Duration // since the latest attempt; 0: it was the one that fetched
		unused    time.Duration
		want      bool
	}{
		{"fresh", Enforce, 7 * day, time.Hour, 0, 0, false},
		{"before a day, whatever the spread", Enforce, 7 * day, 17 * time.Hour, 0, 0, false},
		{"a day old", Enforce, 7 * day, day, 0, 0, true},
		{"testing", Testing, 7 * day, day, 0, 0, true},
		{"none is left to expire", None, 7 * day, day, 0, 0, false},
		{"a short life is refreshed half way", Enforce, day, 12 * time.Hour, 0, 0, true},
		{"and not before three eighths", Enforce, day, 8 * time.Hour, 0, 0, false},
		{"expired", Enforce, day, day, 0, 0, false},
		{"just failed", Enforce, 7 * day, 2 * day, time.Hour, 0, false},
		{"failed six hours ago", Enforce, 7 * day, 2 * day, 6 * time.Hour, 0, true},
		{"short life, failed an eighth ago", Enforce, day, 20 * time.Hour, 3 * time.Hour, 0, true},
		{"no mail for thirty days", Enforce, 90 * day, 31 * day, 0, 30*day + 1, false},
		{"mail thirty days ago", Enforce, 90 * day, 31 * day, 0, 30 * day, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fetched := now.Add(-tt.age)
			m := memory{policy: &Policy{Mode: tt.mode, Fetched: fetched, Expires: fetched.Add(tt.life)}, attempted: fetched}
			if tt.failed != 0 {
				m.attempted = now.Add(-tt.failed)
			}
			for i := range 100 {
				if got := refreshDue(m, fmt.Sprintf("d%d.test", i), now.Add(-tt.unused), now); got != tt.want {
					t.Fatalf("d%d: %t, want %t", i, got, tt.want)
				}
			}
		})
	}
}

// Domains that were fetched together are not refreshed together.
func TestSpread(t *testing.T) {
	var buckets [10]int
	for i := range 10_000 {
		s := spread(fmt.Sprintf("d%d.example.test", i))
		if s < 0 || s >= 1 {
			t.Fatalf("spread %f", s)
		}
		buckets[int(s*10)]++
	}
	for i, n := range buckets {
		if n < 800 || n > 1200 {
			t.Errorf("bucket %d has %d of 10,000", i, n)
		}
	}
}

// What a stranger's certificate says ends up in no log line as it is.
func TestErrorsAreWords(t *testing.T) {
	for in, want := range map[string]string{
		"plain \"quoted\"":        "plain \"quoted\"",
		"a\nlevel=ERROR\x1b[31mü": "a?level=ERROR?[31m?",
		strings.Repeat("x", 9999): strings.Repeat("x", 500) + "...",
	} {
		if got := inWords(errors.New(in)).Error(); got != want {
			t.Errorf("%.50q becomes %.50q, want %.50q", in, got, want)
		}
	}
	m := memory{}.failed(fmt.Errorf("x: %w", &tls.CertificateVerificationError{Err: errors.New("y")}))
	var cert *tls.CertificateVerificationError
	if m.fault != tlsresult.STSWebPKIInvalid || errors.As(m.err, &cert) {
		t.Errorf("fault %q, error %v", m.fault, m.err)
	}
}
