package delivery

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// pki is made once: its keys are the slow part of a test.
var pki = sync.OnceValue(func() *smtptest.PKI {
	p, err := smtptest.MakePKI()
	if err != nil {
		panic(err)
	}
	return p
})

// A world is a small Internet inside a synctest bubble: a resolver with one zone
// and MX hosts behind pipes, by address.
type world struct {
	t       *testing.T
	dns     *dnstest.Server
	servers map[netip.Addr]*smtptest.Server
	peers   *memoryPeers
	d       *Deliverer

	mu    sync.Mutex
	dials []string // host addresses in the order they were connected to
}

// standard is the zone of most tests: example.test has one MX host.
const standard = "@ MX 10 mx\nmx A 192.0.2.1"

// inWorld runs a test in a bubble with the given zone of example.test.
func inWorld(t *testing.T, zone string, test func(w *world)) {
	t.Helper()
	pki() // outside the bubble: its time is the real one
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, servers: map[netip.Addr]*smtptest.Server{}, peers: &memoryPeers{seen: map[string]bool{}}}
		w.dns = dnstest.Start(t, dnstest.Zone{Origin: "example.test", Records: zone})
		w.d = New(Config{
			HostName: "sender.test",
			Dial:     w.dial,
			Router:   mx.New(w.dns.Resolver(t), nil),
			Verifier: pkix.New(pki().Roots),
			Peers:    w.peers,
		})
		t.Cleanup(func() {
			w.d.Close()
			for _, s := range w.servers {
				s.Close()
			}
		})
		test(w)
	})
}

func (w *world) dial(_ context.Context, _, address string) (net.Conn, error) {
	ap := netip.MustParseAddrPort(address)
	w.mu.Lock()
	w.dials = append(w.dials, ap.Addr().String())
	w.mu.Unlock()
	s, ok := w.servers[ap.Addr()]
	if !ok {
		return nil, fmt.Errorf("connection refused")
	}
	return s.Pipe(), nil
}

// serve puts a server behind an address.
func (w *world) serve(addr string, b smtptest.Behaviour) *smtptest.Server {
	s := smtptest.New(b)
	w.servers[netip.MustParseAddr(addr)] = s
	return s
}

// cert issues a certificate for mx.example.test that is valid now, in the bubble's
// time, or has the given fault.
func (w *world) cert(kind smtptest.CertKind) tls.Certificate {
	c, err := pki().Issue(kind, "mx.example.test")
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

const content = "From: a@sender.test\r\nSubject: hello\r\n\r\nHi.\r\n"

// job is a message for one or more recipients at example.test.
func job(require, skip mail.Tri, recipients ...string) mail.Job {
	j := mail.Job{
		Message: 1, DomainID: 1, Domain: "sender.test", NextHop: "example.test", Size: int64(len(content)),
		Envelope: mail.Envelope{
			ReversePath: mail.Address{Local: "a", Domain: "sender.test"},
			TLS:         mail.TLSFlags{RequireTLS: require, SkipVerification: skip},
		},
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
	if len(recipients) == 0 {
		recipients = []string{"b"}
	}
	for i, r := range recipients {
		j.Recipients = append(j.Recipients, mail.Recipient{
			Row: mail.ID(i + 1), Address: mail.Address{Local: r, Domain: "example.test"}, Attempt: 1, Expires: time.Now().Add(8 * time.Hour),
		})
	}
	return j
}

// attempt delivers and returns the only recipient's result.
func (w *world) attempt(j mail.Job) mail.RecipientResult {
	w.t.Helper()
	got := w.d.Attempt(w.t.Context(), j).Results[0]
	synctest.Wait() // until the receivers have noted what they saw
	w.readsBack(got)
	return got
}

// A memoryPeers is a Peers that forgets with the process.
type memoryPeers struct {
	mu         sync.Mutex
	seen       map[string]bool
	downgrades int
}

func (p *memoryPeers) NoteDowngrade(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.downgrades++
}

func (p *memoryPeers) SeenTLS(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[host]
}

func (p *memoryPeers) NoteTLS(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[host] = true
}

// shortly is one line of what was reported, for tables.
func shortly(r mail.RecipientResult) string {
	s := r.Session
	if s == nil {
		return fmt.Sprintf("%s %d %s", r.Outcome, r.Reply.Code, r.Reply.Enhanced)
	}
	return fmt.Sprintf("%s tls=%t verified=%t %s", r.Outcome, s.TLS, s.CertificateVerified, s.Detail.Result)
}
