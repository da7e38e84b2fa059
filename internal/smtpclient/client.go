package smtpclient

import (
	"context"
	"net"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Client is one SMTP session. Its methods are called one at a time, except
// Close, which may come from anywhere at any moment and ends a step in progress.
//
// Ending the context of a step closes the connection; see Transaction for the
// one wait where it does not.
type Client struct{}

// New starts a session on conn, which the Client now owns. Nothing is read or
// written yet.
func New(conn net.Conn, cfg Config) *Client { return &Client{} }

// Hello reads the greeting, if it was not read yet, and introduces us with EHLO,
// or with HELO where EHLO is refused with 5xx. After StartTLS it must be called
// again.
func (c *Client) Hello(ctx context.Context) error { return nil }

// Greeting returns the server's greeting.
func (c *Client) Greeting() mail.Reply { return mail.Reply{} }

// Capabilities returns what the server offered in its last EHLO reply.
func (c *Client) Capabilities() Capabilities { return Capabilities{} }

// TLS returns what is known about TLS on this connection so far.
func (c *Client) TLS() TLSFacts { return TLSFacts{} }

// Usable reports whether the session can go on. A session that was broken, cut
// short or told to go away cannot.
func (c *Client) Usable() bool { return false }

// Sent returns how many transactions Send began on this connection.
func (c *Client) Sent() int { return 0 }

// Send hands one message over. The error is nil if the server answered the
// whole dialogue, also with refusals: those are in the Result. Otherwise the
// Result tells how far it came and holds every reply received until then.
func (c *Client) Send(ctx context.Context, tx Transaction) (Result, error) { return Result{}, nil }

// Reset sends RSET.
func (c *Client) Reset(ctx context.Context) error { return nil }

// Noop sends NOOP: is the server still there?
func (c *Client) Noop(ctx context.Context) error { return nil }

// Quit says QUIT, waits for the reply for at most limit (0 is Timeouts.Quit)
// and closes the connection, whatever happens.
func (c *Client) Quit(ctx context.Context, limit time.Duration) error { return nil }

// Close closes the connection without a word.
func (c *Client) Close() error { return nil }
