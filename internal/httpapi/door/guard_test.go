package door

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/contract"
)

func hashOf(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// SEC-58: of 100,000 guesses in an hour at most a hundred are evaluated, and the
// address is let in again when it stops.
func TestGuessesAreFew(t *testing.T) {
	g := newGuard()
	addr := netip.MustParseAddr("192.0.2.1")
	now := time.Unix(1_800_000_000, 0)
	evaluated := 0
	for i := range 100_000 {
		at := now.Add(time.Duration(i) * time.Hour / 100_000)
		if g.blocked(addr, hashOf(fmt.Sprint(i)), at) == 0 {
			evaluated++
			g.failed(addr, at)
		}
	}
	if evaluated > 100 || evaluated < failureBurst {
		t.Errorf("%d guesses were evaluated", evaluated)
	}
	end := now.Add(time.Hour)
	for g.blocked(addr, hashOf("y"), end) == 0 {
		g.failed(addr, end)
	}
	wait := g.blocked(addr, hashOf("x"), end)
	if wait <= 0 || wait > failureRefill {
		t.Errorf("wait is %v", wait)
	}
	if again := g.blocked(addr, hashOf("x"), end.Add(wait+time.Millisecond)); again != 0 {
		t.Errorf("after the wait: %v", again)
	}
	if other := g.blocked(netip.MustParseAddr("192.0.2.2"), hashOf("x"), end); other != 0 {
		t.Errorf("another address waits %v", other)
	}
}

func TestGuardIsBounded(t *testing.T) {
	g := newGuard()
	now := time.Unix(1_800_000_000, 0)
	for i := range 3 * guardSize {
		g.failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
		g.succeeded(hashOf(fmt.Sprint(i)))
	}
	if len(g.failures) > guardSize || len(g.good) > guardSize {
		t.Errorf("remembers %d addresses and %d keys", len(g.failures), len(g.good))
	}
	for _, pair := range [][2]string{{"2001:db8::1", "2001:db8::ffff"}} {
		if site(netip.MustParseAddr(pair[0])) != site(netip.MustParseAddr(pair[1])) {
			t.Errorf("%s and %s are two clients", pair[0], pair[1])
		}
	}
}

// SEC-64: only proxies we know may tell where a client is.
func TestClientAddress(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:5", "", "192.0.2.1"},
		{"192.0.2.1:5", "198.51.100.9", "192.0.2.1"},
		{"10.1.1.1:5", "198.51.100.9", "198.51.100.9"},
		{"10.1.1.1:5", "203.0.113.1, 198.51.100.9", "198.51.100.9"},
		{"10.1.1.1:5", "198.51.100.9, 10.2.2.2", "198.51.100.9"},
		{"10.1.1.1:5", "198.51.100.9, nonsense", "10.1.1.1"},
		{"10.1.1.1:5", "", "10.1.1.1"},
		{"[::ffff:10.1.1.1]:5", "198.51.100.9", "198.51.100.9"},
		{"@", "198.51.100.9", "invalid IP"},
	} {
		r := contract.Request(t, "GET", "/", "")
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := d.clientAddr(r).String(); got != c.want {
			t.Errorf("peer %s, forwarded %q: got %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestBusyServerSaysSo(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.MaxRequests = 1 })
	d.slots <- struct{}{}
	if w := serve(d.Handler(), contract.Request(t, "GET", "/", "")); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d", w.Code)
	}
	<-d.slots
	if w := serve(d.Handler(), contract.Request(t, "GET", "/", "")); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

// SEC-64: a client that sends its header a byte at a time is cut, on the clock of
// the test.
func TestSlowHeaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		srv := NewServer(d.Handler(), slog.New(slog.DiscardHandler))
		client, server := net.Pipe()
		ln := &onceListener{conn: server, done: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		began := time.Now()
		var err error
		for err == nil && time.Since(began) < time.Hour {
			_, err = client.Write([]byte("G"))
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("cut after %v", took)
		}
		_ = client.Close()
		close(ln.done)
		_ = srv.Close()
		<-served
	})
}

type onceListener struct {
	conn net.Conn
	done chan struct{}
}

func (l *onceListener) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *onceListener) Close() error   { return nil }
func (l *onceListener) Addr() net.Addr { return &net.UnixAddr{} }
