package delivery

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A target is one MX host of the recipient domain.
type target struct {
	name     string
	mxSecure bool
}

// A link is an open connection to a host, with what it achieved.
type link struct {
	client *smtpclient.Client
	host   target
	addr   netip.Addr
	local  string // our address
	// session are the facts the connection was judged by. For a plaintext
	// connection these may be the facts of the one abandoned before it.
	session  tlspolicy.Session
	plain    bool
	detail   mail.TLSDetail
	messages int       // transactions so far
	opened   time.Time // when we began to connect
	expiry   *time.Timer
}

// serves reports whether the decision under r, given the facts of this
// connection, would have led to a session like it.
func (l *link) serves(r tlspolicy.Requirement) bool {
	v := tlspolicy.Judge(r, l.session)
	if l.plain {
		return v.Action == tlspolicy.Plaintext || v.Action == tlspolicy.PlaintextFresh
	}
	return v.Action == tlspolicy.Deliver
}

// quit says goodbye and closes, in bounded time whatever the server does.
func (l *link) quit() {
	_ = l.client.Quit(context.Background(), abandonedQuitTime) // nothing hangs on the reply
}

// dial connects to an address of the host. The greeting is not read yet.
func (d *Deliverer) dial(ctx context.Context, host target, addr netip.Addr) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ConnectTimeout)
	defer cancel()
	opened := time.Now()
	conn, err := d.cfg.Dial(ctx, "tcp", netip.AddrPortFrom(addr, uint16(d.cfg.Port)).String())
	if err != nil {
		return nil, err
	}
	l := &link{
		client: smtpclient.New(conn, smtpclient.Config{Name: d.cfg.HostName, Timeouts: d.cfg.Timeouts}),
		host:   host, addr: addr, opened: opened,
	}
	if a, _, err := net.SplitHostPort(conn.LocalAddr().String()); err == nil {
		l.local = a
	}
	return l, nil
}

// openPlain connects for plaintext on a fresh connection, on the strength of
// what was seen on another one.
func (d *Deliverer) openPlain(ctx context.Context, host target, addr netip.Addr, why tlspolicy.Session) (*link, error) {
	l, err := d.dial(ctx, host, addr)
	if err != nil {
		return nil, err
	}
	l.session, l.plain = why, true
	if err := l.client.Hello(ctx); err != nil {
		l.client.Close()
		return nil, err
	}
	return l, nil
}

// openTLS connects, greets and, where the server offers it, negotiates TLS with
// a hello of the given size. The link's session holds the facts, whatever they are.
// The error is about the connection before STARTTLS only.
func (d *Deliverer) openTLS(ctx context.Context, host target, addr netip.Addr, r tlspolicy.Requirement, small bool) (*link, error) {
	l, err := d.dial(ctx, host, addr)
	if err != nil {
		return nil, err
	}
	if err := l.client.Hello(ctx); err != nil {
		l.client.Close()
		return nil, err
	}
	facts, err := l.client.StartTLS(ctx, smtpclient.TLSConfig(host.name, smtpclient.TLSOptions{
		SmallHello: small,
		// Old servers know RSA key exchange only. Where TLS without verification
		// will do, even that beats plaintext.
		Legacy: !r.Needs.Has(tlspolicy.Authenticate),
	}))
	if facts.Outcome == smtpclient.TLSInterrupted {
		l.client.Close()
		return nil, err
	}
	if facts.Outcome == smtpclient.TLSCompleted {
		// TLS 1.3: the server's last word on the handshake comes with this read.
		if err := l.client.Hello(ctx); err != nil && !l.client.TLS().LateRejection {
			l.client.Close()
			return nil, err
		}
	}
	d.observe(l, small)
	return l, nil
}

// observe turns what the client saw into the facts that are judged and the
// evidence that is kept.
func (d *Deliverer) observe(l *link, small bool) {
	facts := l.client.TLS()
	s := tlspolicy.Session{
		LargeHello:    facts.BigHello(),
		NoServerHello: facts.HelloUnanswered(),
		TLSBefore:     d.cfg.Peers.SeenTLS(l.host.name),
	}
	detail := mail.TLSDetail{MXHost: l.host.name, MXIP: l.addr.String(), Handshake: "none", Verification: "none", SmallHello: small}
	detail.StartTLSInjection = facts.Injected > 0
	switch facts.Outcome {
	case smtpclient.TLSNotOffered, smtpclient.TLSNone:
		s.StartTLS = tlspolicy.NotOffered
		detail.StartTLS = "not-offered"
	case smtpclient.TLSRejected:
		s.StartTLS = tlspolicy.Rejected
		detail.StartTLS = "rejected:" + strconv.Itoa(facts.Reply.Code)
	case smtpclient.TLSNoReply:
		s.StartTLS = tlspolicy.Broken
		detail.StartTLS = "rejected:" + strconv.Itoa(facts.Reply.Code)
	case smtpclient.TLSFailed, smtpclient.TLSStalled:
		s.StartTLS, s.Handshake = tlspolicy.Started, tlspolicy.Failed
		detail.StartTLS, detail.Handshake = "offered", "failed"
		if isTooOld(facts.Err) {
			s.Handshake = tlspolicy.TooOld
		}
		if facts.LateRejection {
			s.Handshake = tlspolicy.LateRejected
		}
		if facts.Err != nil {
			detail.HandshakeError = clip(facts.Err.Error(), 300)
		}
	case smtpclient.TLSCompleted:
		s.StartTLS, s.Handshake = tlspolicy.Started, tlspolicy.Completed
		detail.StartTLS, detail.Handshake = "offered", "completed"
		s.Announced = l.client.Capabilities().Has("REQUIRETLS")
		result := d.cfg.Verifier.Verify(facts.State.PeerCertificates, l.host.name)
		s.PKIX = result.Verified
		describeTLS(&detail, facts.State, result)
		d.cfg.Peers.NoteTLS(l.host.name)
	}
	l.session, l.detail = s, detail
}
