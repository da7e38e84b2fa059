package smtptest

import (
	"net"
	"sync"
)

// A pump reads from a connection as fast as the peer writes, like a kernel with
// large buffers would. Without it a net.Pipe locks up when both ends write.
type pump struct {
	net.Conn
	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	err    error
	paused bool
	closed bool
	done   chan struct{}
}

func newPump(conn net.Conn) *pump {
	p := &pump{Conn: conn, done: make(chan struct{})}
	p.cond = sync.NewCond(&p.mu)
	go p.run()
	return p
}

func (p *pump) run() {
	defer close(p.done)
	block := make([]byte, 32<<10)
	for {
		p.mu.Lock()
		for p.paused && !p.closed {
			p.cond.Wait()
		}
		p.mu.Unlock()
		n, err := p.Conn.Read(block)
		p.mu.Lock()
		p.buf = append(p.buf, block[:n]...)
		p.err = err
		p.cond.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// pause stops reading; one read may still be in progress.
func (p *pump) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = true
}

func (p *pump) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && p.err == nil && !p.closed {
		p.cond.Wait()
	}
	if len(p.buf) == 0 {
		if p.err == nil {
			return 0, net.ErrClosed
		}
		return 0, p.err
	}
	n := copy(b, p.buf)
	if p.buf = p.buf[n:]; len(p.buf) == 0 {
		p.buf = nil
	}
	return n, nil
}

func (p *pump) Close() error {
	p.mu.Lock()
	p.closed = true
	p.cond.Broadcast()
	p.mu.Unlock()
	return p.Conn.Close()
}

// reset closes a TCP connection so that the peer sees a reset.
func (p *pump) reset() {
	if tcp, ok := p.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = p.Close()
}
