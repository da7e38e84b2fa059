package dnstest

import "github.com/sealpost/sealpost/internal/dnssec"

// TB is the part of testing.TB that Start and Resolver need.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Start returns a server that is closed with the test. It listens nowhere yet.
func Start(t TB, zones ...Zone) *Server {
	t.Helper()
	s, err := New(zones...)
	if err != nil {
		t.Fatalf("start dnstest: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Resolver returns a resolver that asks the server through pipes.
func (s *Server) Resolver(t TB) *dnssec.Stub {
	t.Helper()
	r, err := dnssec.New(s.Config())
	if err != nil {
		t.Fatalf("make resolver: %v", err)
	}
	return r
}
