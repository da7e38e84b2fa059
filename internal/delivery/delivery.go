// Package delivery makes one attempt to hand one message to the mail hosts of
// one recipient domain, and reports what came of it.
//
// An attempt resolves the domain's MX hosts, works out what each of them must
// give before the message may go to it, connects, negotiates TLS, has the
// session judged and, if the verdict allows, sends. What must hold and what a
// session is worth is decided by tlspolicy; how SMTP is spoken is smtpclient's
// business; when to try again is the queue's. Here are the order in which hosts are
// tried, the fallbacks each in their place, the pool of open connections, and
// the evidence of every connection made.
//
// An attempt that fails is a report, not an error. Whatever is not understood
// defers the message.
package delivery

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A Router finds the mail hosts of a domain and their addresses. [mx.Resolver]
// is one.
type Router interface {
	Resolve(ctx context.Context, domain string) mx.Result
	Addresses(ctx context.Context, host string) mx.AddressResult
}

// Peers remembers what MX hosts offered in the past, so that one that stops is
// noticed. Implementations answer from memory and are safe for concurrent use.
type Peers interface {
	// SeenTLS reports whether the host completed a TLS handshake with us before.
	SeenTLS(host string) bool
	// NoteTLS records that it did now.
	NoteTLS(host string)
	// NoteDowngrade records that it did before and does not offer STARTTLS now.
	NoteDowngrade(host string)
}

// Config is what a [Deliverer] is made of.
type Config struct {
	HostName string // our name in EHLO
	Port     int    // SMTP port of MX hosts; 0 is 25
	// Dial opens a connection to an IP address and port, and refuses addresses that
	// must not be connected to.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// DialFrom is Dial for messages that may leave from certain addresses of ours only: from has at
	// least one, and all are of the family of the address. Nil: Dial is used for them too.
	DialFrom func(ctx context.Context, from []netip.Addr, network, address string) (net.Conn, error)
	Router   Router
	Verifier *pkix.Verifier
	Peers    Peers
	// What recipients publish, exceptions from it, and who is told what came of it.
	// Each may be nil: no policy is ever found, no exception is made, nobody is told.
	STS       STS
	DANE      DANE
	Overrides Overrides
	Reporter  Reporter
	// ReportsWanted says where a domain wants TLS reports, for Check. Nil is not to ask.
	ReportsWanted func(ctx context.Context, domain string) (rua []string, err error)
	// ClientCert returns the client certificate of that name, for the overrides that
	// ask for one. Nil is as if there were none of any name.
	ClientCert func(name string) (*tls.Certificate, error)

	Timeouts       smtpclient.Timeouts // zero fields take their defaults
	ConnectTimeout time.Duration       // TCP connect; 0 is 30 s
	// IdleLimit is how long an open connection waits for the next message; 0 is 10 s,
	// negative keeps none.
	IdleLimit time.Duration
	// PerConnection is how many messages one connection carries at most; 0 is 100.
	PerConnection int
}

// A Deliverer makes attempts. It is safe for concurrent use.
type Deliverer struct {
	cfg    Config
	pool   *pool
	hellos *memo // addresses that need a small ClientHello, for a day
	absent *memo // domains that were said not to exist
}

const (
	defaultIdleLimit  = 10 * time.Second
	defaultPerConn    = 100
	defaultConnect    = 30 * time.Second
	attemptTime       = 30 * time.Minute // one attempt, besides the time for its octets
	slowestRate       = 1024             // octets per second that a large message may take
	smallHelloMemory  = 24 * time.Hour
	absenceMemory     = 24 * time.Hour
	absenceConfirmed  = 5 * time.Minute // apart, two denials are believed (SEC-44)
	abandonedQuitTime = 2 * time.Second // for QUIT on a session that we leave
	memoSize          = 10_000
	queryBudget       = 80 // questions to the resolver in one attempt (SEC-46): 10 hosts, addresses and TLSA
)

// New returns a Deliverer. Close ends its idle connections.
func New(cfg Config) *Deliverer {
	if cfg.Port == 0 {
		cfg.Port = 25
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnect
	}
	if cfg.IdleLimit == 0 {
		cfg.IdleLimit = defaultIdleLimit
	}
	if cfg.PerConnection == 0 {
		cfg.PerConnection = defaultPerConn
	}
	return &Deliverer{
		cfg:    cfg,
		pool:   newPool(cfg.IdleLimit, cfg.PerConnection),
		hellos: newMemo(smallHelloMemory, memoSize),
		absent: newMemo(absenceMemory, memoSize),
	}
}

// Close says goodbye on idle connections. Attempts that are under way finish.
func (d *Deliverer) Close() { d.pool.close() }

// Attempt tries to deliver the job to its next hop. When ctx ends, what was not
// decided is reported as abandoned; a message whose end was already sent is waited
// for, because cutting there would leave its outcome unknown.
func (d *Deliverer) Attempt(ctx context.Context, j mail.Job) mail.Report {
	a := &attempt{
		d: d, job: j, parent: ctx,
		to: recipient{
			domain: j.NextHop,
			// A floor is for what customers send, not for reports about broken TLS.
			flags:    tlspolicy.Resolve(j.Envelope.TLS, j.DomainTLS, j.Settings.Floor && !j.Envelope.Report),
			marking:  marking(j.Envelope, j.Settings),
			settings: j.Settings,
		},
		report: mail.Report{
			Results: make([]mail.RecipientResult, len(j.Recipients)),
			Started: time.Now(),
		},
	}
	a.open = make([]int, len(j.Recipients))
	for i := range a.open {
		a.open[i] = i
	}
	budget := attemptTime + time.Duration(j.Size/slowestRate)*time.Second
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	a.run(dnssec.WithBudget(ctx, queryBudget))
	a.report.Finished = time.Now()
	return a.report
}
