package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/config"
)

const (
	serverName = "mail.server.test"
	apiKey     = "key-0123456789abcdef0123456789abcdef"
	loginName  = "app"
	password   = "correct-horse"
)

// settings is the configuration file as an operator would write it.
func (w *world) settings(delivery string) []byte {
	return fmt.Appendf(nil, `
[server]
hostname = %q
data_dir = %q

[http]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"

[submission]
listen = "127.0.0.1:0"
listen_tls = "127.0.0.1:0"
cert_file = %q
key_file = %q

[delivery]
port = %d
resolver = %q
allow_private_mx = true
ca_file = %q
%s
[log]
level = "warn"
`, serverName, w.data(), filepath.Join(w.dir, "submission.crt"), filepath.Join(w.dir, "submission.key"),
		w.port, w.resolver, filepath.Join(w.dir, "root.pem"), delivery)
}

func (w *world) data() string { return filepath.Join(w.dir, "data") }

// A rig is a running server.
type rig struct {
	*client
	world *world
	log   *journal
	admin string // address of health and metrics

	cancel  context.CancelFunc
	stopped chan struct{} // closed when Run has returned
	err     error         // what it returned, once it has
}

// A journal collects the server's log.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// handshakeTime is the limit for handshakes in these tests: far more than an
// honest one needs on a busy machine with the race detector.
const handshakeTime = 3 * time.Second

// start runs a server in the world, with further lines for the section [delivery]. Its
// data folder is the world's, so a second start finds what the first one left.
func (w *world) start(t testing.TB, delivery ...string) *rig {
	t.Helper()
	return w.startWith(t, w.settings(strings.Join(delivery, "\n")))
}

// startWith is start with a whole configuration file.
func (w *world) startWith(t testing.TB, settings []byte) *rig {
	t.Helper()
	cfg, err := config.Parse("sealpost.toml", settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.CheckFiles(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	rg := &rig{world: w, log: &journal{}, cancel: cancel, stopped: make(chan struct{})}
	ready := make(chan app.Addresses, 1)
	go func() {
		defer close(rg.stopped)
		rg.err = app.Run(ctx, cfg, app.Options{
			Version: "test", Log: rg.log, HandshakeTimeout: handshakeTime,
			Ready: func(at app.Addresses) { ready <- at },
		})
	}()
	t.Cleanup(func() { rg.stop(t) })
	select {
	case at := <-ready:
		rg.admin = at.Admin.String()
		rg.client = newClient(t, w, at.API.String(), at.Submission.String(), at.SubmissionTLS.String())
	case <-rg.stopped:
		t.Fatalf("the server did not start: %v", rg.err)
	}
	return rg
}

// stop shuts the server down and holds it to a clean end. Twice is once.
func (rg *rig) stop(t testing.TB) {
	t.Helper()
	rg.cancel()
	select {
	case <-rg.stopped:
	case <-time.After(patience):
		t.Fatal("the server does not stop")
	}
	if rg.err != nil {
		t.Errorf("the server ended with %v", rg.err)
	}
	if log := rg.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the server logged an error:\n%s", log)
	} else if t.Failed() && log != "" {
		t.Logf("the server's log:\n%s", log)
	}
}

// operator returns a client for the operator's socket of the world's data folder.
func (w *world) operator() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", app.SocketPath(w.data()))
		},
		DisableKeepAlives: true,
	}}
}

// open makes the API key and sending domains, as the operator would.
func (rg *rig) open(t testing.TB, domains ...string) {
	t.Helper()
	rg.operate(t, "POST", "/v1/sealpost/keys", url.Values{"value": {apiKey}, "role": {"admin"}})
	for _, d := range domains {
		rg.openDomain(t, d, nil)
	}
}

// openDomain registers a sending domain with a login and lets it send.
func (rg *rig) openDomain(t testing.TB, domain string, settings url.Values) map[string]any {
	t.Helper()
	form := url.Values{"name": {domain}}
	for k, v := range settings {
		form[k] = v
	}
	answer := rg.operate(t, "POST", "/v3/domains", form)
	rg.operate(t, "PUT", "/v1/sealpost/domains/"+domain+"/state", url.Values{"state": {"active"}})
	rg.operate(t, "POST", "/v3/domains/"+domain+"/credentials", url.Values{"login": {loginName + "@" + domain}, "password": {password}})
	return answer
}

// operate calls the API through the operator's socket and wants 200.
func (rg *rig) operate(t testing.TB, method, path string, form url.Values) map[string]any {
	t.Helper()
	return rg.wantOK(t, rg.world.operator(), "http://operator"+path, method, form)
}

// settle waits until nothing is queued any more.
func (rg *rig) settle(t testing.TB) {
	t.Helper()
	await(t, "the queue to empty", func() bool {
		rows, _ := rg.operate(t, "GET", "/v1/sealpost/queue", url.Values{"limit": {"1"}})["items"].([]any)
		return len(rows) == 0
	})
}

// folder returns what is left in a folder of the server's data.
func (w *world) folder(t testing.TB, name string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.data(), name))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
