package submission

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Over real sockets: the reply to a refused message reaches the client although
// it was still sending, and Serve ends with Shutdown.
func TestServe(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(t.Context(), l, false) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.want("220 mx.sealpost.test")
	c.do("EHLO client.test", "250")
	c.data()
	c.want("250")
	c.want("250")
	c.want("354")
	c.send("From: a@example.com\r\n\r\nx\n" + strings.Repeat("more\r\n", 50_000) + ".\r\n")
	c.want("554 5.6.0")
	if rest := c.end(); rest != "" {
		t.Errorf("and then %q", rest)
	}
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
	if err := r.server.Serve(t.Context(), l, false); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown returned %v", err)
	}
}

// SEC-09: a crowd of slow sessions does not slow down a normal client.
func TestACrowdOfSlowSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxSessions = 500 })
		var crowd []*client
		for i := range 499 {
			addr := netip.AddrFrom4([4]byte{198, 51, byte(i / 50), byte(i)}).String()
			c := r.dial(addr, false)
			c.want("220")
			c.send("EHLO sl") // and never more
			crowd = append(crowd, c)
		}
		start := time.Now()
		c := r.ready(false)
		c.data()
		c.want("250")
		c.want("250")
		c.want("354")
		c.send("From: a@example.com\r\n\r\nx\r\n.\r\n")
		c.want("250")
		c.quit()
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
		for _, c := range crowd {
			c.conn.Close()
		}
	})
}

// A memoryStore takes what the real room accepts.
type memoryStore struct {
	mu       sync.Mutex
	ids      *mail.IDs
	messages []*store.NewMessage
	contents []string
	keep     bool
}

func (s *memoryStore) NewID() mail.ID { return s.ids.Next() }

func (s *memoryStore) NewIDs(n int) mail.ID { return s.ids.Reserve(n) }

// AcceptAll is not atomic: what the real store does is tested there.
func (s *memoryStore) AcceptAll(ctx context.Context, all []*store.NewMessage) error {
	for _, m := range all {
		if err := s.Accept(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *memoryStore) Domain(_ context.Context, name string) (store.Domain, error) {
	if name != "example.com" {
		return store.Domain{}, store.ErrNotFound
	}
	return store.Domain{ID: 1, Name: name, State: store.DomainActive}, nil
}

func (s *memoryStore) Accept(_ context.Context, m *store.NewMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Content == nil {
		return nil
	}
	r, err := m.Content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	var b strings.Builder
	var w io.Writer = io.Discard
	if s.keep {
		w = &b
	}
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	s.messages, s.contents = append(s.messages, m), append(s.contents, b.String())
	return nil
}

func realRoom(t testing.TB, keep bool) (*rig, *memoryStore) {
	ids, err := mail.NewIDs(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &memoryStore{ids: ids, keep: keep}
	r := newRig(t)
	r.server.door = accept.New(accept.Config{Hostname: "mx.sealpost.test", SpoolDir: t.TempDir()}, s, s, nil, slog.New(slog.DiscardHandler))
	return r, s
}

// T1 to T5 and T9 through the whole door: what a client writes, what is stored, what travels.
func TestFlagsBySMTP(t *testing.T) {
	for header, want := range map[string]mail.TLSFlags{
		"":                               {},
		"X-Mailgun-Require-TLS: yes\r\n": {RequireTLS: mail.True},
		"X-MAILGUN-REQUIRE-TLS: True\r\nx-mailgun-skip-verification: false\r\n": {RequireTLS: mail.True, SkipVerification: mail.False},
		"X-Mailgun-Require-TLS:\r\n  no\r\n":                                    {RequireTLS: mail.False},
		"X-Mailgun-Skip-Verification: \r\n":                                     {},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, s := realRoom(t, true)
			c := r.ready(true)
			c.data()
			c.want("250")
			c.want("250")
			c.want("354")
			c.send(header + "From: a@example.com\r\nSubject: x\r\n\r\nhi\r\n.\r\n")
			c.want("250 2.0.0 OK: queued as ")
			c.quit()
			if s.messages[0].Envelope.TLS != want {
				t.Errorf("%q: %+v, want %+v", header, s.messages[0].Envelope.TLS, want)
			}
			if strings.Contains(strings.ToLower(s.contents[0]), "-tls") || strings.Contains(s.contents[0], "erification") {
				t.Errorf("%q travels:\n%s", header, s.contents[0])
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r, s := realRoom(t, true)
		c := r.ready(true)
		c.data()
		c.want("250")
		c.want("250")
		c.want("354")
		c.send("X-Mailgun-Require-TLS: maybe\r\nFrom: a@example.com\r\n\r\nhi\r\n.\r\n")
		if got := c.want("554 5.6.0"); !strings.Contains(got, "X-Mailgun-Require-TLS") {
			t.Errorf("got %q", got)
		}
		c.data() // the session goes on
		c.want("250")
		c.quit2()
		if len(s.messages) != 0 {
			t.Error("accepted")
		}
	})
}

// quit2 ends a session whatever it was about to say.
func (c *client) quit2() {
	c.conn.Close()
	for range c.lines {
	}
}

// SEC-10: a message without a line end costs no memory, and neither does one of the full size.
func TestEndlessLines(t *testing.T) {
	r, _ := realRoom(t, false)
	for name, chunk := range map[string]string{"no line end": strings.Repeat("x", 64<<10), "lines": strings.Repeat(strings.Repeat("x", 62)+"\r\n", 1<<10)} {
		c := r.ready(false)
		c.data()
		c.want("250")
		c.want("250")
		c.want("354")
		octets := []byte(chunk)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.send("From: a@example.com\r\n\r\n")
		for range 100 << 20 / len(chunk) {
			if _, err := c.conn.Write(octets); err != nil {
				break
			}
		}
		runtime.ReadMemStats(&after)
		if got := c.end(); !strings.HasPrefix(got, "552 5.3.4") && !strings.HasPrefix(got, "554") {
			t.Errorf("%s: %q", name, got)
		}
		if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 5<<20 {
			t.Errorf("%s: allocated %d KiB", name, grown>>10)
		}
	}
}
