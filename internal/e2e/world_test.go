package e2e

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// patience bounds every wait of these tests. Nothing should ever take so long.
const patience = 60 * time.Second

// A world is what surrounds a server: names, certificates, and receivers that all answer
// on one port, each at a loopback address of its own.
type world struct {
	pki      *smtptest.PKI
	dns      *dnstest.Server
	resolver netip.AddrPort
	port     int
	dir      string // files of the server's configuration, and its data

	net  byte          // second octet of the receivers' addresses
	host atomic.Uint32 // the rest of the address used last
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{pki: smtptest.NewPKI(t), dns: dnstest.Start(t), net: byte(2 + os.Getpid()%250)}
	var err error
	if w.resolver, err = w.dns.Listen(); err != nil {
		t.Fatal(err)
	}
	// The port stays taken on 127.0.0.1, so that nothing else of this test gets it.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w.port = l.Addr().(*net.TCPAddr).Port
	// Not t.TempDir, whose long names leave no room for the name of a socket.
	if w.dir, err = os.MkdirTemp("", "e2e"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(w.dir) })
	w.writeFile(t, "root.pem", w.pki.RootPEM)
	cert := w.pki.Cert(t, smtptest.Valid, serverName)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	w.writeFile(t, "submission.crt", chain)
	w.writeFile(t, "submission.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	return w
}

func (w *world) writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A receiver is the one MX host of a domain.
type receiver struct {
	*smtptest.Server
	domain string
	host   string
}

// address returns an address at the receiver's domain.
func (r *receiver) address() string { return "ann@" + r.domain }

// receive starts the MX host of a new domain, whose name begins with label. Its
// certificate, where the behaviour leaves it open, is of the given kind.
func (w *world) receive(t testing.TB, label string, kind smtptest.CertKind, b smtptest.Behaviour) *receiver {
	t.Helper()
	for range 100 { // an address may be taken by another process
		n := w.host.Add(1)
		ip := netip.AddrFrom4([4]byte{127, w.net, byte(n >> 8), byte(n)})
		l, err := net.Listen("tcp4", netip.AddrPortFrom(ip, uint16(w.port)).String())
		if err != nil {
			continue
		}
		r := &receiver{domain: fmt.Sprintf("%s-%d.test", label, n)}
		r.host = "mx." + r.domain
		w.publish(t, r.domain, fmt.Sprintf("@ MX 10 mx\nmx A %s", ip))
		if b.Host == "" {
			b.Host = r.host
		}
		if b.Certificate.PrivateKey == nil && b.TLSConfig == nil {
			b.Certificate = w.pki.Cert(t, kind, r.host)
		}
		r.Server = smtptest.New(b)
		r.Serve(l)
		t.Cleanup(r.Close)
		return r
	}
	t.Fatal("no free loopback address for a receiver")
	return nil
}

// publish sets a domain's zone.
func (w *world) publish(t testing.TB, domain, records string) {
	t.Helper()
	if err := w.dns.SetZone(dnstest.Zone{Origin: domain, Records: records}); err != nil {
		t.Fatal(err)
	}
}

// await polls until done is true.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
