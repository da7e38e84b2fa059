// Package bench measures the whole server from outside: a neutral generator hands
// it mail over SMTP or HTTP, and a neutral receiver takes what it delivers. Neither
// knows Sealpost, so that other relays can be measured with them as well. The
// server runs in a process of its own; its CPU time and memory are what the operating
// system accounts to that process.
package bench

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// A Sink takes all mail and keeps none. It is safe for concurrent use.
type Sink struct {
	tls *tls.Config // nil: STARTTLS is not offered

	received    atomic.Int64 // messages
	connections atomic.Int64
	handshakes  atomic.Int64

	target atomic.Int64 // of received; then reached is closed

	mu        sync.Mutex
	reached   chan struct{}
	listeners []net.Listener
	wg        sync.WaitGroup
}

// NewSink returns a receiver that offers STARTTLS if config is not nil.
func NewSink(config *tls.Config) *Sink { return &Sink{tls: config} }

// Serve takes mail from l until Close.
func (s *Sink) Serve(l net.Listener) {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			go s.session(conn)
		}
	})
}

// Close stops listening.
func (s *Sink) Close() {
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Expect returns a channel that is closed when n more messages have arrived.
func (s *Sink) Expect(n int64) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target.Store(s.received.Load() + n)
	s.reached = make(chan struct{})
	return s.reached
}

// Received, Connections and Handshakes return how many there were so far.
func (s *Sink) Received() int64    { return s.received.Load() }
func (s *Sink) Connections() int64 { return s.connections.Load() }
func (s *Sink) Handshakes() int64  { return s.handshakes.Load() }

func (s *Sink) took() {
	if s.received.Add(1) != s.target.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reached != nil {
		close(s.reached)
		s.reached = nil
	}
}

// session serves one connection. Replies to pipelined commands leave together.
func (s *Sink) session(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r, w := bufio.NewReaderSize(conn, 32<<10), bufio.NewWriter(conn)
	secure := false
	fmt.Fprint(w, "220 sink ESMTP\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			fmt.Fprint(w, "250-sink\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-CHUNKING\r\n")
			if s.tls != nil && !secure {
				fmt.Fprint(w, "250-STARTTLS\r\n")
			}
			fmt.Fprint(w, "250 SMTPUTF8\r\n")
		case "STARTTLS":
			fmt.Fprint(w, "220 go\r\n")
			if w.Flush() != nil {
				return
			}
			server := tls.Server(conn, s.tls)
			if server.Handshake() != nil {
				return
			}
			s.handshakes.Add(1)
			secure = true
			r, w = bufio.NewReaderSize(server, 32<<10), bufio.NewWriter(server)
		case "DATA":
			fmt.Fprint(w, "354 go\r\n")
			if w.Flush() != nil || discardData(r) != nil {
				return
			}
			s.took()
			fmt.Fprint(w, "250 2.0.0 taken\r\n")
		case "BDAT":
			size, last, ok := parseBDAT(rest)
			if !ok {
				return
			}
			if _, err := io.CopyN(io.Discard, r, size); err != nil {
				return
			}
			if last {
				s.took()
			}
			fmt.Fprint(w, "250 2.0.0 taken\r\n")
		case "QUIT":
			fmt.Fprint(w, "221 bye\r\n")
			_ = w.Flush()
			return
		default: // MAIL, RCPT, RSET, NOOP
			fmt.Fprint(w, "250 2.0.0 ok\r\n")
		}
	}
}

func parseBDAT(s string) (size int64, last, ok bool) {
	n, flag, _ := strings.Cut(s, " ")
	size, err := strconv.ParseInt(n, 10, 64)
	return size, strings.EqualFold(flag, "LAST"), err == nil && size >= 0
}

// discardData reads up to the line that is a dot.
func discardData(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		if string(line) == ".\r\n" {
			return nil
		}
	}
}
