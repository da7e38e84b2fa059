package dnstest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// A Zone is one zone's content.
type Zone struct {
	Origin string // "example.test"
	// Secure marks its answers and denials as validated.
	Secure bool
	// Records is a zone file (RFC 1035 section 5) with names relative to Origin and
	// a TTL of 300 s unless told: "@ MX 10 mx\nmx A 127.0.0.1". A SOA record that
	// lets denials be remembered for 60 s is added if there is none. A first
	// label * is a wildcard.
	Records string
}

// A Fault is something that goes wrong with a question. Its parts combine.
type Fault struct {
	RCode     int           // response code instead of an answer: 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
	EDE       uint16        // extended error to add (RFC 8914); none when 0
	EDEText   string        // its text
	Drop      bool          // no answer at all
	Truncate  bool          // TC and no records over UDP
	TruncTCP  bool          // the same over TCP
	Garbage   bool          // the header that was asked for, then bytes that are no message
	WrongID   bool          // forged answers with another id and another name before the real one
	FirstHop  bool          // the first CNAME and nothing else
	NoSOA     bool          // denials without a SOA record
	NoRecurse bool          // neither RA nor AA, and nothing in it: a lame answer
	Delay     time.Duration // before answering
	Times     int           // how many questions it hits; 0 is all
}

// A Question is one query that came in.
type Question struct {
	Name    string // lower case, no trailing dot
	Type    dnssec.Type
	Network string // udp or tcp
	AD, DO  bool   // the query's bits
}

type key struct {
	name string // absolute, lower case, with trailing dot
	typ  uint16 // 0 in faults and secrets: every type
}

// A Server answers DNS questions from its zones, as a recursive resolver would. It
// is safe for concurrent use.
type Server struct {
	mu        sync.Mutex
	zones     map[string]*zone // by origin
	secure    map[string]bool  // by name, over the zone's
	faults    map[key]*Fault
	sequences map[key]*sequence
	log       []Question

	closing chan struct{}
	closers []func()
	running sync.WaitGroup
}

// A sequence is a set of answers given one after the other.
type sequence struct {
	sets [][]dns.RR
	next int
}

// New returns a server with zones. It fails when a zone cannot be parsed.
func New(zones ...Zone) (*Server, error) {
	s := &Server{
		zones:     make(map[string]*zone),
		secure:    make(map[string]bool),
		faults:    make(map[key]*Fault),
		sequences: make(map[key]*sequence),
		closing:   make(chan struct{}),
	}
	for _, z := range zones {
		if err := s.SetZone(z); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SetZone adds a zone or replaces the one of the same origin.
func (s *Server) SetZone(z Zone) error {
	parsed, err := parseZone(z)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[parsed.origin] = parsed
	return nil
}

// SetSecure overrides the zone's Secure for the answers about one name.
func (s *Server) SetSecure(name string, secure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secure[absolute(name)] = secure
}

// SetFault makes questions for name and type go wrong; type 0 is every type that has
// no fault of its own. The zero Fault ends it.
func (s *Server) SetFault(name string, t dnssec.Type, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{absolute(name), uint16(t)}
	if f == (Fault{}) {
		delete(s.faults, k)
		return
	}
	s.faults[k] = &f
}

// SetSequence makes the answers for name and type change: the n-th question gets
// the n-th set of record data, the last set stays. Data are as in a zone file,
// absolute: "10 mx.example.test.". An empty set is no data. The name must be in a
// zone.
func (s *Server) SetSequence(name string, t dnssec.Type, ttl uint32, sets ...[]string) error {
	seq := &sequence{}
	for _, set := range sets {
		var rrs []dns.RR
		for _, data := range set {
			rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", absolute(name), ttl, t, data))
			if err != nil || rr == nil {
				return fmt.Errorf("record %s %s %q: %w", name, t, data, err)
			}
			rrs = append(rrs, rr)
		}
		seq.sets = append(seq.sets, rrs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequences[key{absolute(name), uint16(t)}] = seq
	return nil
}

// Queries returns the queries that came in so far, in order.
func (s *Server) Queries() []Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Question(nil), s.log...)
}

// Count returns how many queries for name and type came in; type 0 is every type.
func (s *Server) Count(name string, t dnssec.Type) int {
	n := 0
	for _, q := range s.Queries() {
		if absolute(q.Name) == absolute(name) && (t == 0 || q.Type == t) {
			n++
		}
	}
	return n
}

// Listen opens a random port on 127.0.0.1, the same for UDP and TCP, and serves it
// until Close.
func (s *Server) Listen() (netip.AddrPort, error) {
	var last error
	for range 20 { // the UDP port may be taken for TCP
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("listen: %w", err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil {
			last = err
			_ = udp.Close()
			continue
		}
		if err := s.serveSockets(udp, tcp); err != nil {
			return netip.AddrPort{}, err
		}
		return udp.LocalAddr().(*net.UDPAddr).AddrPort(), nil
	}
	return netip.AddrPort{}, fmt.Errorf("listen: %w", last)
}

func (s *Server) serveSockets(udp net.PacketConn, tcp net.Listener) error {
	for _, srv := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		network := "udp"
		if srv.Listener != nil {
			network = "tcp"
		}
		srv.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
			for _, packet := range s.answer(query, network) {
				_, _ = w.Write(packet)
			}
		})
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		ended := make(chan error, 1)
		s.running.Go(func() { ended <- srv.ActivateAndServe() })
		select {
		case <-started:
		case err := <-ended:
			return fmt.Errorf("serve %s: %w", network, err)
		}
		s.onClose(func() { _ = srv.Shutdown() })
	}
	return nil
}

func (s *Server) onClose(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, f)
}

// Dial connects to the server through a pipe, in the form of dnssec.Config.Dial. The
// address does not matter.
func (s *Server) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case <-s.closing:
		return nil, fmt.Errorf("dial %s %s: connection refused", network, address)
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	s.running.Go(func() {
		defer far.Close()
		s.servePipe(far, network)
	})
	return near, nil
}

// Config returns a resolver configuration that asks this server through Dial, as if
// it were on loopback and its AD bit believed.
func (s *Server) Config() dnssec.Config {
	return dnssec.Config{Servers: []string{"127.0.0.1:53"}, Dial: s.Dial}
}

// Close ends listeners and waits for the server's goroutines. Connections made with
// Dial are refused from then on; those that are open end with their client.
func (s *Server) Close() error {
	s.mu.Lock()
	closers := s.closers
	s.closers = nil
	select {
	case <-s.closing:
	default:
		close(s.closing)
	}
	s.mu.Unlock()
	for _, f := range closers {
		f()
	}
	s.running.Wait()
	return nil
}

// absolute returns a name in lower case with its trailing dot.
func absolute(name string) string { return strings.ToLower(dns.Fqdn(name)) }
