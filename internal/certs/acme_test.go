package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/sealpost/sealpost/internal/certs"
	"github.com/sealpost/sealpost/internal/dnstest"
)

// An authority is a Pebble, the ACME server that Let's Encrypt tests clients with. It finds
// every name of example.test on loopback.
type authority struct {
	*httptest.Server
	roots *x509.CertPool // of the certificates it gives
	own   *x509.CertPool // of its own
}

func startAuthority(t *testing.T, httpPort, tlsPort int, validity time.Duration) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "20") // as in the real world, now and then
	dns := dnstest.Start(t, dnstest.Zone{Origin: "example.test", Records: "* A 127.0.0.1"})
	resolver, err := dns.Listen()
	if err != nil {
		t.Fatal(err)
	}
	words := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authorities := ca.New(words, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(validity.Seconds())}})
	front := wfe.New(words, store, va.New(words, httpPort, tlsPort, true, resolver.String(), store), authorities, []string{"ca.test"}, true, false, 1, 1)
	a := &authority{Server: httptest.NewTLSServer(front.Handler()), roots: x509.NewCertPool(), own: x509.NewCertPool()}
	t.Cleanup(a.Close)
	a.own.AddCert(a.Certificate())
	root := authorities.GetRootCert(0)
	if !a.roots.AppendCertsFromPEM(root.PEM()) {
		t.Fatal("no root")
	}
	return a
}

// listen opens a port on loopback.
func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// A logBook keeps what was logged.
type logBook struct {
	mu sync.Mutex
	strings.Builder
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *logBook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.String()
}

// run starts a manager with its doors, HTTP where web is set. Stopping waits for it.
func run(t *testing.T, c certs.ACME, web, door net.Listener) (m *certs.Manager, book *logBook, stop func()) {
	t.Helper()
	book = &logBook{}
	var err error
	m, err = certs.New(c, slog.New(slog.NewTextHandler(book, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if web != nil {
		server := &http.Server{Handler: m.HTTPHandler(), ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(web) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	secure := tls.NewListener(door, &tls.Config{GetCertificate: m.Get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1", certs.ALPN}})
	go func() {
		for {
			conn, err := secure.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return m, book, stop
}

// certificate asks the door for its certificate until good is content with it.
func certificate(t *testing.T, door net.Listener, roots *x509.CertPool, name string, book *logBook, good func(*x509.Certificate) bool) *x509.Certificate {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		dialer := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: roots}}
		conn, err := dialer.DialContext(ctx, "tcp", door.Addr().String())
		if err == nil {
			leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
			_ = conn.Close()
			if good(leaf) {
				return leaf
			}
			err = errors.New("not the one that is waited for")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no certificate: %v\n%s", err, book.text())
		}
	}
}

func anyOne(*x509.Certificate) bool { return true }

// By HTTP-01: obtained, kept over a restart without the authority, and shown to clients that name nobody.
func TestHTTP01(t *testing.T) {
	web, webPort := listen(t)
	door, doorPort := listen(t)
	a := startAuthority(t, webPort, doorPort, 24*time.Hour)
	dir := t.TempDir()
	c := certs.ACME{Names: []string{"mx.example.test", "mail.example.test"}, Email: "admin@example.test", Directory: a.URL + wfe.DirectoryPath, Roots: a.own, Dir: dir, HTTP: web.Addr()}
	m, book, stop := run(t, c, web, door)
	first := certificate(t, door, a.roots, "mx.example.test", book, anyOne)
	certificate(t, door, a.roots, "mail.example.test", book, anyOne)
	if !m.Ready() {
		t.Error("not ready with a certificate")
	}
	if !strings.Contains(book.text(), `msg="certificate obtained" name=mx.example.test renewed=false`) {
		t.Errorf("log: %s", book.text())
	}
	conn, err := tls.Dial("tcp", door.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // as some SMTP clients do
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().PeerCertificates[0]; !got.Equal(first) {
		t.Errorf("without a name: %v", got.DNSNames)
	}
	_ = conn.Close()
	stop()
	a.Close()
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".key") {
			if info, _ := d.Info(); info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s can be read by others", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}

	second, _ := listen(t)
	_, book, _ = run(t, c, nil, second)
	if again := certificate(t, second, a.roots, "mx.example.test", book, anyOne); !again.Equal(first) {
		t.Error("another certificate after a restart")
	}
}

// By TLS-ALPN-01, at the door itself.
func TestTLSALPN01(t *testing.T) {
	door, doorPort := listen(t)
	a := startAuthority(t, 1, doorPort, 24*time.Hour)
	_, book, _ := run(t, certs.ACME{Names: []string{"mx.example.test"}, Directory: a.URL + wfe.DirectoryPath, Roots: a.own, Dir: t.TempDir(), TLS: door.Addr()}, nil, door)
	certificate(t, door, a.roots, "mx.example.test", book, anyOne)
}

// REL-46: a certificate is renewed before it ends, and the door shows the new one without a restart.
func TestRenewal(t *testing.T) {
	web, webPort := listen(t)
	door, doorPort := listen(t)
	// Of a life of 10 s two thirds pass before the renewal.
	a := startAuthority(t, webPort, doorPort, 10*time.Second)
	_, book, _ := run(t, certs.ACME{Names: []string{"mx.example.test"}, Directory: a.URL + wfe.DirectoryPath, Roots: a.own, Dir: t.TempDir(), HTTP: web.Addr(), Every: 100 * time.Millisecond}, web, door)
	first := certificate(t, door, a.roots, "mx.example.test", book, anyOne)
	second := certificate(t, door, a.roots, "mx.example.test", book, func(c *x509.Certificate) bool { return !c.Equal(first) })
	if !second.NotAfter.After(first.NotAfter) {
		t.Errorf("from %v to %v", first.NotAfter, second.NotAfter)
	}
}

// An authority that cannot be reached is logged; until it can, handshakes fail and nothing else.
func TestNoAuthority(t *testing.T) {
	web, _ := listen(t)
	door, _ := listen(t)
	gone, _ := listen(t)
	_ = gone.Close()
	m, book, stop := run(t, certs.ACME{Names: []string{"mx.example.test"}, Directory: "https://" + gone.Addr().String() + "/dir", Dir: t.TempDir(), HTTP: web.Addr()}, web, door)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); !strings.Contains(book.text(), "certificate not obtained"); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("log: %s", book.text())
		}
	}
	if conn, err := tls.Dial("tcp", door.Addr().String(), &tls.Config{InsecureSkipVerify: true}); err == nil {
		_ = conn.Close()
		t.Error("a handshake without a certificate")
	}
	if m.Ready() {
		t.Error("ready without a certificate")
	}
	stop()
}

func TestNewRefuses(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	for name, c := range map[string]certs.ACME{
		"no name":      {Directory: "https://ca.test", Dir: "x", HTTP: at},
		"no authority": {Names: []string{"a.test"}, Dir: "x", HTTP: at},
		"no folder":    {Names: []string{"a.test"}, Directory: "https://ca.test", HTTP: at},
		"no listener":  {Names: []string{"a.test"}, Directory: "https://ca.test", Dir: "x"},
	} {
		if _, err := certs.New(c, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
