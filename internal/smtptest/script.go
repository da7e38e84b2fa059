package smtptest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// A Step is one thing that a scripted server does.
type Step func(*player) error

type player struct {
	pump *pump
	conn net.Conn
	r    *bufio.Reader
	note func(line string)
}

// errLeft: the script ends here on purpose.
var errLeft = errors.New("script is over")

// StartScript serves scripts on a free loopback port until the test ends: the
// first to the first connection, and so on; the last one to all that follow.
func StartScript(t TB, scripts ...[]Step) *Server {
	t.Helper()
	s := NewScript(scripts...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen on loopback: %v", err)
	}
	s.Serve(l)
	t.Cleanup(s.Close)
	return s
}

// NewScript returns a server that plays scripts and serves nothing yet. There
// must be one at least.
func NewScript(scripts ...[]Step) *Server {
	s := New(Behaviour{})
	s.scripts = scripts
	return s
}

func runScript(p *pump, steps []Step, note func(string)) error {
	pl := &player{pump: p, conn: p, r: bufio.NewReader(p), note: note}
	for i, step := range steps {
		if err := step(pl); errors.Is(err, errLeft) {
			return nil
		} else if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// Expect reads one line, which must start with prefix in any letter case.
func Expect(prefix string) Step {
	return func(p *player) error {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("expected %q: %w", prefix, err)
		}
		line = strings.TrimRight(line, "\r\n")
		p.note(line)
		if len(line) < len(prefix) || !strings.EqualFold(line[:len(prefix)], prefix) {
			return fmt.Errorf("expected %q, got %q", prefix, line)
		}
		return nil
	}
}

// ExpectContent reads up to and including CRLF.CRLF.
func ExpectContent() Step {
	return func(p *player) error {
		for {
			line, err := p.r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("expected content: %w", err)
			}
			if line == ".\r\n" {
				return nil
			}
		}
	}
}

// ExpectOctets reads n octets of whatever kind.
func ExpectOctets(n int64) Step {
	return func(p *player) error {
		_, err := io.CopyN(io.Discard, p.r, n)
		return err
	}
}

// Send writes lines, each with CRLF, in one write.
func Send(lines ...string) Step {
	return SendRaw(strings.Join(lines, "\r\n") + "\r\n")
}

// SendRaw writes octets as they are.
func SendRaw(octets string) Step {
	return func(p *player) error {
		_, err := io.WriteString(p.conn, octets)
		return err
	}
}

// Wait lets time pass.
func Wait(d time.Duration) Step {
	return func(*player) error { wait(d); return nil }
}

// Do calls f, so that a test can wait for the script to come by.
func Do(f func()) Step {
	return func(*player) error { f(); return nil }
}

// Drip writes octets one by one, with every before each. The script ends in
// peace if the client goes away.
func Drip(octets string, every time.Duration) Step {
	return func(p *player) error {
		if drip(p.conn, octets, every) != nil {
			return errLeft
		}
		return nil
	}
}

// Flood writes octets over and over until the client goes away.
func Flood(octets string) Step {
	return func(p *player) error {
		block := strings.Repeat(octets, max(1, 16<<10/len(octets)))
		for {
			if _, err := io.WriteString(p.conn, block); err != nil {
				return errLeft
			}
		}
	}
}

// Stall says nothing more and reads until the client goes away.
func Stall() Step {
	return func(p *player) error {
		_, _ = io.Copy(io.Discard, p.r)
		return errLeft
	}
}

// StopReading says nothing more and reads nothing either, until the client goes
// away. Over TCP the kernel still takes what fits its buffers.
func StopReading() Step {
	return func(p *player) error {
		p.pump.pause()
		return nil
	}
}

// CloseConn closes the connection.
func CloseConn() Step {
	return func(p *player) error { _ = p.conn.Close(); return errLeft }
}

// ResetConn closes it with a reset where it is TCP.
func ResetConn() Step {
	return func(p *player) error { p.pump.reset(); return errLeft }
}

// TLS performs the server's side of a handshake.
func TLS(config *tls.Config) Step {
	return func(p *player) error {
		conn := tls.Server(&rereader{Conn: p.pump, r: p.r}, config)
		if err := conn.Handshake(); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		p.conn, p.r = conn, bufio.NewReader(conn)
		return nil
	}
}
