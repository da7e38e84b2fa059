package smtptest

import (
	"fmt"
	"net"
	"sync"
)

// A Server is an MX host. Its methods are safe for concurrent use.
type Server struct {
	record
	b Behaviour

	serveMu  sync.Mutex
	listener net.Listener
	closed   bool
	live     map[*pump]bool
	wg       sync.WaitGroup
	scripts  [][]Step
	errs     []error
}

// New returns a server that behaves as b says and serves nothing yet.
func New(b Behaviour) *Server {
	if b.Host == "" {
		b.Host = "mx.test"
		if b.STARTTLS == TLSOnlyInName {
			b.Host = "mx.starttls.test"
		}
	}
	if b.Extensions == nil {
		b.Extensions = DefaultExtensions()
	}
	if b.TLSExtensions == nil {
		b.TLSExtensions = b.Extensions
	}
	return &Server{b: b, live: make(map[*pump]bool)}
}

// Start serves b on a free loopback port until the test ends.
func Start(t TB, b Behaviour) *Server {
	t.Helper()
	s := New(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen on loopback: %v", err)
	}
	s.Serve(l)
	t.Cleanup(s.Close)
	return s
}

// Serve accepts connections from l in the background, until Close.
func (s *Server) Serve(l net.Listener) {
	s.serveMu.Lock()
	s.listener = l
	s.serveMu.Unlock()
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.ServeConn(conn) })
		}
	})
}

// Addr returns the listener's address, host and port. It is empty without one.
func (s *Server) Addr() string {
	s.serveMu.Lock()
	defer s.serveMu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Pipe returns a connection to the server that is not a socket, for use within
// testing/synctest. The server must be closed before the bubble ends.
func (s *Server) Pipe() net.Conn {
	client, server := net.Pipe()
	s.wg.Go(func() { s.ServeConn(server) })
	return client
}

// ServeConn serves one connection until it ends, and closes it.
func (s *Server) ServeConn(conn net.Conn) {
	p := newPump(conn)
	s.serveMu.Lock()
	closed := s.closed
	s.live[p] = true
	s.serveMu.Unlock()
	rec, open := s.begin(conn.RemoteAddr().String())
	defer func() {
		_ = p.Close()
		<-p.done
		s.serveMu.Lock()
		delete(s.live, p)
		s.serveMu.Unlock()
		s.end(rec)
	}()
	if closed {
		return
	}
	if s.scripts != nil {
		s.play(p, rec)
		return
	}
	newSession(s, p, rec, open).run()
}

// Close stops listening, cuts every connection and waits for their ends.
func (s *Server) Close() {
	s.serveMu.Lock()
	s.closed = true
	if s.listener != nil {
		_ = s.listener.Close()
	}
	for p := range s.live {
		_ = p.Close()
	}
	s.serveMu.Unlock()
	s.wg.Wait()
}

// play performs the script of a connection.
func (s *Server) play(p *pump, rec *Connection) {
	steps := s.scripts[min(rec.N, len(s.scripts))-1]
	if err := runScript(p, steps, func(line string) {
		s.note(func() { rec.Commands = append(rec.Commands, Command{Verb: verbOf(line), Line: line, Conn: rec.N}) })
	}); err != nil {
		s.serveMu.Lock()
		s.errs = append(s.errs, fmt.Errorf("connection %d: %w", rec.N, err))
		s.serveMu.Unlock()
	}
}

// ScriptErrors returns where clients left their scripts.
func (s *Server) ScriptErrors() []error {
	s.serveMu.Lock()
	defer s.serveMu.Unlock()
	return append([]error(nil), s.errs...)
}
