package submission

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
)

// A fakeDoor accepts every message whose content can be read to its end, for
// senders of example.com.
type fakeDoor struct {
	mu       sync.Mutex
	messages []fakeMessage
	err      error         // returned instead of accepting
	early    bool          // and without reading
	hold     chan struct{} // if not nil, waited for before accepting
}

type fakeMessage struct {
	accept.Submission
	content string
}

func (d *fakeDoor) Accept(ctx context.Context, s accept.Submission) (accept.Receipt, error) {
	if d.err != nil && d.early {
		return accept.Receipt{}, d.err
	}
	content, err := io.ReadAll(s.Raw)
	if err != nil {
		return accept.Receipt{}, fmt.Errorf("read submission: %w", err)
	}
	if d.hold != nil {
		<-d.hold
	}
	if d.err != nil {
		return accept.Receipt{}, d.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.messages = append(d.messages, fakeMessage{s, string(content)})
	return accept.Receipt{ID: mail.ID(len(d.messages)), MessageID: "x@example.com"}, nil
}

func (d *fakeDoor) accepted() []fakeMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.messages
}

func (d *fakeDoor) SendingDomain(_ context.Context, a mail.Address) (string, error) {
	if a.Domain != "example.com" {
		return "", &accept.Error{Status: 404, Code: 550, Enhanced: "5.7.1", Message: "Domain not found"}
	}
	return a.Domain, nil
}

func (d *fakeDoor) CheckReversePath(_ context.Context, s accept.Sender, a mail.Address) error {
	if !a.IsZero() && a.Domain != s.Domain {
		return &accept.Error{Status: 403, Code: 550, Enhanced: "5.7.1", Message: "not allowed"}
	}
	return nil
}

type fakeCredentials struct{ tried int }

func (c *fakeCredentials) Check(_ context.Context, _ netip.Addr, login, password string) (string, bool, error) {
	c.tried++
	if password == "busy" {
		return "", false, errors.New("too many failed logins")
	}
	return "example.com", login == "app@example.com" && password == "secret", nil
}

var testCertificate = sync.OnceValues(func() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.sealpost.test"},
		DNSNames: []string{"mx.sealpost.test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

// A rig is a server with a fake room behind it.
type rig struct {
	t      testing.TB
	door   *fakeDoor
	creds  *fakeCredentials
	server *Server
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	cfg := Config{
		Hostname: "mx.sealpost.test", Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return testCertificate() },
	}
	for _, f := range change {
		f(&cfg)
	}
	r := &rig{t: t, door: &fakeDoor{}, creds: &fakeCredentials{}}
	r.server = New(cfg, r.door, r.creds, slog.New(slog.DiscardHandler))
	return r
}

// A pipeEnd is one end of a pipe with an address.
type pipeEnd struct {
	net.Conn
	peer net.Addr
}

func (p pipeEnd) RemoteAddr() net.Addr { return p.peer }

const (
	stranger = "192.0.2.1"
	friendly = "10.1.2.3"
)

// dial opens a session from the given address.
func (r *rig) dial(from string, implicitTLS bool) *client {
	ours, theirs := net.Pipe()
	peer := &net.TCPAddr{IP: net.ParseIP(from), Port: 4025}
	r.server.start(context.Background(), pipeEnd{theirs, peer}, implicitTLS)
	return newClient(r.t, ours)
}

// ready is a session that may send: authenticated in TLS, or trusted in the clear.
func (r *rig) ready(auth bool) *client {
	if !auth {
		c := r.dial(friendly, false)
		c.want("220")
		c.do("EHLO client.test", "250")
		return c
	}
	c := r.dial(stranger, false)
	c.want("220")
	c.do("EHLO client.test", "250")
	c.do("STARTTLS", "220")
	c = c.tls()
	c.do("EHLO client.test", "250")
	c.do("AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "235")
	return c
}

// A client writes raw octets and reads in the background, so that a pipe never stalls.
type client struct {
	t     testing.TB
	conn  net.Conn
	lines chan string
}

func newClient(t testing.TB, conn net.Conn) *client {
	c := &client{t: t, conn: conn, lines: make(chan string, 10_000)}
	go func() {
		defer close(c.lines)
		br := bufio.NewReader(conn)
		for {
			line, err := br.ReadString('\n')
			if line != "" {
				c.lines <- line
			}
			if err != nil || line == "220 2.0.0 Go ahead\r\n" { // TLS follows
				return
			}
		}
	}()
	return c
}

func (c *client) tls() *client {
	c.t.Helper()
	for range c.lines {
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal("handshake: ", err)
	}
	return newClient(c.t, conn)
}

func (c *client) send(s string) { io.WriteString(c.conn, s) }

// reply reads one reply, all its lines; empty at the end of the session.
func (c *client) reply() string {
	var b strings.Builder
	for line := range c.lines {
		b.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			break
		}
	}
	return b.String()
}

func (c *client) want(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %s", got, prefix)
	}
	return got
}

func (c *client) do(line, prefix string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("%s: got %q, want %s", line, got, prefix)
	}
	return got
}

// end reads what is left and returns it. The session must be over.
func (c *client) end() string {
	var b strings.Builder
	for line := range c.lines {
		b.WriteString(line)
	}
	c.conn.Close()
	return b.String()
}

func (c *client) quit() {
	c.t.Helper()
	c.do("QUIT", "221")
	c.end()
}
