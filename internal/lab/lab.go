// Package lab is a handful of receivers on loopback, each with another TLS
// behaviour, so that a newcomer can watch what the two flags do without the
// Internet.
//
// Mail to anyone@<behaviour>.lab.test goes to the receiver of that behaviour. The
// names are answered inside the process and exist nowhere else; all other domains
// go the real way. The lab is switched on by its own command and by nothing else: no
// setting, no variable. Its certificate authority is made at every start, is
// trusted by the lab's process only, and is gone with it.
//
// [Table] sends all four flag pairs to every receiver and compares what the event log
// says with what the receiver saw.
package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// Suffix is the domain that all receivers are in.
const Suffix = "lab.test"

// SendingDomain is the domain that the lab sends from.
const SendingDomain = "sender." + Suffix

// HandshakeTime is the lab's limit for a TLS handshake. It is shorter than the real
// one, so that nobody has to watch a stall for half a minute.
const HandshakeTime = 2 * time.Second

// A Receiver is one MX host of the lab.
type Receiver struct {
	Name  string // its behaviour in a word, the first label of its domain
	About string // the same in a sentence

	cert      smtptest.CertKind
	behaviour smtptest.Behaviour
	server    *smtptest.Server
	listener  net.Listener
	addr      netip.Addr // the address its name resolves to
}

// Domain returns the domain whose mail the receiver takes.
func (r *Receiver) Domain() string { return r.Name + "." + Suffix }

func (r *Receiver) host() string { return "mx." + r.Domain() }

// receivers are the behaviours, the good one first.
func receivers() []*Receiver {
	return []*Receiver{
		{Name: "valid", About: "offers STARTTLS with a certificate that verifies"},
		{Name: "self-signed", About: "its certificate is signed by itself", cert: smtptest.SelfSigned},
		{Name: "wrong-name", About: "its certificate is for another name", cert: smtptest.WrongName},
		{Name: "expired", About: "its certificate has expired", cert: smtptest.Expired},
		{Name: "unknown-ca", About: "its certificate comes from an authority that nobody trusts", cert: smtptest.UnknownCA},
		{Name: "no-starttls", About: "does not offer STARTTLS", behaviour: smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}},
		{Name: "starttls-refused", About: "offers STARTTLS and answers it with 454", behaviour: smtptest.Behaviour{STARTTLS: smtptest.TLSReject}},
		{Name: "handshake-broken", About: "answers the handshake with garbage", behaviour: smtptest.Behaviour{STARTTLS: smtptest.TLSGarbage}},
		{Name: "stalled", About: "falls silent in the handshake", behaviour: smtptest.Behaviour{STARTTLS: smtptest.TLSStall}},
		{Name: "tls-only", About: "takes no plaintext, and its certificate is self-signed", cert: smtptest.SelfSigned, behaviour: smtptest.Behaviour{RequireTLS: true}},
	}
}

// A Lab is the running receivers. It is safe for concurrent use.
type Lab struct {
	receivers []*Receiver
	root      *x509.Certificate
	byAddr    map[netip.Addr]string // where an address of the lab really listens
	records   []dnssec.StaticRecord
}

// Start starts the receivers on free loopback ports.
func Start() (*Lab, error) {
	pki, err := smtptest.MakePKI()
	if err != nil {
		return nil, fmt.Errorf("make the lab's certificates: %w", err)
	}
	l := &Lab{root: pki.Root, byAddr: make(map[netip.Addr]string)}
	for i, r := range receivers() {
		r.addr = netip.AddrFrom4([4]byte{127, 0, 84, byte(i + 1)})
		if r.behaviour.Certificate, err = issue(pki, r); err != nil {
			l.Close()
			return nil, err
		}
		r.behaviour.Host = r.host()
		if r.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			l.Close()
			return nil, fmt.Errorf("listen for the lab's receiver %s: %w", r.Name, err)
		}
		r.server = smtptest.New(r.behaviour)
		r.server.Serve(r.listener)
		l.receivers = append(l.receivers, r)
		l.byAddr[r.addr] = r.listener.Addr().String()
		l.records = append(l.records,
			dnssec.StaticRecord{Name: r.Domain(), Type: dnssec.MX, Record: dnssec.Record{Preference: 10, Host: r.host()}},
			dnssec.StaticRecord{Name: r.host(), Type: dnssec.A, Record: dnssec.Record{Addr: r.addr}},
		)
	}
	return l, nil
}

func issue(pki *smtptest.PKI, r *Receiver) (tls.Certificate, error) {
	c, err := pki.Issue(r.cert, r.host())
	if err != nil {
		err = fmt.Errorf("issue the certificate of the lab's receiver %s: %w", r.Name, err)
	}
	return c, err
}

// Close stops the receivers.
func (l *Lab) Close() {
	for _, r := range l.receivers {
		r.server.Close()
	}
}

// Receivers returns the receivers, the good one first.
func (l *Lab) Receivers() []*Receiver { return l.receivers }

// Resolver returns a resolver that knows the lab's names and asks next for all
// others.
func (l *Lab) Resolver(next dnssec.Resolver) (dnssec.Resolver, error) {
	return dnssec.NewOverlay(next, Suffix, false, l.records)
}

// Roots returns a copy of the pool that trusts the lab's authority as well.
func (l *Lab) Roots(pool *x509.CertPool) *x509.CertPool {
	pool = pool.Clone()
	pool.AddCert(l.root)
	return pool
}

// A Dialer opens a connection to an address and port.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Dial returns a dialer that reaches the lab's addresses at their real ports, and
// everything else through next. The lab's addresses mean nothing to any other
// dialer: they are loopback addresses where nothing listens.
func (l *Lab) Dial(next Dialer) Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if ap, err := netip.ParseAddrPort(address); err == nil {
			if real, ok := l.byAddr[ap.Addr()]; ok {
				var d net.Dialer
				return d.DialContext(ctx, "tcp4", real)
			}
		}
		return next(ctx, network, address)
	}
}

// An Observation is what one receiver has seen since it was started.
type Observation struct {
	Receiver      string `json:"receiver"`
	Connections   int    `json:"connections"`
	PlaintextMail int    `json:"plaintext-mail"` // connections on which MAIL came in plaintext
	Accepted      int    `json:"accepted"`       // messages
	AcceptedTLS   int    `json:"accepted-tls"`
	Asked         string `json:"asked,omitempty"`
	Found         *Found `json:"found,omitempty"` // the message that was asked for
}

// Found is how one message arrived.
type Found struct {
	TLS     bool   `json:"tls"`
	Version string `json:"version,omitempty"`
	SNI     string `json:"sni,omitempty"`
}

// Observe returns what the receivers saw, and how the message with the given
// Message-ID (without angle brackets) arrived where it did.
func (l *Lab) Observe(messageID string) []Observation {
	list := make([]Observation, 0, len(l.receivers))
	for _, r := range l.receivers {
		o := Observation{Receiver: r.Name, Asked: messageID}
		connections := r.server.Connections()
		o.Connections = len(connections)
		for _, c := range connections {
			if c.PlaintextMail() {
				o.PlaintextMail++
			}
		}
		for _, m := range r.server.Accepted() {
			o.Accepted++
			if m.TLS {
				o.AcceptedTLS++
			}
			if messageID != "" && hasMessageID(m.Content, messageID) {
				o.Found = found(connections, m)
			}
		}
		list = append(list, o)
	}
	return list
}

func found(connections []smtptest.Connection, m smtptest.Message) *Found {
	f := &Found{TLS: m.TLS}
	for _, c := range connections {
		if c.N == m.Conn && m.TLS {
			f.Version, f.SNI = tls.VersionName(c.Version), c.SNI
		}
	}
	return f
}

// hasMessageID looks for the Message-ID field in the header section.
func hasMessageID(content []byte, id string) bool {
	header, _, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(header), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Message-Id") && strings.Contains(value, "<"+id+">") {
			return true
		}
	}
	return false
}
