package submission

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
)

// A Door takes what was submitted. accept.Room satisfies it.
type Door interface {
	// Accept takes responsibility for a message; a refusal is an *accept.Error.
	Accept(ctx context.Context, s accept.Submission) (accept.Receipt, error)
	// SendingDomain returns the registered domain an address belongs to.
	SendingDomain(ctx context.Context, a mail.Address) (string, error)
	// CheckReversePath tells whether the sender may use the reverse-path.
	CheckReversePath(ctx context.Context, s accept.Sender, a mail.Address) error
}

// Credentials checks logins. credential.Verifier satisfies it.
type Credentials interface {
	// Check returns the sending domain of the login. ok is false if login or
	// password is wrong; an error means that this could not be found out now.
	Check(ctx context.Context, from netip.Addr, login, password string) (domain string, ok bool, err error)
}

// Config is what the operator sets. Zero values are usable.
type Config struct {
	// Hostname is the name in the greeting.
	Hostname string
	// Trusted networks may submit without authentication.
	Trusted []netip.Prefix
	// Certificate gives the server's certificate; nil: no TLS, and so, unless AuthWithoutTLS, no AUTH.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Certified tells whether Certificate has one to give by now; nil: it always has. While it has
	// not, STARTTLS is not offered, and whoever needs it is told to come again.
	Certified func() bool
	// AuthWithoutTLS offers AUTH in the clear too, where it can be read on the way.
	AuthWithoutTLS bool
	// Proxies are networks from which every connection begins with a PROXY header (SEC-13).
	Proxies []netip.Prefix
	// MaxSessions and MaxPerAddress bound concurrent sessions; 0: 2,000 and 50.
	MaxSessions, MaxPerAddress int
}

const (
	// DefaultSessions is how many sessions there may be at once unless told.
	DefaultSessions   = 2000
	defaultPerAddress = 50
	// shedAfter is how long a session must have been idle to make room for a new one.
	shedAfter = 5 * time.Second
)

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("submission: server closed")

// A Server serves submission on any number of listeners.
type Server struct {
	cfg   Config
	door  Door
	creds Credentials
	log   *slog.Logger
	tls   *tls.Config // nil: no TLS

	mu        sync.Mutex
	draining  bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	perHost   map[netip.Prefix]int
	running   sync.WaitGroup
}

// New returns a server. Nothing listens yet.
func New(cfg Config, door Door, creds Credentials, log *slog.Logger) *Server {
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = DefaultSessions
	}
	if cfg.MaxPerAddress <= 0 {
		cfg.MaxPerAddress = defaultPerAddress
	}
	s := &Server{
		cfg: cfg, door: door, creds: creds, log: log,
		listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{}, perHost: map[netip.Prefix]int{},
	}
	if cfg.Certificate != nil {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cfg.Certificate}
	}
	return s
}

// mayTLS reports whether a handshake can succeed now.
func (s *Server) mayTLS() bool {
	return s.tls != nil && (s.cfg.Certified == nil || s.cfg.Certified())
}

// Serve accepts connections from l until the server is shut down or ctx ends, and
// closes l. With implicitTLS the TLS handshake comes first. ctx is the parent of
// everything done for a message, so it should outlive Shutdown's drain time.
func (s *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	if implicitTLS && s.tls == nil {
		l.Close()
		return errors.New("submission: implicit TLS needs a certificate")
	}
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for pause := time.Duration(0); ; {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.start(ctx, conn, implicitTLS)
		case s.isDraining():
			return ErrServerClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return err
		default: // REL-14: out of descriptors, most likely; wait, do not spin
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.ErrorContext(ctx, "accept connection", "cause", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

// start runs a session in its own goroutine, if there is room for it.
func (s *Server) start(ctx context.Context, conn net.Conn, implicitTLS bool) {
	ss := newSession(s, conn, implicitTLS)
	refusal := s.register(ss)
	s.running.Go(func() {
		defer conn.Close()
		if refusal != nil {
			if !implicitTLS {
				conn.SetWriteDeadline(time.Now().Add(time.Second))
				conn.Write([]byte(refusal.String()))
			}
			return
		}
		defer s.unregister(ss)
		ss.serve(ctx)
	})
}

// register adds the session, or returns the reply that sends it away (SEC-09).
func (s *Server) register(ss *session) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return replyShutdown
	}
	if !ss.byProxy && s.perHost[ss.network] >= s.cfg.MaxPerAddress {
		return replyTooManyOfYou
	}
	if len(s.sessions) >= s.cfg.MaxSessions && !s.shed() {
		return &reply{421, "4.3.2", "Too many connections, try again later"}
	}
	s.sessions[ss] = struct{}{}
	s.perHost[ss.network]++
	return nil
}

// shed ends the session that has been idle longest, if one has been for a while.
func (s *Server) shed() bool {
	var oldest *session
	var since time.Time
	for ss := range s.sessions {
		if at, idle := ss.in.idleSince(); idle && (oldest == nil || at.Before(since)) {
			oldest, since = ss, at
		}
	}
	if oldest == nil || time.Since(since) < shedAfter {
		return false
	}
	s.forget(oldest)
	oldest.in.interrupt(errShed, false)
	return true
}

func (s *Server) unregister(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(ss)
}

func (s *Server) forget(ss *session) {
	if _, ok := s.sessions[ss]; !ok {
		return
	}
	delete(s.sessions, ss)
	if s.perHost[ss.network]--; s.perHost[ss.network] == 0 {
		delete(s.perHost, ss.network)
	}
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// Shutdown stops listening and ends sessions that are between commands. Those that
// are sending a message may finish until ctx ends and are answered; then they are told 421
// 4.3.2 (REL-07). It returns when no session is left, with ctx's error if some had to be cut short.
func (s *Server) Shutdown(ctx context.Context) error {
	s.interruptAll(false)
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.interruptAll(true)
		<-done // bounded: replies have a deadline, and so has the store
		return ctx.Err()
	}
}

// interruptAll stops listeners and sessions; those in the middle of a message only if data.
func (s *Server) interruptAll(data bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for l := range s.listeners {
		l.Close()
	}
	for ss := range s.sessions {
		ss.in.interrupt(errShutdown, data)
	}
}

// within reports whether an address lies in one of the networks.
func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, p := range networks {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// hostOf returns the address of a peer; the zero one if it has none.
func hostOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// networkOf returns what counts as one address: itself, or the /64 of an IPv6 address.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.WithZone("").Prefix(bits)
	return p
}
