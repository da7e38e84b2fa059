package mtasts

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tlspolicy"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// domain is the recipient domain of most tests.
const domain = "example.test"

const enforced = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 604800\n"

// A world is a domain with its DNS and its policy host, a store on disk, and a cache
// that knows them. It lives in a synctest bubble: sockets are pipes.
type world struct {
	*testing.T
	dns   *dnstest.Server
	host  *policyHost
	dir   string
	store *sqlite.Store
	log   *syncBuffer
	cache *Cache
	full  atomic.Bool // the disk, for policies
	stop  func()      // ends cache and store; nil while they are down
}

func newWorld(t *testing.T, pki *smtptest.PKI) *world {
	w := &world{T: t, host: newPolicyHost(t, pki), dir: filepath.Join(t.TempDir(), "data"), log: &syncBuffer{}}
	w.dns = dnstest.Start(t)
	w.publish(`@ MX 10 mx`, `mta-sts A 192.0.2.1`, `_mta-sts 60 TXT "v=STSv1; id=1;"`)
	t.Cleanup(func() { w.down() })
	w.up()
	return w
}

// publish sets the records of the domain.
func (w *world) publish(records ...string) {
	w.Helper()
	if err := w.dns.SetZone(dnstest.Zone{Origin: domain, Records: strings.Join(records, "\n")}); err != nil {
		w.Fatal(err)
	}
}

// publishID publishes a policy with that id.
func (w *world) publishID(id string) {
	w.Helper()
	w.publish(`@ MX 10 mx`, `mta-sts A 192.0.2.1`, fmt.Sprintf(`_mta-sts 60 TXT "v=STSv1; id=%s;"`, id))
}

// up starts store and cache on the data that is there.
func (w *world) up() {
	w.Helper()
	var err error
	if w.store, err = sqlite.Open(w.Context(), sqlite.Options{Dir: w.dir, MinFree: -1}); err != nil {
		w.Fatal(err)
	}
	w.cache, err = Open(w.Context(), Config{
		Resolver: w.dns.Resolver(w), Dial: w.host.dial, Roots: w.host.pki.Roots, Store: fullStore{w.store, &w.full},
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.cache.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := errors.Join(<-done, w.cache.Close(), w.store.Close()); err != nil {
			w.Errorf("stop: %v", err)
		}
	}
}

// down stops them as an orderly shutdown would.
func (w *world) down() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// policy asks for the domain's policy.
func (w *world) policy() Result { return w.cache.Policy(context.Background(), domain) }

// expect checks state, id and fault of a result.
func (w *world) expect(r Result, state tlspolicy.STS, id string, cached bool, fault tlsresult.Type) {
	w.Helper()
	if r.State != state || r.Policy.ID != id || r.Cached != cached || r.Fault != fault {
		w.Fatalf("state %d, id %q, cached %t, fault %q (%v); want %d, %q, %t, %q", r.State, r.Policy.ID, r.Cached, r.Fault, r.Err, state, id, cached, fault)
	}
}

// requests checks how often the policy was asked for since the last check.
func (w *world) requests(want int) {
	w.Helper()
	if got := w.host.take(); got != want {
		w.Fatalf("%d requests, want %d", got, want)
	}
}

// A policyHost is a web server behind pipes.
type policyHost struct {
	pki *smtptest.PKI

	mu        sync.Mutex
	handler   http.HandlerFunc
	tls       *tls.Config
	raw       func(net.Conn) // instead of TLS, if not nil
	refuse    error          // instead of a connection, if not nil
	count     int            // requests
	dials     []string       // addresses
	serverErr bytes.Buffer

	conns  chan net.Conn
	closed chan struct{}
}

func newPolicyHost(t *testing.T, pki *smtptest.PKI) *policyHost {
	h := &policyHost{pki: pki, conns: make(chan net.Conn), closed: make(chan struct{})}
	h.certificate(t, smtptest.Valid)
	h.body(enforced)
	srv := &http.Server{Handler: h, ErrorLog: log.New(h, "", 0), TLSConfig: &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.tls.Clone(), nil
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("not used") },
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ServeTLS(h, "", "")
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return h
}

// set changes the host under its lock.
func (h *policyHost) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *policyHost) certificate(t *testing.T, kind smtptest.CertKind) {
	cert := h.pki.Cert(t, kind, "mta-sts."+domain)
	h.set(func() {
		h.tls = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	})
}

// body serves a policy the way it should be served.
func (h *policyHost) body(text string) {
	h.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(text))
	})
}

func (h *policyHost) serve(f http.HandlerFunc) { h.set(func() { h.handler = f }) }

func (h *policyHost) breakWith(err error) { h.set(func() { h.refuse = err }) }

// take returns the number of requests and connections refused since the last call.
func (h *policyHost) take() (n int) {
	h.set(func() { n, h.count = h.count, 0 })
	return n
}

func (h *policyHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var f http.HandlerFunc
	h.set(func() { h.count++; f = h.handler })
	if r.Host != "mta-sts."+domain || r.URL.Path != "/.well-known/mta-sts.txt" || r.Method != "GET" ||
		len(r.Cookies()) > 0 || r.Header.Get("Accept-Encoding") != "identity" {
		http.Error(w, "a request that is not for a policy", http.StatusTeapot)
		return
	}
	f(w, r)
}

// dial is the Dialer.
func (h *policyHost) dial(ctx context.Context, network, address string) (net.Conn, error) {
	h.mu.Lock()
	h.dials = append(h.dials, address)
	refuse, raw := h.refuse, h.raw
	if refuse != nil {
		h.count++
	}
	h.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	near, far := net.Pipe()
	if raw != nil {
		go raw(far)
		return near, nil
	}
	select {
	case h.conns <- newBufferedConn(far):
		return near, nil
	case <-h.closed:
		return nil, errors.New("connection refused")
	}
}

// Accept, Close and Addr make it a net.Listener.
func (h *policyHost) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *policyHost) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
	return nil
}

func (h *policyHost) Addr() net.Addr { return &net.TCPAddr{} }

// Write takes the server's complaints about handshakes, which are the tests' doing.
func (h *policyHost) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.serverErr.Write(p)
}

// A syncBuffer is a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// take returns what was logged since the last call.
func (s *syncBuffer) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.b.String()
	s.b.Reset()
	return text
}

// A fullStore is a store whose disk can be full.
type fullStore struct {
	store.STSPolicies
	full *atomic.Bool
}

func (s fullStore) PutSTSPolicies(ctx context.Context, p []store.STSPolicy) error {
	if s.full.Load() {
		return store.ErrFull
	}
	return s.STSPolicies.PutSTSPolicies(ctx, p)
}

// resolverFunc is a Resolver.
type resolverFunc func(ctx context.Context, name string, t dnssec.Type) dnssec.Answer

func (f resolverFunc) Lookup(ctx context.Context, name string, t dnssec.Type) dnssec.Answer {
	return f(ctx, name, t)
}

// days is a time span.
func days(n float64) time.Duration { return time.Duration(n * 24 * float64(time.Hour)) }
