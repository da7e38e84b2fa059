package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

func TestParseExpires(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"":                          "",
		"14d":                       "2026-12-09T12:00:00Z",
		"72h":                       "2026-11-28T12:00:00Z",
		"90m":                       "2026-11-25T13:30:00Z",
		"366d":                      "2027-11-26T12:00:00Z",
		"2026-12-01":                "2026-12-01T00:00:00Z",
		"2026-12-01T10:00:00Z":      "2026-12-01T10:00:00Z",
		"2026-12-01T10:00:00+02:00": "2026-12-01T08:00:00Z",
		"2026-11-25":                "passed", // its first moment was this morning
		"2026-11-25T12:00:00Z":      "passed",
		"0d":                        "passed", "-1h": "passed",
		"500ms": "passed", "2026-11-25T12:00:00.9Z": "passed", // whole seconds are kept
		"367d": "366 days", "65535d": "366 days", "2099-01-01": "366 days",
		"65536d": "must be", "1w": "must be", "-1d": "must be", "forever": "must be", "14": "must be", "9999999h": "must be",
	} {
		got, err := door.ParseExpires(s, now)
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), want) || want == "" {
				t.Errorf("%q: %v, want %q", s, err, want)
			}
		case got.IsZero() != (want == "") || !got.IsZero() && got.Format(time.RFC3339) != want:
			t.Errorf("%q: %v, want %q", s, got, want)
		}
	}
}

// Every single setting that lowers needs an end, and none that does not.
func TestWhatLowersNeedsAnEnd(t *testing.T) {
	now := time.Now()
	for name, words := range map[string][]string{
		"dane": {"honor", "audit", "ignore"}, "mta-sts": {"honor", "audit", "ignore"}, "requirement": {"OV", "OA", "RV", "RA"},
		"min-tls": {"1.0", "1.1", "1.2", "1.3"}, "on-unverified": {"plaintext", "encrypt"}, "client-cert": {"bank"},
	} {
		for _, word := range words {
			p := door.Params{Values: url.Values{"domain": {"a.example"}, "reason": {"x"}, name: {word}}}
			o, err := parseOverride(p, now)
			if lowers := o.Lowers(); (err != nil) != lowers {
				t.Errorf("%s=%s lowers: %v; without an end: %v", name, word, lowers, err)
			}
			if err != nil && !strings.Contains(err.Error(), name+"="+word+" would lower") {
				t.Errorf("%s=%s: the refusal does not name it: %v", name, word, err)
			}
			p.Set("expires", "1d")
			if _, err := parseOverride(p, now); err != nil {
				t.Errorf("%s=%s with an end: %v", name, word, err)
			}
		}
	}
}

// Whoever may open the operator's socket is the operator.
func TestActorOfTheTrustedSocket(t *testing.T) {
	rg := newRig(t)
	r := httptest.NewRequest("PUT", "/v3/domains/example.com/connection?require_tls=yes", nil)
	if w := serve(rg.trusted, r); w.Code != http.StatusOK {
		t.Fatalf("status %d", w.Code)
	}
	list, err := rg.store.AuditLog(t.Context(), store.AuditQuery{Limit: 1})
	if err != nil || list[0].Actor != store.ActorOperator || list[0].After["require-tls"] != "true" {
		t.Errorf("noted as %+v, %v", list, err)
	}
}

// A domain's exception is shown until it ends, and is then as if it had not been: a
// later one needs its own end.
func TestPolicyExceptionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rg := newRig(t)
		put := func(form url.Values) *httptest.ResponseRecorder {
			return rg.call("admin", "PUT", "/v1/sealpost/domains/example.com/delivery", form)
		}
		shows := func(w *httptest.ResponseRecorder, want string) {
			t.Helper()
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
				t.Errorf("status %d %s, want %s", w.Code, w.Body, want)
			}
		}
		shows(put(url.Values{"dane": {"ignore"}, "expires": {"2h"}, "reason": {"x"}}), `"dane":"ignore"`)
		time.Sleep(2*time.Hour - time.Second)
		get := func() *httptest.ResponseRecorder {
			return rg.call("admin", "GET", "/v1/sealpost/domains/example.com/delivery", nil)
		}
		shows(get(), `"dane":"ignore"`)
		time.Sleep(time.Second)
		shows(get(), `"dane":"honor","mta-sts":"honor","policy-expires":""`)
		shows(get(), `"preset":"default"`)
		if w := put(url.Values{"expires": {"2h"}, "reason": {"x"}}); w.Code != http.StatusBadRequest {
			t.Errorf("an ended exception was prolonged: %d %s", w.Code, w.Body)
		}
		shows(put(url.Values{"mta-sts": {"audit"}, "expires": {"2h"}, "reason": {"x"}}), `"dane":"honor","mta-sts":"audit"`)
	})
}

// A change that lowers is begun twice, for the count; it is noted once, with what it really found.
func TestLoweringChangeCountsOnce(t *testing.T) {
	rg := newRig(t)
	w := rg.call("admin", "PUT", "/v1/sealpost/domains/example.com/delivery", url.Values{"preset": {"strict"}})
	if w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	d := rg.store.domains["example.com"]
	for i := range 3 {
		rg.store.rows = append(rg.store.rows, store.Row{ID: mail.ID(i + 1), Message: mail.ID(i / 2), DomainID: d.ID})
	}
	before := len(rg.store.audit)
	w = rg.call("admin", "PUT", "/v1/sealpost/domains/example.com/delivery", url.Values{"preset": {"default"}, "reason": {"x"}})
	if w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	if len(rg.store.audit) != before+1 || rg.store.audit[before].Details["queued-messages"] != 2 {
		t.Errorf("noted as %+v", rg.store.audit[before:])
	}
}
