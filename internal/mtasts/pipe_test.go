package mtasts

import (
	"io"
	"net"
	"sync"
	"time"
)

// A bufferedConn writes behind, as a kernel would: on a bare net.Pipe a server that
// writes its certificates and a client that writes its alert about them wait for each
// other. Closing it ends the connection after what was written.
type bufferedConn struct {
	net.Conn
	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	closed bool
	failed bool
}

func newBufferedConn(c net.Conn) *bufferedConn {
	b := &bufferedConn{Conn: c}
	b.cond = sync.NewCond(&b.mu)
	go b.run()
	return b
}

func (b *bufferedConn) run() {
	defer b.Conn.Close()
	for {
		b.mu.Lock()
		for len(b.buf) == 0 && !b.closed {
			b.cond.Wait()
		}
		next := b.buf
		b.buf = nil
		b.cond.Broadcast()
		b.mu.Unlock()
		if len(next) == 0 {
			return
		}
		if _, err := b.Conn.Write(next); err != nil {
			b.mu.Lock()
			b.failed = true
			b.cond.Broadcast()
			b.mu.Unlock()
			return
		}
	}
}

func (b *bufferedConn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.buf) > 64<<10 && !b.failed && !b.closed {
		b.cond.Wait()
	}
	if b.failed || b.closed {
		return 0, io.ErrClosedPipe
	}
	b.buf = append(b.buf, p...)
	b.cond.Broadcast()
	return len(p), nil
}

func (b *bufferedConn) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cond.Broadcast()
	return nil
}

// Deadlines hold for reading only.
func (b *bufferedConn) SetWriteDeadline(time.Time) error { return nil }
func (b *bufferedConn) SetDeadline(at time.Time) error   { return b.Conn.SetReadDeadline(at) }
