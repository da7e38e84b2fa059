package dnssec

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// remember puts in what a delivery to each of n domains asks: MX, the addresses of a host
// of its own, its TLSA records and the domain's MTA-STS record; 5 answers each.
func remember(c *cache, n int) {
	now := time.Now()
	put := func(name string, t Type, records ...Record) {
		a := Answer{Name: name, Type: t, State: Found, Canonical: name, Secure: true, Asked: now, Records: records}
		if len(records) == 0 {
			a.State = NoData
		}
		c.put(question{name, t}, a, time.Hour, c.term())
	}
	for i := range n {
		domain := fmt.Sprintf("recipient-%06d.example", i)
		host := "mx1." + domain
		v6 := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)}
		put(domain, MX, Record{Preference: 10, Host: host}, Record{Preference: 20, Host: "mx2." + domain})
		put(host, A, Record{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
		put(host, AAAA, Record{Addr: netip.AddrFrom16(v6)})
		put("_25._tcp."+host, TLSA, Record{TLSA: TLSAData{3, 1, 1, make([]byte, 32)}}, Record{TLSA: TLSAData{2, 1, 1, make([]byte, 32)}})
		put("_mta-sts."+domain, TXT, Record{Text: "v=STSv1; id=20261125T040000;"})
	}
}

// heap is how much memory is in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// The estimate that bounds the memory is what the memory costs.
func TestMemoryIsWhatItIsEstimatedToBe(t *testing.T) {
	before := heap()
	c := newCache(1 << 30)
	remember(c, 20_000)
	got := heap() - before
	if got > c.bytes*115/100 || got < c.bytes*75/100 {
		t.Errorf("takes %d bytes, estimated at %d", got, c.bytes)
	}
	if want := 100_000; len(c.entries[MX])+len(c.entries[A])+len(c.entries[AAAA])+len(c.entries[TLSA])+len(c.entries[TXT]) != want {
		t.Errorf("not %d answers", want)
	}
	runtime.KeepAlive(c)
}

// The goal is 100,000 recipient domains with five answers each in under 100 MB, all of
// which the default limit keeps.
func BenchmarkMemoryOf100000Domains(b *testing.B) {
	const domains = 100_000
	for b.Loop() {
		before := heap()
		c := newCache(Config{}.withDefaults().CacheBytes)
		remember(c, domains)
		used := heap() - before
		b.ReportMetric(float64(used)/1e6, "MB")
		b.ReportMetric(float64(c.bytes)/1e6, "estimated-MB")
		b.ReportMetric(float64(used)/(5*domains), "B/answer")
		if _, ok := c.get(question{"recipient-000000.example", MX}, time.Now()); !ok {
			b.Fatal("the first domain was forgotten")
		}
	}
}

func BenchmarkWarm(b *testing.B) {
	c := newCache(1 << 30)
	remember(c, 1000)
	now := time.Now()
	for _, q := range []question{
		{"recipient-000500.example", MX}, {"mx1.recipient-000500.example", A}, {"_25._tcp.mx1.recipient-000500.example", TLSA}, {"_mta-sts.recipient-000500.example", TXT},
	} {
		b.Run(q.typ.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := c.get(q, now); !ok {
					b.Fatal("forgotten")
				}
			}
		})
	}
}
