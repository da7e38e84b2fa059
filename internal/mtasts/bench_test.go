package mtasts

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/store"
)

// A crowd is a cache that knows the policies of many domains, with the real resolver
// and its memory beneath it.
type crowd struct{ cache *Cache }

// newCrowd makes one with n policies. The TXT records are wildcards.
func newCrowd(b *testing.B, n int) *crowd {
	b.Helper()
	server := dnstest.Start(b, dnstest.Zone{Origin: "test", Records: "*.with TXT \"v=STSv1; id=20261123T120000\"\nwithout A 192.0.2.1"})
	dns := server.Resolver(b)
	s := &memoryStore{}
	now := clock()
	for i := range n {
		name := fmt.Sprintf("customer-%d.with.test", i)
		_ = s.PutSTSPolicies(b.Context(), []store.STSPolicy{{
			Domain: name, ID: "20261123T120000", Fetched: now, Expires: now.Add(days(7)), Used: now,
			Text: "version: STSv1\nmode: enforce\nmx: mx1." + name + "\nmx: mx2." + name + "\nmx: *.mail.provider.example\nmax_age: 604800",
		}})
	}
	c, err := Open(b.Context(), Config{Resolver: dns, Roots: smtptest.NewPKI(b).Roots, Store: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return &crowd{c}
}

// BenchmarkWarm is what the room costs a delivery whose TXT record is in the resolver's memory.
func BenchmarkWarm(b *testing.B) {
	ctx := context.Background()
	for _, bb := range []struct{ name, domain string }{{"enforce", "customer-7.with.test"}, {"no policy", "customer-7.without.test"}} {
		b.Run(bb.name, func(b *testing.B) {
			w := newCrowd(b, 2000)
			w.cache.Policy(ctx, bb.domain)
			b.ReportAllocs()
			for b.Loop() {
				if r := w.cache.Policy(ctx, bb.domain); (r.State == enforce) != (bb.name == "enforce") {
					b.Fatalf("%+v", r)
				}
			}
			if n := w.cache.Stats().Fetches; n != 0 {
				b.Errorf("%d fetches", n)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		w := newCrowd(b, 2000)
		w.cache.Policy(ctx, "customer-7.with.test")
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				w.cache.Policy(ctx, "customer-7.with.test")
			}
		})
	})
}

// BenchmarkMemory is the memory of this room with 100,000 recipient domains of which
// some have a policy. Those that have none cost nothing here: that they have no TXT record
// is in the resolver's memory, which has a limit of its own.
func BenchmarkMemory(b *testing.B) {
	const domains = 100_000
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for _, percent := range []int{2, 100} {
		b.Run(fmt.Sprintf("%d%%", percent), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				w := newCrowd(b, domains*percent/100)
				w.cache.store = nil // the stand-in for the disk
				b.ReportMetric((heap()-before)/(1<<20), "MiB")
				w.cache.store = &memoryStore{}
			}
		})
	}
}

// BenchmarkParsePolicy is what ParsePolicy costs for a common policy.
func BenchmarkParsePolicy(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePolicy(enforced); err != nil {
			b.Fatal(err)
		}
	}
}
