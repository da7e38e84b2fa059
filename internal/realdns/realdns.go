package realdns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealpost/sealpost/internal/daemon"
)

// How long the servers may take to answer. Usually it is a tenth of a second; the
// rest is for machines under load.
const (
	startTimeout = 30 * time.Second
	askTimeout   = time.Second
	pollInterval = 10 * time.Millisecond
)

// A World is everything that exists in the DNS of a test, below a signed root.
type World struct {
	Zones []Zone
	// NoValidation makes the resolver one that does not look at signatures and never sets
	// AD, as so many are.
	NoValidation bool
}

// A Zone is one zone with its own name servers and, if it is signed, its own keys.
type Zone struct {
	// Name is the origin, such as "signed.test". Its parent is the world's closest zone above
	// it, or the root, and delegates to it: with a DS record if it is signed, else with
	// the proof that there is none, so far as the parent is signed.
	Name string
	// Records are in master file format (RFC 1035 section 5), relative to Name, with a TTL of 300
	// seconds unless they say otherwise. SOA, NS and the address of the host ns are
	// there already.
	Records string

	// Signed signs the zone (ECDSA P-256) with a key-signing and a zone-signing key.
	Signed bool
	// NSEC3 proves absence with hashed names (RFC 5155), without salt or further iterations
	// (RFC 9276). Otherwise with NSEC.
	NSEC3 bool
	// OptOut makes the hashed names skip unsigned delegations (RFC 5155 section 6), as large
	// registries do. Absences proven so are insecure: no AD. It needs NSEC3.
	OptOut bool

	// Breaks is what is wrong with the zone. Every break must hit something.
	Breaks []Break
}

// A Server is a running world. Its methods may be used by several goroutines.
type Server struct {
	addr   netip.AddrPort
	anchor []string // DS records of the root

	logs               []string
	authority, resolve *daemon.Process
	stop               func()
}

// Start makes a world and returns when its resolver answers. It ends with the test.
func Start(t testing.TB, w World) *Server {
	t.Helper()
	began := time.Now()
	dir, err := os.MkdirTemp("", "realdns-")
	if err != nil {
		t.Fatalf("realdns: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("realdns: %v", err)
		}
	})
	s, err := start(t.Context(), dir, w)
	if err != nil {
		t.Fatalf("realdns: %v", err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("realdns: log of nsd and unbound at %s:\n%s", s.addr, s.Log())
		}
	})
	t.Logf("realdns: %d zones at %s in %s", len(w.Zones), s.addr, time.Since(began).Round(time.Millisecond))
	return s
}

// start makes a world with its files below dir.
func start(ctx context.Context, dir string, w World) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tools, err := findTools()
	if err != nil {
		return nil, err
	}
	resolver, authority, err := addresses()
	if err != nil {
		return nil, err
	}
	zones, err := plan(w.Zones, authority.Addr())
	if err != nil {
		return nil, err
	}
	anchor, err := tools.build(ctx, dir, zones)
	if err != nil {
		return nil, err
	}
	c := configuration{dir: dir, authority: authority, resolver: resolver, zones: zones, anchor: anchor, validate: !w.NoValidation}
	if err := c.write(); err != nil {
		return nil, err
	}

	s := &Server{addr: resolver, anchor: anchor, logs: []string{c.path("nsd.log"), c.path("nsd.out"), c.path("unbound.out")}}
	s.stop = sync.OnceFunc(func() {
		var stopping sync.WaitGroup
		for _, p := range []*daemon.Process{s.resolve, s.authority} {
			if p != nil {
				stopping.Go(p.Stop)
			}
		}
		stopping.Wait()
	})
	if err := s.run(ctx, tools, c); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%w; log of nsd and unbound:\n%s", err, s.Log())
	}
	return s, nil
}

// run starts the servers, the authority first: a resolver that found nobody at home would
// remember it.
func (s *Server) run(ctx context.Context, tools tools, c configuration) (err error) {
	s.authority, err = daemon.Start(daemon.Command{Args: []string{tools.nsd, "-d", "-c", c.path("nsd.conf")}}, c.path("nsd.out"))
	if err != nil {
		return err
	}
	for _, z := range c.zones {
		if !z.answers() {
			continue
		}
		err := await(ctx, s.authority, c.authority, z.name, dns.TypeSOA, func(m *dns.Msg) bool { return m.Authoritative && len(m.Answer) > 0 })
		if err != nil {
			return fmt.Errorf("wait for nsd to serve %q: %w", z.name, err)
		}
	}
	s.resolve, err = daemon.Start(daemon.Command{Args: []string{tools.unbound, "-d", "-p", "-c", c.path("unbound.conf")}}, c.path("unbound.out"))
	if err != nil {
		return err
	}
	err = await(ctx, s.resolve, c.resolver, ".", dns.TypeNS, func(m *dns.Msg) bool {
		return m.Rcode == dns.RcodeSuccess && m.AuthenticatedData == c.validate
	})
	if err != nil {
		return fmt.Errorf("wait for unbound to resolve the root, AD %t: %w", c.validate, err)
	}
	return nil
}

// await asks one question until the answer is right.
func await(ctx context.Context, p *daemon.Process, at netip.AddrPort, name string, typ uint16, right func(*dns.Msg) bool) error {
	query := new(dns.Msg).SetQuestion(name, typ)
	query.AuthenticatedData = true
	client := &dns.Client{Timeout: askTimeout}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		answer, _, err := client.ExchangeContext(ctx, query, at.String())
		if err == nil && right(answer) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("it answers\n%s", answer)
		}
		select {
		case <-tick.C:
		case <-p.Ended():
			return fmt.Errorf("it ended: %v", p.Err())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// Addr is where the resolver listens, for UDP and TCP: an IP address and a port.
func (s *Server) Addr() string { return s.addr.String() }

// TrustAnchor returns the DS records of the root's key, one a line, for
// another validator.
func (s *Server) TrustAnchor() string { return strings.Join(s.anchor, "\n") + "\n" }

// Log returns what the servers have logged until now. The resolver tells in it why it
// could not validate an answer.
func (s *Server) Log() string {
	var b strings.Builder
	for _, name := range s.logs {
		text, err := os.ReadFile(name)
		if err == nil {
			b.Write(text)
		}
	}
	return b.String()
}

// Stop ends the servers, as a resolver that is gone: questions get no answer any more. It
// may be called again.
func (s *Server) Stop() { s.stop() }

// tools are the programs that make a world.
type tools struct{ keygen, signzone, nsd, unbound string }

func findTools() (tools, error) {
	var found tools
	for _, tool := range []struct {
		path            *string
		program, source string
	}{
		{&found.keygen, "ldns-keygen", "ldnsutils"},
		{&found.signzone, "ldns-signzone", "ldnsutils"},
		{&found.nsd, "nsd", "nsd"},
		{&found.unbound, "unbound", "unbound"},
	} {
		path, err := daemon.Find(tool.program)
		if err != nil {
			return tools{}, fmt.Errorf("no %s on this machine: run make test, which fetches it without starting a service, "+
				"or install the Debian package %s", tool.program, tool.source)
		}
		*tool.path = path
	}
	return found, nil
}

// addresses picks a loopback address that is most likely nobody else's, with a port for
// each server. The resolver gets port 53 when that is allowed and free.
func addresses() (resolver, authority netip.AddrPort, err error) {
	own := netip.AddrFrom4([4]byte{127, byte(16 + rand.IntN(200)), byte(rand.IntN(250)), byte(2 + rand.IntN(250))})
	authority, err = freePort(own, 0)
	if err != nil {
		return resolver, authority, err
	}
	resolver, err = freePort(own, 53)
	for attempt := 0; err != nil && attempt < 3; attempt++ {
		resolver, err = freePort(own, 0)
		if err == nil && resolver == authority {
			err = errors.New("the same port twice")
		}
	}
	return resolver, authority, err
}

// freePort returns a port that is free for UDP and TCP: the one it was given, or any if it is 0.
func freePort(own netip.Addr, port uint16) (netip.AddrPort, error) {
	tcp, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(own, port)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer tcp.Close()
	at := tcp.Addr().(*net.TCPAddr).AddrPort()
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return netip.AddrPort{}, err
	}
	return at, udp.Close()
}

func (c configuration) path(name string) string { return filepath.Join(c.dir, name) }
