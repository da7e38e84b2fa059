package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Client is one SMTP session. Its methods are called one at a time, except
// Close, which may come from anywhere at any moment and ends a step in progress.
//
// Ending the context of a step closes the connection; see [Transaction] for the
// one wait where it does not.
type Client struct {
	cfg  Config
	raw  net.Conn // as it was handed in
	conn net.Conn // raw, or TLS over it
	tap  *tap     // between the two
	r    *bufio.Reader

	greeting mail.Reply
	caps     Capabilities
	facts    TLSFacts

	greeted  bool // the greeting was read
	ready    bool // EHLO or HELO was accepted since the connection, or TLS, began
	refused  bool // the server does not want us; QUIT is still in order
	broken   bool // nothing may be read or written any more
	dirty    bool // the server may hold a transaction open: RSET first
	noBDAT   bool // the server offered CHUNKING and refused BDAT
	heard    bool // something was read since TLS was up
	sent     int
	lastTime time.Time // when the last reply was read

	ctx  context.Context // of the step in progress
	stop func() bool     // takes back the closing of raw when ctx ends
}

// New starts a session on conn, which the Client now owns. Nothing is read or
// written yet.
func New(conn net.Conn, cfg Config) *Client {
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	c := &Client{cfg: cfg, raw: conn, conn: conn}
	c.r = bufio.NewReaderSize(c.conn, readBuffer)
	return c
}

// Greeting returns the server's greeting; the zero Reply before Hello.
func (c *Client) Greeting() mail.Reply { return c.greeting }

// Capabilities returns what the server offered in its last EHLO reply.
func (c *Client) Capabilities() Capabilities { return c.caps }

// TLS returns what is known about TLS on this connection so far.
func (c *Client) TLS() TLSFacts { return c.facts }

// Usable reports whether the session can go on. One that was broken, cut short
// or told to go away cannot. It looks at the socket, too: a server that closed
// an idle connection, or spoke unasked, is noticed here.
func (c *Client) Usable() bool {
	if c.broken || c.refused {
		return false
	}
	data, ended := readable(c.raw)
	return !ended && c.r.Buffered() == 0 && (!data || c.conn != c.raw)
}

// Sent returns how many transactions Send began on this connection.
func (c *Client) Sent() int { return c.sent }

// Hello reads the greeting, if it was not read yet, and introduces us with EHLO,
// or with HELO where EHLO is refused with 5xx. After StartTLS it must be called
// again. A refusal leaves the connection open for Quit only.
func (c *Client) Hello(ctx context.Context) error {
	if err := checkDomain("EHLO name", c.cfg.Name); err != nil {
		return &Error{Stage: StageHello, Err: err}
	}
	if err := c.enter(ctx, StageHello); err != nil {
		return err
	}
	defer c.leave()
	if !c.greeted {
		reply, err := c.await(StageGreeting, c.cfg.Timeouts.Greeting, nil)
		if err != nil {
			return err
		}
		c.greeting, c.greeted = reply, true
		if err := c.accept(StageGreeting, reply, reply.Code == 220); err != nil {
			c.refused = true
			return err
		}
		if err := c.quiet(); err != nil { // SEC-33: an EHLO reply to no EHLO
			return c.fail(StageGreeting, err)
		}
	}
	c.caps, c.ready = Capabilities{}, false
	reply, err := c.command(StageHello, "EHLO "+c.cfg.Name, c.cfg.Timeouts.Hello, func(n int, line []byte) {
		if n > 0 { // the first line is the server's name and greeting
			c.caps.add(line)
		}
	})
	if err == nil && reply.Permanent() {
		c.caps = Capabilities{}
		reply, err = c.command(StageHello, "HELO "+c.cfg.Name, c.cfg.Timeouts.Hello, nil)
	}
	if err == nil {
		err = c.accept(StageHello, reply, reply.Code == 250)
	}
	if err != nil {
		c.caps, c.refused = Capabilities{}, true
		return err
	}
	c.ready = true
	return nil
}

// Reset sends RSET.
func (c *Client) Reset(ctx context.Context) error {
	err := c.simple(ctx, StageReset, "RSET")
	if err == nil {
		c.dirty = false
	}
	return err
}

// Noop sends NOOP: is the server still there?
func (c *Client) Noop(ctx context.Context) error { return c.simple(ctx, StageNoop, "NOOP") }

func (c *Client) simple(ctx context.Context, stage Stage, line string) error {
	if err := c.enter(ctx, stage); err != nil {
		return err
	}
	defer c.leave()
	reply, err := c.command(stage, line, c.cfg.Timeouts.Mail, nil)
	if err != nil {
		return err
	}
	return c.accept(stage, reply, reply.Positive())
}

// Quit says QUIT, waits for the reply for at most limit (0 is Timeouts.Quit) and
// closes the connection, whatever happens. The error is of no consequence for
// any message.
func (c *Client) Quit(ctx context.Context, limit time.Duration) error {
	if limit <= 0 {
		limit = c.cfg.Timeouts.Quit
	}
	if c.broken {
		return c.Close()
	}
	cut := time.AfterFunc(limit, func() { c.raw.Close() })
	defer cut.Stop()
	err := c.enter(ctx, StageQuit)
	if err == nil {
		var reply mail.Reply
		if reply, err = c.command(StageQuit, "QUIT", limit, nil); err == nil {
			err = c.accept(StageQuit, reply, reply.Code == 221)
		}
		if !c.broken {
			c.broken = true
			_ = c.conn.Close() // inside TLS this says close_notify
		}
		c.leave()
	}
	_ = c.Close()
	return err
}

// Close closes the connection without a word.
func (c *Client) Close() error {
	if err := c.raw.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// enter begins a step: no reply is due, and none may be there.
func (c *Client) enter(ctx context.Context, stage Stage) error {
	if c.broken {
		return &Error{Stage: stage, Err: ErrBroken}
	}
	c.guard(ctx)
	err := ctx.Err()
	if err == nil && (c.greeted || stage != StageHello) { // the greeting may well be there
		err = c.quiet()
	}
	if err != nil {
		err = c.fail(stage, err)
		c.leave()
	}
	return err
}

// quiet returns an error if the server spoke unasked (SEC-30) or is gone.
func (c *Client) quiet() error {
	spoke, ended := c.spoke()
	switch {
	case spoke:
		// Servers say 421 before they close an idle connection, so their words
		// are worth reading.
		return c.unasked()
	case ended:
		return io.ErrUnexpectedEOF
	}
	return nil
}

// spoke looks, at no time to speak of, whether there is anything to read, or the
// end of the connection.
func (c *Client) spoke() (spoke, ended bool) {
	if c.r.Buffered() > 0 {
		return true, false
	}
	data, ended := readable(c.raw)
	if c.conn == c.raw {
		return data, ended
	}
	if !data && c.tap.r.Buffered() == 0 || !c.heard {
		// Before the first reply inside TLS come the session tickets.
		return false, ended
	}
	// These may still be octets of TLS itself, which is rare by now.
	_ = c.raw.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.r.Peek(1)
	return err == nil, err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// unasked reads what the server said unasked.
func (c *Client) unasked() error {
	_ = c.raw.SetReadDeadline(time.Now().Add(time.Second))
	reply, err := readReply(c.r, nil)
	switch {
	case err != nil:
		return protocolError("octets that answer nothing")
	case reply.Code == 421:
		return &Error{Reply: reply, Err: ErrClosing}
	}
	return protocolError("a reply to nothing: %q", reply.String())
}

// guard makes the end of ctx close the connection until leave or the next guard.
func (c *Client) guard(ctx context.Context) {
	raw := c.raw
	c.ctx, c.stop = ctx, context.AfterFunc(ctx, func() { raw.Close() })
}

// leave ends a step. It reports false if the context ended first; the connection
// is closed then, or about to be.
func (c *Client) leave() bool {
	stop := c.stop
	if stop == nil {
		return true
	}
	c.stop = nil
	if !stop() {
		c.broken = true
		return false
	}
	c.ctx = nil
	return true
}

// command writes one line and reads the reply to it.
func (c *Client) command(stage Stage, line string, limit time.Duration, each func(int, []byte)) (mail.Reply, error) {
	if c.r.Buffered() > 0 {
		return mail.Reply{}, c.fail(stage, c.unasked())
	}
	w := blockWriter{c}
	if _, err := w.Write(append([]byte(line), "\r\n"...)); err != nil {
		return mail.Reply{}, c.fail(stage, err)
	}
	return c.await(stage, limit, each)
}

// await reads one reply, all of it within limit. A 421 is an error: the server
// closes, and so do we.
func (c *Client) await(stage Stage, limit time.Duration, each func(int, []byte)) (mail.Reply, error) {
	reply, err := c.read(stage, limit, each)
	if err == nil && reply.Code == 421 {
		return reply, c.fail(stage, &Error{Reply: reply, Err: ErrClosing})
	}
	return reply, err
}

func (c *Client) read(stage Stage, limit time.Duration, each func(int, []byte)) (mail.Reply, error) {
	if err := c.raw.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return mail.Reply{}, c.fail(stage, err)
	}
	reply, err := readReply(c.r, each)
	if err != nil {
		return mail.Reply{}, c.fail(stage, err)
	}
	c.heard, c.lastTime = true, time.Now()
	return reply, nil
}

// accept turns a reply that is not the wanted one into an error: a refusal if
// it is 4xx or 5xx, else a protocol error.
func (c *Client) accept(stage Stage, reply mail.Reply, wanted bool) error {
	switch {
	case wanted:
		return nil
	case reply.Temporary(), reply.Permanent():
		return &Error{Stage: stage, Reply: reply}
	}
	return c.unexpected(stage, reply)
}

// unexpected breaks the session off over a reply of the wrong class.
func (c *Client) unexpected(stage Stage, reply mail.Reply) error {
	return c.fail(stage, protocolError("%d is no answer to this: %q", reply.Code, reply.String()))
}

// fail closes the connection for good and says what happened at stage.
func (c *Client) fail(stage Stage, err error) error {
	c.broken = true
	_ = c.raw.Close()
	e := &Error{Stage: stage}
	var said *Error
	switch {
	case c.ctx != nil && c.ctx.Err() != nil:
		e.Err = context.Cause(c.ctx)
		return e
	case errors.As(err, &said):
		e.Reply, e.Err = said.Reply, said.Err
		return e
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Err = ErrTimeout
		return e
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	e.Err = err
	if c.late(err) {
		c.facts.Outcome, c.facts.LateRejection, c.facts.Err = TLSFailed, true, err
		e.Err = fmt.Errorf("%w: %w", ErrLateRejection, err)
	}
	return e
}

// late reports whether err, not a timeout, is the server's judgement on a TLS
// 1.3 handshake that was complete for us.
func (c *Client) late(err error) bool {
	return c.facts.Outcome == TLSCompleted && !c.heard && !errors.Is(err, ErrProtocol) &&
		c.facts.State.Version >= tls.VersionTLS13
}

// A blockWriter writes to the connection; each block has its own deadline.
type blockWriter struct{ c *Client }

func (w blockWriter) Write(p []byte) (int, error) {
	if err := w.c.raw.SetWriteDeadline(time.Now().Add(w.c.cfg.Timeouts.Block)); err != nil {
		return 0, err
	}
	return w.c.conn.Write(p)
}
