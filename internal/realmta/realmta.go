package realmta

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/daemon"
)

// How long a server may take to answer, and a message to reach its mailbox. Both
// usually take less than half a second; the rest is for machines under load.
const (
	startTimeout   = 30 * time.Second
	arrivalTimeout = 30 * time.Second
	pollInterval   = 10 * time.Millisecond
)

// Options describe a server.
type Options struct {
	// Hostname is the name in the greeting; empty is mx.example.test.
	Hostname string
	// Domains are the domains it accepts mail for; none is example.test.
	Domains []string
	// Listen is an IPv4 loopback address and port, such as "127.0.0.2:2525"; empty is a free
	// port of 127.0.0.1.
	Listen string
	// Certificate (with its chain) and Key are PEM. Without them the server does not offer
	// STARTTLS.
	Certificate, Key []byte
	// RequireTLS makes the server refuse mail before STARTTLS.
	RequireTLS bool
	// NoChunking makes the server offer no CHUNKING (RFC 3030), so that clients use DATA.
	NoChunking bool
	// NoDSN makes the server offer no DSN (RFC 3461). Postfix only: Exim offers none.
	NoDSN bool
	// Relay, if not nil, makes the server a client: what loopback gives it for foreign
	// domains goes to the relay. Postfix only.
	Relay *Relay
}

// A Relay is the submission server that a mail server hands its mail to.
type Relay struct {
	// Addr is host:port, the host an IP address.
	Addr string
	// Implicit means TLS from the first octet; otherwise STARTTLS.
	Implicit bool
	// Name is the name that the relay's certificate must hold, and CA the PEM of the root that it must lead to.
	Name string
	CA   []byte
	// Login and Password are for AUTH (RFC 4954). The password holds no white space.
	Login, Password string
}

// A Server is a running MTA. Its methods may be used by several goroutines.
type Server struct {
	// Addr is host:port of its SMTP listener.
	Addr string

	mailbox string // the maildir
	log     []string
	process *daemon.Process
}

// flavour is one kind of MTA: it writes its configuration below dir and says
// how to start it.
type flavour interface {
	name() string
	// prepare returns the command to run, and the files that hold its log.
	prepare(dir string, o Options) (command daemon.Command, logs []string, err error)
}

// start runs a server of the given flavour and returns when it greets.
func start(t testing.TB, f flavour, o Options) *Server {
	t.Helper()
	if o.Hostname == "" {
		o.Hostname = "mx.example.test"
	}
	if len(o.Domains) == 0 {
		o.Domains = []string{"example.test"}
	}
	// A port that was free may be taken before the server binds it: try again with
	// another, unless the test has chosen.
	attempts := 3
	if o.Listen != "" {
		attempts = 1
	}
	for attempt := 1; ; attempt++ {
		s, err := startOnce(t, f, o)
		if err == nil {
			return s
		}
		if attempt == attempts || !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			t.Fatalf("realmta: %s: %v", f.name(), err)
		}
	}
}

func startOnce(t testing.TB, f flavour, o Options) (*Server, error) {
	t.Helper()
	if o.Listen == "" {
		free, err := freePort()
		if err != nil {
			return nil, err
		}
		o.Listen = free
	}
	dir, err := os.MkdirTemp("", "realmta-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("realmta: %v", err)
		}
	})
	// The MTAs drop privileges and still have to find their files here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	command, logs, err := f.prepare(dir, o)
	if err != nil {
		return nil, err
	}
	output := filepath.Join(dir, "output")
	s := &Server{Addr: o.Listen, mailbox: filepath.Join(dir, "mail"), log: append(logs, output)}
	if s.process, err = daemon.Start(command, output); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("realmta: log of %s:\n%s", f.name(), s.Log())
		}
	})
	if err := s.awaitGreeting(o.Hostname); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%w; its log:\n%s", err, s.Log())
	}
	return s, nil
}

// Stop ends the server and returns when it has ended, as a host that goes down
// would: nothing listens any more. The mail it has stored stays readable until the test ends.
func (s *Server) Stop() {
	s.process.Stop()
	// Children hold the listening socket until the kernel has taken them apart.
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for deadline := time.After(daemon.StopTimeout); ; {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return
		}
		conn.Close()
		select {
		case <-tick.C:
		case <-deadline: // somebody else took the port
			return
		}
	}
}

// Log returns what the server has logged until now.
func (s *Server) Log() string {
	var b strings.Builder
	for _, name := range s.log {
		text, err := os.ReadFile(name)
		if err == nil {
			b.Write(text)
		}
	}
	return b.String()
}

// awaitGreeting connects until the server greets with its name.
func (s *Server) awaitGreeting(hostname string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		greeting, err := greeting(ctx, s.Addr)
		if err == nil {
			if !strings.HasPrefix(greeting, "220 "+hostname) {
				return fmt.Errorf("wait for the greeting of %s: it says %q", s.Addr, greeting)
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-s.process.Ended():
			return fmt.Errorf("it ended before it greeted: %v", s.process.Err())
		case <-ctx.Done():
			return fmt.Errorf("wait for the greeting of %s: %w", s.Addr, err)
		}
	}
}

func greeting(ctx context.Context, addr string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the greeting: %w", err)
	}
	if _, err := conn.Write([]byte("QUIT\r\n")); err != nil {
		return "", fmt.Errorf("quit: %w", err)
	}
	return strings.TrimSpace(line), nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
