package webhook_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

// killDir makes TestVictim work, and says where.
const killDir = "SEALPOST_TEST_WEBHOOK_DIR"

// loopback is a client that may call this machine.
func loopback() *outhttp.Client {
	policy := netguard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	d := outhttp.Dialer{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&net.Dialer{ControlContext: policy.ControlContext}).DialContext(ctx, network, address)
	}}
	return outhttp.NewClient(outhttp.Config{DialContext: d.DialContext, UserAgent: "test", IdlePerHost: 64})
}

// TestVictim is the process that TestKill kills: it stores events and tells of them, and
// says on standard output which are on disk. Without the variable it has nothing to do.
func TestVictim(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		return
	}
	s := openStore(t, dir)
	d, err := s.Domain(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	cfg := webhook.Config{Schedule: webhook.Schedule{50 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second, time.Second}}
	room := webhook.New(cfg, webhook.Roles{Journal: follow.NewTail(s), Events: s, Cursors: s, Domains: s, Hooks: s, Deliveries: s}, loopback(), slog.New(slog.DiscardHandler))
	go room.Run(t.Context())
	for {
		fmt.Printf("\nacknowledged %s\n", add(t, s, d, of(event.Delivered)...)[0])
	}
}

// A receiver takes events, and refuses every seventh until it is well.
type receiver struct {
	mu       sync.Mutex
	well     bool
	requests int
	taken    map[string]int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it died
	}
	var v struct {
		Event struct{ ID string } `json:"event-data"`
	}
	if json.Unmarshal(body, &v) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests++; !r.well && r.requests%7 == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.taken[v.Event.ID]++
}

// REL: kill -9 at any moment loses no event that is in the log: each is told at least
// once, few are told twice.
func TestKill(t *testing.T) {
	rcv := &receiver{taken: map[string]int{}}
	web := httptest.NewServer(rcv)
	defer web.Close()
	dir := t.TempDir()
	s := openStore(t, dir)
	if err := s.CreateDomain(t.Context(), &store.Domain{Name: "example.com", State: store.DomainActive}); err != nil {
		t.Fatal(err)
	}
	d, err := s.Domain(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChangeWebhooks(t.Context(), 1, d.ID, func([]store.Webhook) ([]store.Webhook, error) {
		return []store.Webhook{{URL: web.URL + "/", Kinds: []string{"delivered"}}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	// Following begins with the first event.
	if err := s.SetCursor(t.Context(), "webhook", 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	for cycle := range 10 {
		killAfter(t, dir, 100+79*cycle, acknowledged)
	}
	rcv.mu.Lock()
	rcv.well = true // what is missing now is lost, not late
	rcv.mu.Unlock()
	s = openStore(t, dir)
	defer s.Close()
	room := webhook.New(webhook.Config{Schedule: webhook.Schedule{50 * time.Millisecond, time.Second, time.Second}},
		webhook.Roles{Journal: follow.NewTail(s), Events: s, Cursors: s, Domains: s, Hooks: s, Deliveries: s}, loopback(), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); room.Run(ctx) }()
	missing := func() (n int) {
		rcv.mu.Lock()
		defer rcv.mu.Unlock()
		for id := range acknowledged {
			if rcv.taken[id] == 0 {
				n++
			}
		}
		return n
	}
	late := time.After(3 * time.Minute)
	for tick := time.Tick(50 * time.Millisecond); missing() > 0; {
		select {
		case <-tick:
		case <-late:
			t.Fatalf("%d of %d events were not told", missing(), len(acknowledged))
		}
	}
	stop()
	<-ended
	rcv.mu.Lock()
	defer rcv.mu.Unlock()
	twice := 0
	for _, n := range rcv.taken {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d events, %d told more than once, after 10 kills", len(acknowledged), twice)
	if len(acknowledged) < 1000 {
		t.Errorf("only %d events were stored", len(acknowledged))
	}
}

// killAfter runs a victim and kills it after so many acknowledgements.
func killAfter(t *testing.T, dir string, n int, acknowledged map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 2 || words[0] != "acknowledged" || len(words[1]) != 16 {
			if strings.Contains(lines.Text(), "FAIL") {
				t.Error(lines.Text())
			}
			continue
		}
		acknowledged[words[1]] = true
		if seen++; seen == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the victim ended by itself: %v", err)
	}
}
