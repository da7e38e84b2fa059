package dane_test

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
)

// What one handshake pays: DANE-EE is a digest, DANE-TA a chain verification.
func BenchmarkMatch(b *testing.B) {
	root := issue(b, nil, ca("root"), nil)
	inter := issue(b, root, ca("intermediate"), nil)
	server := issue(b, inter, leaf(), nil)
	chain := chainOf(server, inter, root)
	now := time.Now()
	for _, bm := range []struct {
		name    string
		records []dnssec.TLSAData
		want    any
	}{
		{"EE-3-1-1", []dnssec.TLSAData{tlsa(b, "3 1 1", server)}, ee},
		{"EE-3-0-1", []dnssec.TLSAData{tlsa(b, "3 0 1", server)}, ee},
		{"EE-3-1-1-second-of-two", []dnssec.TLSAData{tlsa(b, "3 1 1", inter), tlsa(b, "3 1 1", server)}, ee},
		{"TA-2-1-1", []dnssec.TLSAData{tlsa(b, "2 1 1", root)}, ta},
		{"TA-2-1-0", []dnssec.TLSAData{tlsa(b, "2 1 0", root)}, ta},
		{"no-match", []dnssec.TLSAData{tlsa(b, "3 1 1", inter)}, noMatch},
	} {
		r := usable(b, bm.records...)
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if m := r.Match(chain, nil, now); m.TLSA != bm.want {
					b.Fatalf("%+v", m)
				}
			}
		})
	}
}

// What one delivery pays for a host whose records are remembered.
func BenchmarkLookupWarm(b *testing.B) {
	s := dnstest.Start(b, zones()...)
	r := dane.New(s.Resolver(b), 0)
	b.ReportAllocs()
	for b.Loop() {
		if got := r.Lookup(b.Context(), "mx.signed.test", dane.Addresses{Secure: true}); len(got.Records) != 1 {
			b.Fatalf("%+v", got)
		}
	}
}
