package delivery

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mtasts"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// policyZone has two MX hosts for every domain below it, with addresses and TLSA
// records, and an MTA-STS record.
const policyZone = `*.many MX 10 mx1
*.many MX 20 mx2
_mta-sts.known.many TXT "v=STSv1; id=1"
mx1 A 192.0.2.1
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.2
mx2 AAAA 2001:db8::2
known.many MX 10 mx1
known.many MX 20 mx2
_25._tcp.mx1 TLSA 3 1 1 00000000000000000000000000000000000000000000000000000000000000aa
_25._tcp.mx2 TLSA 3 1 1 00000000000000000000000000000000000000000000000000000000000000ab
`

// A policyRoom is everything that is asked before a delivery connects: the real
// resolver, TLSA records, kept MTA-STS policies on the real store.
type policyRoom struct {
	dns *dnstest.Server
	sts *mtasts.Cache
	d   *Deliverer
}

func newPolicyRoom(b *testing.B, config func(*dnssec.Config)) *policyRoom {
	b.Helper()
	r := &policyRoom{dns: dnstest.Start(b, dnstest.Zone{Origin: "test", Secure: true, Records: policyZone})}
	cfg := r.dns.Config()
	if config != nil {
		config(&cfg)
	}
	stub, err := dnssec.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir(), Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	now := time.Now().UTC()
	err = s.PutSTSPolicies(b.Context(), []store.STSPolicy{{
		Domain: "known.many.test", ID: "1", Text: "version: STSv1\nmode: enforce\nmx: *.test\nmax_age: 604800", Fetched: now, Expires: now.Add(7 * 24 * time.Hour), Used: now,
	}})
	if err != nil {
		b.Fatal(err)
	}
	if r.sts, err = mtasts.Open(b.Context(), mtasts.Config{Resolver: stub, Roots: pki().Roots, Store: s, Log: log}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.sts.Close() })
	r.d = New(Config{
		Router: mx.New(stub, nil), DANE: dane.New(stub, 25), STS: r.sts, Overrides: s, Verifier: pkix.New(pki().Roots), Peers: &memoryPeers{seen: map[string]bool{}},
	})
	return r
}

// walk finds out what a delivery to the domain must know, for all its hosts.
func (r *policyRoom) walk(b *testing.B, domain string) {
	ctx := dnssec.WithBudget(context.Background(), queryBudget)
	route := r.d.cfg.Router.Resolve(ctx, domain)
	to := recipient{domain: domain, flags: tlspolicy.Resolve(mail.TLSFlags{}, mail.TLSFlags{}, false)}
	r.d.meet(ctx, &to, route)
	for _, h := range route.Hosts {
		if t := r.d.know(ctx, &to, h, route.Secure); t.req.Class != tlspolicy.D || t.req.Refuse != "" {
			b.Errorf("%s at %s: %+v", domain, h.Name, t.req)
		}
	}
}

// BenchmarkPolicyWarm is what the policies cost a delivery whose recipient is known:
// MX, MTA-STS, overrides, and addresses and TLSA records of both hosts. It fails if
// anything was asked of the network.
func BenchmarkPolicyWarm(b *testing.B) {
	r := newPolicyRoom(b, nil)
	r.walk(b, "known.many.test")
	asked := len(r.dns.Queries())
	b.ReportAllocs()
	for b.Loop() {
		r.walk(b, "known.many.test")
	}
	if n := len(r.dns.Queries()) - asked; n != 0 {
		b.Errorf("%d questions to the resolver", n)
	}
	if n := r.sts.Stats().Fetches; n != 0 {
		b.Errorf("%d policies fetched", n)
	}
}

// A distant connection takes 5 ms for each answer.
type distant struct{ net.Conn }

func (d distant) Read(p []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return d.Conn.Read(p)
}

// BenchmarkPolicyCold is domains that nobody has written to yet, 128 at a time, with a
// resolver that takes 5 ms for each answer.
func BenchmarkPolicyCold(b *testing.B) {
	r := newPolicyRoom(b, func(cfg *dnssec.Config) {
		direct := cfg.Dial
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := direct(ctx, network, address)
			return distant{conn}, err
		}
	})
	var next atomic.Int64
	b.SetParallelism(64) // times GOMAXPROCS
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r.walk(b, fmt.Sprintf("cold-%d.many.test", next.Add(1)))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "domains/s")
}
