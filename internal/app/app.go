// Package app is the composition root: the only place that knows which room is
// implemented by what. It builds the rooms from a validated configuration, starts
// them in the order in which a message walks through them, and drains them in the
// same order, from the door inwards.
package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/certs"
	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/credential"
	"github.com/sealpost/sealpost/internal/delivery"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dsn"
	"github.com/sealpost/sealpost/internal/egress"
	"github.com/sealpost/sealpost/internal/evidence"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/httpapi"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/openapi"
	"github.com/sealpost/sealpost/internal/impact"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/lab"
	"github.com/sealpost/sealpost/internal/mtasts"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/peers"
	"github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/queue"
	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/submission"
	"github.com/sealpost/sealpost/internal/suppression"
	"github.com/sealpost/sealpost/internal/throttle"
	"github.com/sealpost/sealpost/internal/tlsrpt"
	"github.com/sealpost/sealpost/internal/webhook"
)

// Options are what a command adds to the configuration.
type Options struct {
	Version string
	Log     io.Writer // where the log goes; nil is standard error
	// Ready is called once everything listens, with the addresses that it listens on.
	Ready func(Addresses)
	// HandshakeTimeout is the limit for a TLS handshake with an MX host; 0 is the
	// real one, 30 s. It is for tests and the lab, where receivers stall on purpose.
	HandshakeTimeout time.Duration
	// PolicyPort is the HTTPS port of MTA-STS policy hosts; 0 is the real one, 443. It is
	// for tests.
	PolicyPort uint16

	lab *lab.Lab
}

// Addresses are where a running server listens. They differ from the configuration
// where that leaves the port to the system. What is not configured is nil.
type Addresses struct {
	API           net.Addr // the HTTP API; never nil
	Admin         net.Addr // health and metrics
	Submission    net.Addr // SMTP with STARTTLS; the first of several
	SubmissionTLS net.Addr // SMTP with implicit TLS; the first of several
	ACME          net.Addr // where a certification authority is answered
}

// A StartError is a problem that a person must solve before the server can run: a
// taken port, a folder that cannot be written, data of a newer version.
type StartError struct{ Err error }

// Error returns the problem in one line.
func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// ExitCode is 2: configuration or environment.
func (e *StartError) ExitCode() int { return 2 }

// An app is the built rooms.
type app struct {
	cfg  config.Config
	opts Options
	log  *slog.Logger

	store        *sqlite.Store
	tail         *follow.Tail    // the event log as its followers read it
	stub         *dnssec.Stub    // asks the network
	resolver     dnssec.Resolver // the stub, in the lab behind the lab's names
	peers        *peers.Memory
	sts          *mtasts.Cache
	reports      *tlsrpt.Room
	deliverer    *delivery.Deliverer
	queue        *queue.Queue
	evidence     *evidence.Log
	accept       *accept.Room
	impact       *impact.Analyst
	notices      *dsn.Follower
	api          *httpapi.API
	submission   *submission.Server // nil if no listener is configured
	apiCert      certificate        // nil if the API is plain HTTP
	manager      *certs.Manager     // gets certificates; nil if no door wants one
	guard        *guard
	suppressions *suppression.Room
	webhooks     *webhook.Room
	egress       *egress.Book
	uses         *keyuse.Ledger
	rooms        []room            // further rooms with work of their own, in no order
	followers    []namedFollower   // those of the rooms that follow the event log
	surfaces     []httpapi.Surface // further groups of HTTP calls
}

// A room is one that works by itself while the server runs.
type room interface {
	// Run works until ctx ends.
	Run(ctx context.Context)
}

// eventLog is what the evidence log reads and keeps its place in.
type eventLog struct {
	*follow.Tail
	store.Cursors
}

// SocketPath returns where the running server of a data folder listens for the
// commands of its operator.
func SocketPath(dataDir string) string { return filepath.Join(dataDir, "sealpost.sock") }

// build makes the rooms. On error nothing is left open.
func build(ctx context.Context, cfg config.Config, opts Options) (_ *app, err error) {
	a := &app{cfg: cfg, opts: opts, log: newLogger(cfg.Log, opts.Log), guard: &guard{}}
	var closers []func()
	defer func() {
		if err != nil {
			for _, c := range closers {
				c()
			}
		}
	}()
	if opts.lab == nil && isLab(cfg.Server.DataDir) {
		return nil, &StartError{fmt.Errorf("%s is a lab's folder: set server.data_dir to another one", cfg.Server.DataDir)}
	}
	roots, err := pkix.LoadRoots(cfg.Delivery.CAFile)
	if err != nil {
		return nil, &StartError{err}
	}
	if err := a.openStore(ctx); err != nil {
		return nil, err
	}
	closers = append(closers, func() { _ = a.store.Close() })
	if err = a.buildResolver(); err != nil {
		return nil, &StartError{err}
	}
	if a.peers, err = peers.Load(ctx, a.store, a.log); err != nil {
		return nil, err
	}
	if err := a.buildSTS(ctx, roots); err != nil {
		return nil, err
	}
	if err := a.buildReports(ctx, roots); err != nil {
		return nil, err
	}
	a.buildDelivery(roots)
	a.buildSenders()
	if a.evidence, err = evidence.Open(eventLog{a.tail, a.store}, evidence.Options{
		Dir: filepath.Join(cfg.Server.DataDir, "evidence"), Hostname: cfg.Server.Hostname, Log: a.log,
	}); err != nil {
		return nil, &StartError{err}
	}
	a.buildWebhooks(roots)
	if err := a.buildSuppressions(ctx); err != nil {
		return nil, err
	}
	a.buildNumbers()
	if err := a.buildDoors(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *app) openStore(ctx context.Context) error {
	s, err := sqlite.Open(ctx, sqlite.Options{Dir: a.cfg.Server.DataDir, Logger: a.log})
	if errors.Is(err, store.ErrNewer) {
		err = fmt.Errorf("%w: run that version, or choose another server.data_dir", err)
	}
	if err != nil {
		return &StartError{fmt.Errorf("open the data folder %s: %w", a.cfg.Server.DataDir, err)}
	}
	a.store, a.tail = s, follow.NewTail(s)
	return nil
}

// newStub returns the resolver that asks the network. try bounds the wait for one
// answer; 0 is the usual.
func newStub(cfg config.Config, try time.Duration) (*dnssec.Stub, error) {
	var servers []string
	if cfg.Delivery.Resolver != "" {
		servers = []string{cfg.Delivery.Resolver}
	}
	stub, err := dnssec.New(dnssec.Config{Servers: servers, TrustAD: cfg.Delivery.ResolverTrusted, Try: try})
	if err != nil {
		return nil, fmt.Errorf("set up the resolver: %w", err)
	}
	return stub, nil
}

// buildResolver makes the resolver, in the lab with the lab's names in front.
func (a *app) buildResolver() (err error) {
	if a.stub, err = newStub(a.cfg, 0); err != nil {
		return err
	}
	a.resolver = a.stub
	if l := a.opts.lab; l != nil {
		a.resolver, err = l.Resolver(a.stub)
	}
	return err
}

func (a *app) buildDelivery(roots *x509.CertPool) {
	out := newDialer(a.cfg.Delivery, a.guard, a.log)
	dial, dialFrom := lab.Dialer(out.dial), out.dialFrom
	if l := a.opts.lab; l != nil {
		dial, dialFrom, roots = l.Dial(dial), nil, l.Roots(roots)
	}
	a.deliverer = delivery.New(delivery.Config{
		HostName: a.cfg.Server.Hostname,
		Port:     a.cfg.Delivery.Port,
		Dial:     dial,
		DialFrom: dialFrom,
		Router:   mx.New(a.resolver, nil),
		Verifier: pkix.New(roots),
		Peers:    a.peers,
		STS:      a.sts, DANE: a.dane(), Overrides: a.store, Reporter: a.reports,
		ClientCert:    a.clientCert,
		ReportsWanted: a.reportsWanted,
		Timeouts:      smtpclient.Timeouts{Handshake: a.opts.HandshakeTimeout},
	})
	a.queue = queue.New(
		queue.Roles{Queue: a.store, Domains: a.store, Contents: a.store, Suppressions: a.store},
		a.deliverer,
		queue.Config{
			Schedule:       queue.Schedule{Waits: a.cfg.Delivery.Retry, Lifetime: a.cfg.Delivery.Lifetime},
			MaxConnections: a.cfg.Delivery.MaxConnections,
			NextHop:        throttle.Limits{Max: a.cfg.Delivery.MaxConnectionsPerNextHop},
		},
		a.log,
	)
}

func (a *app) buildDoors(ctx context.Context) error {
	spool := filepath.Join(a.cfg.Server.DataDir, "tmp")
	// The lock on the folder is ours: what is in there belongs to a process that was
	// killed in the moment between making a file and taking its name away.
	if err := os.RemoveAll(spool); err != nil {
		return &StartError{fmt.Errorf("empty the spool folder: %w", err)}
	}
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return &StartError{fmt.Errorf("create the spool folder: %w", err)}
	}
	tracker, err := a.buildTracking(ctx)
	if err != nil {
		return err
	}
	a.accept = accept.New(accept.Config{
		Tracker:         tracker,
		Hostname:        a.cfg.Server.Hostname,
		AllowUnverified: a.cfg.Accept.AllowUnverifiedDomains,
		SpoolDir:        spool,
		Lifetime:        a.cfg.Delivery.Lifetime,
		Sources:         a.egress,
		Suppressions:    a.store,
		Templates:       a.store,
		Lists:           a.store,
		Horizon:         a.cfg.Accept.ScheduleHorizon,
	}, a.store, a.store, a.queue, a.log)
	a.impact = impact.New(impact.Config{Events: a.store, Overrides: a.store, Prober: scout{a.deliverer}})
	a.notices = dsn.New(dsn.Config{Hostname: a.cfg.Server.Hostname}, dsn.Roles{
		Journal: a.tail, Events: a.store, Messages: a.store, Cursors: a.store, Door: a.accept,
	}, a.log)
	verifier, err := credential.NewVerifier(a.store)
	if err != nil {
		return fmt.Errorf("set up logins: %w", err)
	}
	a.buildStored()
	a.api = httpapi.New(httpapi.Config{
		Config:  door.Config{PublicURL: a.cfg.HTTP.PublicURL, SpoolDir: spool},
		Version: a.opts.Version, Horizon: a.cfg.Accept.ScheduleHorizon,
	}, httpapi.Deps{
		Acceptor: a.accept,
		Domains:  a.store, Keys: a.store, Accounts: a.store, Uses: a.uses, Sends: a.uses, Messages: a.store, Events: a.store,
		Overrides: a.store, Audit: a.store, CheckClientCert: a.checkClientCert,
		Queue: a.queue, NextHops: a.store, Explain: a.explain,
		Prober: prober{a.deliverer}, Reports: a.reports, Forecaster: forecaster{a.impact}, Evidence: a.evidence,
		Log: a.log,
	}, append(a.surfaces, openapi.Surface{})...)
	if a.apiCert, err = a.certificateOf("http", a.cfg.HTTP.TLS, a.cfg.HTTP.CertFile, a.cfg.HTTP.KeyFile); err != nil {
		return err
	}
	sub := a.cfg.Submission
	if len(sub.Listen)+len(sub.ListenTLS) == 0 {
		return nil
	}
	cert, err := a.certificateOf("submission", sub.TLS, sub.CertFile, sub.KeyFile)
	if err != nil {
		return err
	}
	a.submission = submission.New(submission.Config{
		Hostname: a.cfg.Server.Hostname, Trusted: sub.TrustedNetworks, Certificate: cert, Certified: a.certified(sub.TLS),
		AuthWithoutTLS: sub.AuthWithoutTLS, Proxies: sub.ProxyNetworks, MaxSessions: maxSessions(),
	}, a.accept, verifier, a.log)
	return nil
}

// Offline opens the data folder and returns the API with the operator's authority,
// for commands that run while no server does. Nothing is delivered. The folder is
// locked until the closer is closed.
func Offline(ctx context.Context, cfg config.Config) (http.Handler, io.Closer, error) {
	cfg.Log.Level = config.LogError
	a, err := build(ctx, cfg, Options{})
	if err != nil {
		return nil, nil, err
	}
	return a.api.TrustedHandler(), closeFunc(func() error {
		a.evidence.Close()
		return errors.Join(a.queue.Shutdown(context.Background()), a.sts.Close(), a.store.Close())
	}), nil
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

// explain translates between two rooms that must not know each other.
func (a *app) explain(ctx context.Context, q store.RowQuery) ([]httpapi.Explanation, error) {
	list, err := a.queue.Explain(ctx, q)
	out := make([]httpapi.Explanation, 0, len(list))
	for _, e := range list {
		out = append(out, httpapi.Explanation{Row: e.Row, State: string(e.State), Next: e.Next, Sentence: e.Sentence})
	}
	return out, err
}

// prober lets the API check recipient domains.
type prober struct{ d *delivery.Deliverer }

func (p prober) Probe(ctx context.Context, domain string) (any, error) {
	return p.d.Check(ctx, domain), nil
}

// guard holds the policy on addresses once our own listeners are known.
type guard struct{ policy netguard.Policy }
