package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func session(domain string, t tlsresult.Type, host string) tlsresult.Observation {
	return tlsresult.Observation{
		At: noon, Policy: tlsresult.Policy{Type: tlsresult.PolicySTS, Domain: domain, Strings: []string{"version: STSv1"}},
		Type: t, MXHost: host, ReceivingIP: "192.0.2.1", SendingIP: "192.0.2.2",
	}
}

// sums adds up what a counter has to be written.
func sums(c *counter) (successes, failures, detailed int64) {
	for _, t := range c.take(1 << 30) {
		successes += t.count.Successes
		failures += t.count.Failures
		for _, f := range t.count.Details {
			detailed += f.Sessions
		}
	}
	return successes, failures, detailed
}

// What exceeds a limit is counted as dropped, and as much as possible is kept.
func TestLimits(t *testing.T) {
	c := newCounter(Limits{Domains: 2, Policies: 2, Details: 3, Octets: 1 << 20})
	for i := range 5 {
		c.observe(session(fmt.Sprintf("d%d.test", i), tlsresult.Success, "mx"))
	}
	if s := c.snapshot(); s.Sessions != 2 || s.DroppedDomains != 3 {
		t.Errorf("domains: %+v", s)
	}
	for i := range 5 {
		o := session("d0.test", tlsresult.Success, "mx")
		o.Policy.Strings = []string{fmt.Sprintf("id: %d", i)}
		c.observe(o)
	}
	if s := c.snapshot(); s.Sessions != 3 || s.DroppedDomains != 7 {
		t.Errorf("policies: %+v", s)
	}
	for i := range 10 {
		c.observe(session("d1.test", tlsresult.CertificateExpired, fmt.Sprintf("mx%d", i%5)))
	}
	if s := c.snapshot(); s.Sessions != 13 || s.DroppedDetails != 4 {
		t.Errorf("details: %+v", s)
	}
	if ok, failed, detailed := sums(c); ok != 3 || failed != 10 || detailed != 6 {
		t.Errorf("%d %d %d", ok, failed, detailed)
	}
	c.observe(session("", tlsresult.Success, "mx"))
	c.observe(session(strings.Repeat("x", 300), tlsresult.Success, "mx"))
	for i := range 10 {
		o := session("d0.test", tlsresult.Success, "mx")
		o.At = noon.Add(time.Duration(i) * 24 * time.Hour)
		c.observe(o)
	}
	if n := len(c.days); n != maxDays {
		t.Errorf("%d days", n)
	}
}

// A policy that is too long is cut, and counted as one nevertheless.
func TestLongPoliciesAreCut(t *testing.T) {
	c := newCounter(defaultLimits())
	o := session("d.test", tlsresult.CertificateExpired, strings.Repeat("h", 5000))
	for range 2000 {
		o.Policy.Strings = append(o.Policy.Strings, "mx: a.very.long.policy.test")
	}
	for range 3 {
		c.observe(o)
	}
	list := c.take(10)
	if len(list) != 1 || list[0].count.Failures != 3 || size(list[0].count.Policy.Strings) > maxPolicyText || len(list[0].count.Details[0].MXHost) != maxText {
		t.Errorf("%d counts", len(list))
	}
}

// TLSA records come in any order and are one policy; the lines of MTA-STS are not sorted.
func TestOrderOfTLSARecords(t *testing.T) {
	c := newCounter(defaultLimits())
	o := session("mx.test", tlsresult.Success, "mx.test")
	o.Policy.Type = tlsresult.PolicyTLSA
	for _, records := range [][]string{{"3 1 1 AA", "3 1 1 BB"}, {"3 1 1 BB", "3 1 1 AA"}} {
		o.Policy.Strings = records
		c.observe(o)
		if records[0] != o.Policy.Strings[0] {
			t.Error("the caller's records were sorted")
		}
	}
	if list := c.take(10); len(list) != 1 || list[0].count.Successes != 2 || list[0].count.Policy.Strings[0] != "3 1 1 AA" {
		t.Errorf("%+v", list)
	}
	o.Policy.Type, o.Policy.Strings = tlsresult.PolicySTS, []string{"version: STSv1", "mode: testing"}
	c.observe(o)
	if list := c.take(10); list[0].count.Policy.Strings[0] != "version: STSv1" {
		t.Errorf("%+v", list)
	}
}

// Every name, policy and failure another one, each as long as it may be: memory stays
// within the limit, and the estimate is not lower than what is really held.
func TestMemoryIsBounded(t *testing.T) {
	limits := defaultLimits()
	limits.Octets = 8 << 20
	c := newCounter(limits)
	held := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	for i := range 60_000 {
		o := session(fmt.Sprintf("d%d.test", i), tlsresult.CertificateExpired, strings.Repeat("h", i%300))
		if i%10 == 0 {
			o.Policy.Strings = []string{strings.Repeat("p", i%9000)}
		}
		c.observe(o)
	}
	got, s := held()-before, c.snapshot()
	if s.Octets > int64(limits.Octets) || got > s.Octets*11/10 || s.DroppedDomains == 0 {
		t.Errorf("%d octets held, %d estimated, %d allowed; %+v", got, s.Octets, limits.Octets, s)
	}
	t.Logf("%d sessions counted: %d octets held, %d estimated", s.Sessions, got, s.Octets)
	sums(c)
	c.close(dayNumber(noon))
	c.forget()
	if s := c.snapshot(); s.Octets != 0 || len(c.days) != 0 {
		t.Errorf("after the day: %+v", s)
	}
	runtime.KeepAlive(c)
}

// A flaky store fails now and then.
type flaky struct {
	*sqlite.Store
	mu   sync.Mutex
	call int
}

func (f *flaky) AddTLSCounts(ctx context.Context, counts []store.TLSCount) error {
	f.mu.Lock()
	f.call++
	fail := f.call%3 == 1
	f.mu.Unlock()
	if fail {
		return errors.New("disk is busy")
	}
	return f.Store.AddTLSCounts(ctx, counts)
}

// Many observers, flushes in between, a store that fails: no session is lost or counted
// twice, and the limits count what an earlier process has stored.
func TestNothingIsLostOnTheWayToTheStore(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	open := func() *Room {
		r, err := Open(t.Context(), Config{From: address("tls@sender.test"), Limits: Limits{Domains: 100, Policies: 1, Details: 4, Octets: 1 << 20}},
			Deps{Store: &flaky{Store: s}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const observers, each = 8, 500
	r := open()
	now := time.Now()
	var wg sync.WaitGroup
	for i := range observers {
		wg.Go(func() {
			for n := range each {
				o := session(fmt.Sprintf("d%d.test", n%50), tlsresult.CertificateExpired, fmt.Sprintf("mx%d", n%3))
				o.At = now
				if n%2 == 0 {
					o.Type = tlsresult.Success
				}
				r.Observe(o)
				if n%100 == i {
					_ = r.flush(t.Context()) // it may fail
				}
			}
		})
	}
	wg.Wait()
	for range 5 {
		err = r.Close(t.Context())
	}
	if err != nil {
		err = r.Close(t.Context())
	}
	counts, err2 := s.TLSCounts(t.Context(), now.UTC().Format(time.DateOnly), "")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	var ok, failed, detailed int64
	for _, c := range counts {
		ok += c.Successes
		failed += c.Failures
		for _, f := range c.Details {
			detailed += f.Sessions
		}
	}
	if want := int64(observers * each / 2); len(counts) != 50 || ok != want || failed != want || detailed != want {
		t.Errorf("%d domains: %d succeeded, %d failed, %d in detail", len(counts), ok, failed, detailed)
	}

	again := open()
	for i := range 10 {
		o := session("d1.test", tlsresult.CertificateExpired, fmt.Sprintf("other%d", i))
		o.At = now
		again.Observe(o)
	}
	if st := again.Stats(); st.Sessions != 10 || st.DroppedDetails != 9 { // three kinds were there
		t.Errorf("after a restart: %+v", st)
	}
}

// The room is off without a sender: nothing is counted, kept or looked up.
func TestOff(t *testing.T) {
	r, err := Open(t.Context(), Config{}, Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Observe(session("d.test", tlsresult.Success, "mx"))
	r.Run(t.Context(), nil)
	if err := r.Close(t.Context()); err != nil || r.Stats() != (Stats{}) || r.Enabled() {
		t.Errorf("%v %+v", err, r.Stats())
	}
}

// Reports are spread over four hours, and each has its moment.
func TestPlanSpreads(t *testing.T) {
	midnight := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	quarters := make([]int, 16)
	ids := map[string]bool{}
	for i := range 4000 {
		domain := fmt.Sprintf("d%d.test", i)
		r, err := plan("2026-11-23", domain, "sender.test", midnight.Add(11*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := plan("2026-11-23", domain, "sender.test", midnight.Add(12*time.Minute)); !again.Due.Equal(r.Due) || again.ID != r.ID {
			t.Fatal("planned twice, it is another")
		}
		ids[r.ID] = true
		quarters[int(r.Due.Sub(midnight.Add(15*time.Minute))/(15*time.Minute))]++
	}
	for i, n := range quarters {
		if n < 150 || n > 350 {
			t.Errorf("%d of 4000 in quarter %d", n, i)
		}
	}
	if len(ids) != 4000 {
		t.Errorf("%d ids", len(ids))
	}
}

func BenchmarkObserve(b *testing.B) {
	c := newCounter(defaultLimits())
	var list []tlsresult.Observation
	for i := range 1000 {
		o := session(fmt.Sprintf("domain-%d.test", i), tlsresult.Success, "mx1.test")
		if i%4 == 0 {
			o.Type = tlsresult.CertificateExpired
		}
		list = append(list, o)
	}
	for _, o := range list {
		c.observe(o)
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.observe(list[i%len(list)])
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				c.observe(list[i%len(list)])
			}
		})
	})
}
