package mtasts

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// Everybody who asks at the same time waits for one fetch.
func TestOneFlight(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		w.host.serve(func(rw http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			answer(200, "text/plain", enforced)(rw, r)
		})
		began := time.Now()
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() {
				if r := w.policy(); r.State != enforce || r.Cached || time.Since(began) != 10*time.Second {
					t.Errorf("after %s: %+v", time.Since(began), r)
				}
			})
		}
		asking.Go(func() { // one is in a hurry
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if r := w.cache.Policy(ctx, domain); r.State != noFetch || !errors.Is(r.Err, context.DeadlineExceeded) || r.Fault != "" {
				t.Errorf("in a hurry: %+v", r)
			}
		})
		asking.Wait()
		w.requests(1)
	})
}

// Who gives up leaves the fetch to the next one; a stop ends it.
func TestFetchOutlivesItsCaller(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		gate := make(chan struct{})
		w.host.serve(func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-gate:
			case <-r.Context().Done():
			}
			answer(200, "text/plain", enforced)(rw, r)
		})
		ctx, cancel := context.WithCancel(context.Background())
		cancelled := make(chan Result)
		go func() { cancelled <- w.cache.Policy(ctx, domain) }()
		synctest.Wait()
		cancel()
		if r := <-cancelled; r.State != noFetch {
			t.Errorf("given up: %+v", r)
		}
		close(gate)
		synctest.Wait()
		w.expect(w.policy(), enforce, "1", true, "")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		w.host.serve(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		done := make(chan Result)
		go func() { done <- w.policy() }()
		synctest.Wait()
		began := time.Now()
		w.down()
		if r := <-done; r.State != noFetch || r.Err == nil || time.Since(began) != 0 {
			t.Errorf("stopped after %s: %+v", time.Since(began), r)
		}
		if r := w.policy(); r.State != noFetch {
			t.Errorf("after the end: %+v", r)
		}
	})
}

// SEC-52: an id that changes with every look makes us fetch every five minutes.
func TestRestlessID(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		began := time.Now()
		for i := 0; time.Since(began) < time.Hour; i++ {
			w.publish(`mta-sts A 192.0.2.1`, fmt.Sprintf(`_mta-sts 0 TXT "v=STSv1; id=%d;"`, i))
			if r := w.policy(); r.State != enforce {
				t.Fatalf("%+v", r)
			}
			time.Sleep(10 * time.Second)
		}
		w.requests(12)
	})
}

// A policy with a life shorter than the time between fetches leaves no gap.
func TestShortLife(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		w.host.body(strings.Replace(enforced, "604800", "0", 1))
		began := time.Now()
		for time.Since(began) < time.Hour {
			if r := w.policy(); r.State != enforce {
				t.Fatalf("after %s: %+v", time.Since(began), r)
			}
			time.Sleep(7 * time.Second)
		}
		if n := w.host.take(); n > 13 {
			t.Errorf("%d fetches in an hour", n)
		}
	})
}

// many is a cache for 200 domains with a record, whose policy hosts all refuse a
// connection after nine seconds, each in a network of its own or all in one.
type many struct {
	cache     *Cache
	now, most atomic.Int64
}

func newMany(t *testing.T, oneNetwork bool) *many {
	m := &many{}
	dns := dnstest.Start(t)
	zone := dnstest.Zone{Origin: "many.test"}
	for n := range 200 {
		third := n
		if oneNetwork {
			third = 0
		}
		zone.Records += fmt.Sprintf("_mta-sts.d%d TXT \"v=STSv1; id=1\"\nmta-sts.d%d A 10.0.%d.%d\n", n, n, third, n+1)
	}
	if err := dns.SetZone(zone); err != nil {
		t.Fatal(err)
	}
	var err error
	m.cache, err = Open(t.Context(), Config{
		Resolver: dns.Resolver(t), Roots: x509.NewCertPool(), Store: &memoryStore{}, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			n := m.now.Add(1)
			defer m.now.Add(-1)
			for most := m.most.Load(); n > most && !m.most.CompareAndSwap(most, n); most = m.most.Load() {
			}
			select {
			case <-time.After(connectTime - time.Second):
			case <-ctx.Done():
			}
			return nil, errors.New("connection refused")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.cache.Close() })
	return m
}

// ask asks for the first n domains at once and returns their results.
func (m *many) ask(n int) []Result {
	results := make([]Result, n)
	var asking sync.WaitGroup
	for i := range n {
		asking.Go(func() { results[i] = m.cache.Policy(context.Background(), fmt.Sprintf("d%d.many.test", i)) })
	}
	asking.Wait()
	return results
}

func TestFetchesAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name       string
		oneNetwork bool
		most       int64
	}{{"anywhere", false, maxFetches}, {"in one network", true, maxPerNetwork}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMany(t, tt.oneNetwork)
				began := time.Now()
				results := m.ask(200)
				if took := time.Since(began); took > fetchTime {
					t.Errorf("took %s", took)
				}
				if most := m.most.Load(); most != tt.most {
					t.Errorf("%d at once, want %d", most, tt.most)
				}
				busy := 0
				for _, r := range results {
					if r.State != noFetch || r.Fault != tlsresult.STSPolicyFetchError {
						t.Fatalf("%+v", r)
					}
					if errors.Is(r.Err, errBusy) {
						busy++
					}
				}
				// Who got no turn may try again at once.
				if asked := m.cache.Stats().Failing; busy == 0 || asked != 200-busy {
					t.Errorf("%d had no turn, %d failures are remembered", busy, asked)
				}
			})
		})
	}
}

// A store that cannot be written costs the durability of a policy, not the policy,
// and is tried again.
func TestStoreFails(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		w.full.Store(true)
		w.expect(w.policy(), enforce, "1", false, "")
		w.expect(w.policy(), enforce, "1", true, "")
		if text := w.log.take(); !strings.Contains(text, "was not written") {
			t.Errorf("log:\n%s", text)
		}
		time.Sleep(sweepEvery)
		synctest.Wait()
		stored := func() int {
			list, err := w.store.LoadSTSPolicies(t.Context(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if n := stored(); n != 0 {
			t.Fatalf("%d stored", n)
		}
		w.full.Store(false)
		time.Sleep(sweepEvery)
		synctest.Wait()
		if n := stored(); n != 1 {
			t.Fatalf("%d stored", n)
		}
		if s := w.cache.Stats(); s.StoreErrors < 2 {
			t.Errorf("%+v", s)
		}
	})
}

// What is returned is on disk: kill -9 right after the first answer loses nothing.
func TestDurableBeforeReturned(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		w.expect(w.policy(), enforce, "1", false, "")
		list, err := w.store.LoadSTSPolicies(t.Context(), time.Now())
		if err != nil || len(list) != 1 || list[0].Domain != domain || list[0].Text != strings.TrimSpace(enforced) {
			t.Errorf("stored %+v, %v", list, err)
		}
	})
}

// A stored policy that cannot be read is dropped with a word about it.
func TestUnreadableStored(t *testing.T) {
	s := &memoryStore{}
	now := clock()
	_ = s.PutSTSPolicies(t.Context(), []store.STSPolicy{
		{Domain: "bad.test", ID: "1", Text: "nonsense", Fetched: now, Expires: now.Add(time.Hour), Used: now},
		{Domain: "good.test", ID: "1", Text: enforced, Fetched: now, Expires: now.Add(time.Hour), Used: now},
	})
	text := &syncBuffer{}
	dns := dnstest.Start(t)
	c, err := Open(t.Context(), Config{Resolver: dns.Resolver(t), Roots: smtptest.NewPKI(t).Roots, Store: s, Log: slog.New(slog.NewTextHandler(text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if log := text.take(); !strings.Contains(log, "bad.test") {
		t.Errorf("log: %s", log)
	}
	if r := c.Policy(t.Context(), "good.test"); r.State != enforce {
		t.Errorf("%+v", r)
	}
	if r := c.Policy(t.Context(), "Good.Test."); r.State != enforce {
		t.Errorf("in capitals and with a dot: %+v", r)
	}
}

// Beyond the limits, what protects least goes first, from memory and from disk.
func TestLimits(t *testing.T) {
	now := clock()
	policies := func(n int, mode Mode) (list []store.STSPolicy) {
		for i := range n {
			list = append(list, store.STSPolicy{
				Domain: fmt.Sprintf("%s%02d.test", mode, i), ID: "1", Text: "version: STSv1\nmode: " + string(mode) + "\nmx: a.test\nmax_age: 3600",
				Fetched: now, Expires: now.Add(time.Hour), Used: now.Add(time.Duration(i-60) * time.Second),
			})
		}
		return list
	}
	open := func(t *testing.T, cfg Config, list []store.STSPolicy) *Cache {
		s := &memoryStore{}
		if err := s.PutSTSPolicies(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		cfg.Store, cfg.Log, cfg.Roots = s, slog.New(slog.DiscardHandler), smtptest.NewPKI(t).Roots
		cfg.Resolver = resolverFunc(func(_ context.Context, name string, typ dnssec.Type) dnssec.Answer {
			return dnssec.Answer{Name: name, Type: typ, State: dnssec.NXDomain}
		})
		c, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	all := append(append(policies(32, Enforce), policies(32, Testing)...), policies(32, None)...)
	t.Run("count", func(t *testing.T) {
		c := open(t, Config{MaxPolicies: 48}, all)
		if s := c.Stats(); s.Enforce != 32 || s.Testing != 13 || s.None != 0 || s.Dropped != 51 {
			t.Errorf("%+v", s)
		}
		if c.Policy(t.Context(), "testing18.test").State != noPolicy || c.Policy(t.Context(), "testing19.test").State != testMode {
			t.Error("the longest unused was not dropped first")
		}
	})
	t.Run("bytes", func(t *testing.T) {
		c := open(t, Config{MaxBytes: 16 << 10}, all)
		if s := c.Stats(); s.Bytes > 16<<10 || s.Enforce < 20 || s.None != 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("beyond the hard limit", func(t *testing.T) {
		c := open(t, Config{MaxPolicies: 16}, all)
		if s := c.Stats(); s.Enforce != 15 || s.Testing != 0 {
			t.Errorf("%+v", s)
		}
		p, err := fromStore(policies(1, Enforce)[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"new1.test", "new2.test"} {
			c.keep(name, memory{policy: p})
			if r := c.Policy(t.Context(), name); r.State != enforce {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if s := c.Stats(); s.Enforce > 16 {
			t.Errorf("%+v", s)
		}
		if n := len(c.store.(*memoryStore).policies); n > len(all) {
			t.Errorf("%d policies in the store", n)
		}
	})
}

// Failures are remembered for five minutes and never without bound.
func TestFailuresAreBounded(t *testing.T) {
	c := &Cache{entries: map[string]*entry{}, flights: map[string]*flight{}}
	now := clock()
	for i := range 3 * maxFailures {
		c.makeRoom()
		c.entries[fmt.Sprint(i)] = &entry{memory: memory{attempted: now}}
	}
	if n := len(c.entries); n > maxFailures || n < maxFailures/2 {
		t.Errorf("%d are remembered", n)
	}
	c.sweep(now.Add(fetchInterval))
	if n := len(c.entries); n != 0 {
		t.Errorf("%d are left", n)
	}
}
