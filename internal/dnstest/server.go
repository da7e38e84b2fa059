package dnstest

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
)

// A Zone is one zone's content.
type Zone struct {
	Origin string // "example.test"
	// Secure marks its answers and denials as validated.
	Secure bool
	// Records is a zone file (RFC 1035 section 5), names relative to Origin, TTL 300
	// unless told. A SOA record with a negative TTL of 60 s is added if there is none.
	// "@ MX 10 mx\nmx A 127.0.0.1".
	Records string
}

// A Fault is something that goes wrong with a question.
type Fault struct {
	RCode     int           // response code, e.g. 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
	EDE       uint16        // extended error to add when not 0
	EDEText   string        // its text
	Drop      bool          // no answer at all
	Truncate  bool          // TC over UDP: no records; TruncateTCP also over TCP
	TruncTCP  bool          // TC over TCP too
	Garbage   bool          // bytes that are no DNS message
	WrongID   bool          // a forged answer with another id first, then the real one
	FirstHop  bool          // only the first CNAME of a chain, no denial
	NoRecurse bool          // neither RA nor AA: an empty referral
	Delay     time.Duration // before answering; goes with the others
	Times     int           // how many questions it hits; 0 is all
}

// A Question is one received query.
type Question struct {
	Name    string // lower case, no trailing dot
	Type    dnssec.Type
	Network string // udp or tcp
}

// A Server answers DNS questions from its zones. It is safe for concurrent use.
type Server struct{}

// New returns a server with zones. It fails when a zone cannot be parsed.
func New(zones ...Zone) (*Server, error) { return &Server{}, nil }

// SetZone adds a zone or replaces the one of the same origin.
func (s *Server) SetZone(z Zone) error { return nil }

// SetSecure overrides the zone's Secure for one name.
func (s *Server) SetSecure(name string, secure bool) {}

// SetFault makes questions for name and type go wrong; type 0 is every type, the
// zero Fault ends it.
func (s *Server) SetFault(name string, t dnssec.Type, f Fault) {}

// SetSequence makes the answers for name and type change: the n-th question gets the
// n-th set of record data ("10 mx.example.test."), the last set stays. An empty set is
// no data.
func (s *Server) SetSequence(name string, t dnssec.Type, ttl uint32, sets ...[]string) error {
	return nil
}

// Queries returns the questions received so far, in order.
func (s *Server) Queries() []Question { return nil }

// Count returns how many questions for name and type came in; type 0 is every
// type.
func (s *Server) Count(name string, t dnssec.Type) int { return 0 }

// Listen opens a random port on 127.0.0.1, UDP and TCP, and serves it until Close.
func (s *Server) Listen() (netip.AddrPort, error) { return netip.AddrPort{}, nil }

// Dial connects to the server through a pipe, as dnssec.Config.Dial does.
func (s *Server) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return nil, nil
}

// Config returns a resolver configuration that asks this server through Dial, as if it were on
// loopback.
func (s *Server) Config() dnssec.Config {
	return dnssec.Config{Servers: []string{"127.0.0.1:53"}, Dial: s.Dial}
}

// Close ends all connections and waits for the server's goroutines.
func (s *Server) Close() error { return nil }
