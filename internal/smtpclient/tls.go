package smtpclient

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A TLSOutcome is how negotiating TLS ended.
type TLSOutcome uint8

const (
	TLSNone        TLSOutcome = iota // StartTLS was not called
	TLSNotOffered                    // nothing was sent; the session is unchanged
	TLSRejected                      // the reply was not 220; the session is unchanged and usable (RFC 3207 section 4)
	TLSNoReply                       // 421, closed, silent or nonsense instead of a reply
	TLSFailed                        // the handshake failed: alert, reset, end, garbage, version, certificates beyond limits
	TLSStalled                       // the handshake took longer than Timeouts.Handshake
	TLSInterrupted                   // the caller's context ended; says nothing about the server
	TLSCompleted
)

var tlsOutcomeNames = [...]string{
	"none", "not offered", "rejected", "no reply", "failed", "stalled", "interrupted", "completed",
}

// String returns the outcome's name for people.
func (o TLSOutcome) String() string {
	if int(o) < len(tlsOutcomeNames) {
		return tlsOutcomeNames[o]
	}
	return fmt.Sprintf("TLS outcome %d", uint8(o))
}

// A HelloAnswer is the first thing that came back after our ClientHello.
type HelloAnswer uint8

const (
	AnswerNone        HelloAnswer = iota // silence, reset or end
	AnswerServerHello                    // also a HelloRetryRequest
	AnswerAlert
	AnswerGarbage // not TLS
)

// TLSFacts is what is known about TLS on a connection.
type TLSFacts struct {
	Outcome  TLSOutcome
	Reply    mail.Reply // to STARTTLS; zero if there was none
	Injected int        // octets that followed the 220 in the clear, thrown away

	HelloSize int         // octets of the ClientHello with its record header; 0 if none was sent
	Answer    HelloAnswer // what the server answered to it
	// LateRejection: the connection ended with the first read after a completed
	// TLS 1.3 handshake. Outcome is TLSFailed then, known only after Hello.
	LateRejection bool

	State tls.ConnectionState // if the handshake completed, also when rejected late
	Err   error               // why the outcome is not TLSCompleted
}

// BigHello reports whether the ClientHello was too large for one TCP segment,
// as it is with a post-quantum key share.
func (f *TLSFacts) BigHello() bool { return f.HelloSize > 1200 }

// HelloUnanswered reports whether the server went silent or away upon our
// ClientHello, without a ServerHello or an alert: what boxes do that cannot
// take a hello of two segments.
func (f *TLSFacts) HelloUnanswered() bool {
	return f.HelloSize > 0 && f.Answer == AnswerNone && (f.Outcome == TLSFailed || f.Outcome == TLSStalled)
}

// TLSOptions are the choices in a [TLSConfig]. The zero value is TLS 1.2 or
// later with Go's own suites and groups.
type TLSOptions struct {
	SmallHello bool   // X25519 and P-256 only: the ClientHello fits one segment
	Legacy     bool   // also offer RSA key exchange; only where unverified TLS will do
	MinVersion uint16 // 0 is TLS 1.2
	// ClientCertificate chooses our certificate once the server's chain is known,
	// when the server asks for one. It may return nil to show none; its error fails the
	// handshake. Nil shows none.
	ClientCertificate func(cs tls.ConnectionState) (*tls.Certificate, error)
}

// Limits on a server's certificate chain, checked before anything is verified
// (SEC-35).
const (
	MaxChainCertificates = 10
	MaxChainSize         = 100 << 10 // octets, DER
)

// ErrChain: the server's certificate chain is beyond the limits. It counts as a
// failed handshake.
var ErrChain = errors.New("certificate chain beyond limits")

// legacySuites are Go's TLS 1.2 suites and, after them, those with RSA key
// exchange, which Go does not offer by itself. Go orders them by its own
// preference. TLS 1.3 suites are always offered.
var legacySuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

// TLSConfig returns a configuration for StartTLS that completes the handshake
// with any certificate within the limits, so that all facts can be collected and
// judged after it. It never resumes sessions (SEC-50). serverName is sent as SNI; empty, or an address, sends
// none.
func TLSConfig(serverName string, o TLSOptions) *tls.Config {
	config := &tls.Config{
		ServerName:         strings.TrimSuffix(serverName, "."),
		InsecureSkipVerify: true, // judged by the caller, on the facts
		MinVersion:         cmp.Or(o.MinVersion, uint16(tls.VersionTLS12)),
		Renegotiation:      tls.RenegotiateNever,
		// Without a ClientSessionCache Go neither stores nor offers tickets.
		VerifyConnection: checkChain,
	}
	if o.SmallHello {
		config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	if o.Legacy {
		config.CipherSuites = slices.Clone(legacySuites)
	}
	if o.ClientCertificate != nil {
		showCertificate(config, o.ClientCertificate)
	}
	return config
}

// showCertificate lets choose decide about our certificate. In every version of TLS
// the client knows the server's chain before it must show its own.
func showCertificate(config *tls.Config, choose func(tls.ConnectionState) (*tls.Certificate, error)) {
	var peer tls.ConnectionState
	check := config.VerifyConnection
	config.VerifyConnection = func(cs tls.ConnectionState) error {
		peer = cs
		return check(cs)
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := choose(peer)
		if cert == nil && err == nil {
			cert = new(tls.Certificate) // Go's way to show none
		}
		return cert, err
	}
}

func checkChain(s tls.ConnectionState) error {
	size := 0
	for _, cert := range s.PeerCertificates {
		size += len(cert.Raw)
	}
	if n := len(s.PeerCertificates); n > MaxChainCertificates || size > MaxChainSize {
		return fmt.Errorf("%w: %d certificates of %d octets", ErrChain, n, size)
	}
	return nil
}

// StartTLS asks for TLS and performs the handshake. The facts are valid whatever
// the error. The error is nil exactly if the outcome is TLSCompleted. All
// capabilities are forgotten then and Hello must be called again, after the caller
// has judged the facts; an unfit session is ended with Quit.
//
// [Client.Usable] tells whether plaintext may go on over this connection: yes
// after TLSNotOffered and TLSRejected, no after everything else.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) (TLSFacts, error) {
	if c.conn != c.raw {
		return c.facts, &Error{Stage: StageStartTLS, Err: fmt.Errorf("%w: TLS is already up", ErrArgument)}
	}
	c.facts = TLSFacts{}
	if !c.broken && !c.caps.Has("STARTTLS") {
		c.facts.Outcome, c.facts.Err = TLSNotOffered, ErrNoStartTLS
		return c.facts, &Error{Stage: StageStartTLS, Err: ErrNoStartTLS}
	}
	err := c.enter(ctx, StageStartTLS)
	if err == nil {
		defer c.leave()
		err = c.askTLS()
	} else {
		c.facts.Outcome = TLSNoReply
	}
	if err == nil {
		err = c.handshake(ctx, config)
	}
	if err != nil && ctx.Err() != nil {
		c.facts.Outcome = TLSInterrupted
	}
	c.facts.Err = err
	return c.facts, err
}

// askTLS sends STARTTLS and sees to it that nothing of what followed the 220 in
// the clear is left to be read (RFC 3207 section 5, SEC-33).
func (c *Client) askTLS() error {
	reply, err := c.command(StageStartTLS, "STARTTLS", c.cfg.Timeouts.StartTLS, nil)
	c.facts.Reply = reply
	switch {
	case err != nil:
		c.facts.Outcome = TLSNoReply
		return err
	case reply.Code != 220:
		// RFC 3207 section 4: the session is as it was.
		c.facts.Outcome = TLSRejected
		return &Error{Stage: StageStartTLS, Reply: reply}
	}
	c.facts.Injected = c.r.Buffered() + discard(c.raw, MaxReplySize)
	c.caps, c.ready, c.dirty = Capabilities{}, false, false
	return nil
}

// handshake performs it, within its own limit, and puts TLS under the session.
func (c *Client) handshake(ctx context.Context, config *tls.Config) error {
	if config.ClientSessionCache != nil || config.Renegotiation != tls.RenegotiateNever {
		config = config.Clone()
		config.ClientSessionCache, config.Renegotiation = nil, tls.RenegotiateNever
	}
	tap := newTap(c.raw)
	conn := tls.Client(tap, config)
	err := c.raw.SetDeadline(time.Now().Add(c.cfg.Timeouts.Handshake))
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	c.facts.HelloSize, c.facts.Answer = tap.hello, tap.answer()
	if err != nil {
		c.facts.Outcome = TLSFailed
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.facts.Outcome = TLSStalled
		}
		return c.fail(StageHandshake, err)
	}
	_ = c.raw.SetDeadline(time.Time{}) // every step sets its own
	c.conn, c.tap, c.heard = conn, tap, false
	c.r.Reset(conn) // with it goes what was injected
	c.facts.Outcome, c.facts.State = TLSCompleted, conn.ConnectionState()
	return nil
}

// A tap lies between TLS and the connection. It sees the first octets of a
// handshake in both directions, and it hands TLS no more than one record at a
// time, so that octets which came early are never hidden inside TLS.
type tap struct {
	net.Conn
	r     *bufio.Reader
	left  int // octets of the current record still to be handed out
	hello int // size of the first write: the record of the ClientHello
	head  [6]byte
	n     int // octets in head
}

func newTap(conn net.Conn) *tap {
	return &tap{Conn: conn, r: bufio.NewReaderSize(conn, readBuffer)}
}

func (t *tap) Write(p []byte) (int, error) {
	if t.hello == 0 {
		t.hello = len(p)
	}
	return t.Conn.Write(p)
}

func (t *tap) Read(p []byte) (int, error) {
	if t.left == 0 {
		header, err := t.r.Peek(5) // RFC 8446 section 5.1
		switch {
		case err == nil:
			t.left = 5 + int(binary.BigEndian.Uint16(header[3:]))
		case len(header) == 0 || errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		default:
			t.left = len(header) // cut off; the error comes with the next read
		}
	}
	n, err := t.r.Read(p[:min(len(p), t.left)])
	t.left -= n
	if t.n < len(t.head) {
		t.n += copy(t.head[t.n:], p[:n])
	}
	return n, err
}

// answer tells what the first octets were (RFC 8446 sections 4 and 5.1).
func (t *tap) answer() HelloAnswer {
	const (
		recordAlert, recordHandshake = 21, 22
		messageServerHello           = 2
	)
	head := t.head[:t.n]
	switch {
	case len(head) == 0:
		return AnswerNone
	case head[0] == recordAlert:
		return AnswerAlert
	case head[0] != recordHandshake:
		return AnswerGarbage
	case len(head) < len(t.head):
		return AnswerNone // cut within the record header
	case head[5] == messageServerHello:
		return AnswerServerHello
	}
	return AnswerGarbage
}
