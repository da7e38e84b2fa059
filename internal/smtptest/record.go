package smtptest

import (
	"context"
	"slices"
	"sync"
)

// A Connection is what the server saw of one connection.
type Connection struct {
	N      int    // from 1
	Remote string // address
	Closed bool   // it is over

	TLS          bool // the handshake completed
	HandshakeErr string
	HelloSize    int // octets of the ClientHello with its record header; 0 if none came
	SNI          string
	Version      uint16 // as crypto/tls numbers it

	Commands []Command
	Messages []Message
}

// Verbs returns the verbs of the commands, in order.
func (c Connection) Verbs() []string {
	var verbs []string
	for _, cmd := range c.Commands {
		verbs = append(verbs, cmd.Verb)
	}
	return verbs
}

// PlaintextMail reports whether MAIL came outside TLS.
func (c Connection) PlaintextMail() bool {
	return slices.ContainsFunc(c.Commands, func(cmd Command) bool { return cmd.Verb == "MAIL" && !cmd.TLS })
}

// A Message is content that arrived completely, also if it was refused then.
type Message struct {
	From       string // reverse-path without brackets
	Params     string // of MAIL
	Recipients []string
	Content    []byte // without dot-stuffing
	Chunked    bool   // by BDAT
	TLS        bool
	Accepted   bool // the answer was 2xx
	Conn       int
}

// A record holds what a server saw.
type record struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a connection ends
	conns   []*Connection
	open    int
	ended   int
}

func (r *record) begin(remote string) (*Connection, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Connection{N: len(r.conns) + 1, Remote: remote}
	r.conns = append(r.conns, c)
	r.open++
	return c, r.open
}

func (r *record) end(c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Closed = true
	r.open--
	r.ended++
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// note changes a connection's record.
func (r *record) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Connections returns what was seen so far, in the order of connecting.
func (r *record) Connections() []Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Connection, len(r.conns))
	for i, c := range r.conns {
		out[i] = *c
		out[i].Commands = slices.Clone(c.Commands)
		out[i].Messages = slices.Clone(c.Messages)
	}
	return out
}

// Messages returns all messages whose content arrived, by connection.
func (r *record) Messages() []Message {
	var all []Message
	for _, c := range r.Connections() {
		all = append(all, c.Messages...)
	}
	return all
}

// Accepted returns the messages that were answered with 2xx.
func (r *record) Accepted() []Message {
	return slices.DeleteFunc(r.Messages(), func(m Message) bool { return !m.Accepted })
}

// WaitClosed waits until n connections have ended, or ctx does.
func (r *record) WaitClosed(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		if r.ended >= n {
			r.mu.Unlock()
			return nil
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
