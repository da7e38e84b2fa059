package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A link is an open connection to a host, with what it achieved.
type link struct {
	client *smtpclient.Client
	host   string
	addr   netip.Addr
	local  string // our address
	bound  bool   // it was opened for messages that may leave from certain addresses only
	// session are the facts the connection was judged by. For a plaintext
	// connection these may be the facts of the one abandoned before it.
	session     tlspolicy.Session
	plain       bool
	seen        time.Time           // when session was observed
	certs       []*x509.Certificate // that the host presented
	certificate string              // name of the one that we would have shown
	judged      judged
	counted     bool // the reporter was told of the session
	detail      mail.TLSDetail
	messages    int       // transactions so far
	opened      time.Time // when we began to connect
	expiry      *time.Timer
}

// judged is how a connection's chain compares with the TLSA records of a host. It
// holds for these records and names only, and where DANE-TA matched until the chain
// ends.
type judged struct {
	records dane.ID
	names   string
	match   dane.Match
}

// judgedFor compares the chain with the TLSA records that the host has now and the
// names that count for this recipient, which need not be those that the connection
// was opened for.
func (l *link) judgedFor(host *target, names []string) tlspolicy.Session {
	if host.facts.TLSA != tlspolicy.TLSAUsable || len(l.certs) == 0 {
		l.judged = judged{}
	} else {
		now, joined := time.Now(), strings.Join(names, " ")
		known := l.judged.records == host.dane.ID && l.judged.names == joined
		if until := l.judged.match.Until; !known || !until.IsZero() && now.After(until) {
			l.judged = judged{host.dane.ID, joined, host.dane.Match(l.certs, names, now)}
		}
	}
	l.session.TLSA = l.judged.match.TLSA
	return l.session
}

// serves reports whether the decision for the host, given the facts of this
// connection, would have led to a session like it.
func (l *link) serves(host *target, names []string) bool {
	v := tlspolicy.Judge(host.req, l.judgedFor(host, names))
	if l.plain {
		return v.Action == tlspolicy.Plaintext || v.Action == tlspolicy.PlaintextFresh
	}
	return v.Action == tlspolicy.Deliver && l.certificate == host.clientCert
}

// quit says goodbye and closes, in bounded time whatever the server does.
func (l *link) quit() {
	_ = l.client.Quit(context.Background(), abandonedQuitTime) // nothing hangs on the reply
}

// dial connects to an address of the host. The greeting is not read yet.
func (d *Deliverer) dial(ctx context.Context, c candidate) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ConnectTimeout)
	defer cancel()
	opened := time.Now()
	dial, address := d.cfg.Dial, netip.AddrPortFrom(c.addr, uint16(d.cfg.Port)).String()
	if len(c.from) > 0 && d.cfg.DialFrom != nil {
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.cfg.DialFrom(ctx, c.from, network, address)
		}
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := &link{
		client: smtpclient.New(conn, smtpclient.Config{Name: d.cfg.HostName, Timeouts: d.cfg.Timeouts}),
		host:   c.host.name, addr: c.addr, opened: opened, bound: len(c.from) > 0,
	}
	if a, _, err := net.SplitHostPort(conn.LocalAddr().String()); err == nil {
		l.local = a
	}
	return l, nil
}

// openPlain connects for plaintext on a fresh connection, on the strength of
// what was seen on another one.
func (d *Deliverer) openPlain(ctx context.Context, c candidate, why tlspolicy.Session, seen time.Time) (*link, error) {
	l, err := d.dial(ctx, c)
	if err != nil {
		return nil, err
	}
	l.session, l.plain, l.seen = why, true, seen
	if err := l.client.Hello(ctx); err != nil {
		l.client.Close()
		return nil, err
	}
	return l, nil
}

// openTLS connects, greets and, where the server offers it, negotiates TLS with
// a hello of the given size. The link's session holds the facts, whatever they are.
// The error is about the connection before STARTTLS only.
func (d *Deliverer) openTLS(ctx context.Context, c candidate, names []string, small bool) (*link, error) {
	l, err := d.dial(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := l.client.Hello(ctx); err != nil {
		l.client.Close()
		return nil, err
	}
	facts, err := l.client.StartTLS(ctx, smtpclient.TLSConfig(c.host.sni(), d.tlsOptions(l, c, names, small)))
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
	d.observe(l, c.host, names, small)
	return l, nil
}

// tlsOptions chooses what is offered in the handshake.
func (d *Deliverer) tlsOptions(l *link, c candidate, names []string, small bool) smtpclient.TLSOptions {
	o := smtpclient.TLSOptions{
		SmallHello: small,
		// Old servers know RSA key exchange only. Where TLS without verification
		// will do, even that beats plaintext.
		Legacy:     !c.req.Needs.Has(tlspolicy.Authenticate),
		MinVersion: uint16(c.req.MinTLS),
	}
	if l.certificate = c.host.clientCert; l.certificate != "" && d.cfg.ClientCert != nil {
		o.ClientCertificate = func(cs tls.ConnectionState) (*tls.Certificate, error) {
			// Who we are is told to a peer that we know, and to nobody else.
			known := d.cfg.Verifier.Verify(cs.PeerCertificates, c.host.name).Verified ||
				c.host.dane.Match(cs.PeerCertificates, names, time.Now()).TLSA != tlspolicy.NoMatch
			if !known {
				return nil, nil
			}
			return d.cfg.ClientCert(l.certificate)
		}
	}
	return o
}

// observe turns what the client saw into the facts that are judged and the
// evidence that is kept.
func (d *Deliverer) observe(l *link, host *target, names []string, small bool) {
	facts := l.client.TLS()
	s := tlspolicy.Session{
		LargeHello:    facts.BigHello(),
		NoServerHello: facts.HelloUnanswered(),
		TLSBefore:     d.cfg.Peers.SeenTLS(l.host),
	}
	detail := mail.TLSDetail{MXHost: l.host, MXIP: l.addr.String(), Handshake: "none", Verification: "none", SmallHello: small}
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
		s.Version = tlspolicy.Version(facts.State.Version)
		s.RSAKeyExchange = strings.HasPrefix(tls.CipherSuiteName(facts.State.CipherSuite), "TLS_RSA_")
		result := d.cfg.Verifier.Verify(facts.State.PeerCertificates, l.host)
		s.PKIX, s.Trouble = result.Verified, trouble(result)
		l.certs = facts.State.PeerCertificates
		describeTLS(&detail, facts.State, result)
		d.cfg.Peers.NoteTLS(l.host)
	}
	l.session, l.detail, l.seen = s, detail, time.Now()
	l.judgedFor(host, names)
	l.describeMatch(host)
}

// trouble is the one problem that a report names: the name goes first, because it
// is what a wrong MX record or a wrong certificate shows in.
func trouble(r pkix.Result) tlspolicy.Trouble {
	switch {
	case r.Verified:
		return tlspolicy.NoTrouble
	case slices.Contains(r.Errors, pkix.NameMismatch):
		return tlspolicy.WrongName
	case slices.Contains(r.Errors, pkix.Expired):
		return tlspolicy.Expired
	}
	return tlspolicy.Untrusted
}
