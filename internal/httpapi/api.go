package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/store"
)

// An Acceptor takes responsibility for messages. When Accept returns nil the
// message is on disk. Refusals are *accept.Error. The accept room satisfies it.
type Acceptor interface {
	Accept(ctx context.Context, s accept.Submission) (accept.Receipt, error)
}

// A Queue is what people may see and change of mail that waits. The queue room
// satisfies it. Rows that are being attempted at the moment are not changed.
type Queue interface {
	// List returns matching rows by id.
	List(ctx context.Context, q store.RowQuery) ([]store.Row, error)
	// Retry makes matching rows due now. It and the others return how many rows changed.
	Retry(ctx context.Context, q store.RowQuery) (int, error)
	// Hold keeps matching rows from being attempted until they are released.
	Hold(ctx context.Context, q store.RowQuery) (int, error)
	// Release undoes Hold.
	Release(ctx context.Context, q store.RowQuery) (int, error)
	// Cancel gives matching rows up, with a permanent failure in the log.
	Cancel(ctx context.Context, q store.RowQuery) (int, error)
}

// An Explanation says why a row is not on its way, and when it will be.
type Explanation struct {
	Row      store.Row
	State    string    // one word: held, scheduled, in-progress, …
	Next     time.Time // earliest next attempt; zero if that does not depend on time
	Sentence string    // for people
}

// NextHops lists the recipient domains with mail waiting. The store satisfies it.
type NextHops interface {
	NextHops(ctx context.Context) ([]store.NextHop, error)
}

// A Resolver reads the DNS records of sending domains.
type Resolver interface {
	// LookupTXT returns the TXT records of a name, each with its strings joined.
	// None, or no such name, is an empty list. An error means that we could
	// not find out.
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// A Prober tries how mail to a recipient domain would be secured.
type Prober interface {
	// Probe looks at the domain's MX hosts without sending mail. The result is
	// shown as JSON.
	Probe(ctx context.Context, domain string) (any, error)
}

// TLSReports are the reports to domains that ask how TLS with them went (RFC 8460). The
// tlsrpt room satisfies it.
type TLSReports interface {
	// Enabled tells whether reports are sent at all.
	Enabled() bool
	// Reports returns matching reports, latest day first.
	Reports(ctx context.Context, q store.TLSReportQuery) ([]store.TLSReport, error)
	// Preview returns the JSON of a report as it would go out; store.ErrNotFound if
	// nothing was counted.
	Preview(ctx context.Context, domain, day string) ([]byte, error)
}

// A Forecaster says what other TLS flags would do to a sending domain's mail.
type Forecaster interface {
	// Forecast looks at the domain's mail of the last days. With probe it may look at
	// recipient domains of which too little is known. The result is shown as JSON.
	Forecast(ctx context.Context, d store.Domain, days int, probe bool) (any, error)
}

// Evidence is the log of what can be proven about deliveries. The evidence room
// satisfies it.
type Evidence interface {
	// Export writes the records that the filter wants, as a file that proves itself. An
	// error after the first octet means that the file is not whole.
	Export(ctx context.Context, w io.Writer, f proof.Filter) error
	// Keys returns the verifier keys of all keys that ever signed, the current one first.
	Keys() []string
	// Rotate makes a new key current.
	Rotate() error
}

// Config is what the operator sets.
type Config struct {
	// PublicURL is the address of the API as clients see it, without a slash at its
	// end. Empty: links are made from the Host field of each request.
	PublicURL string
	// Hostname is the name of this server that SPF records must list.
	Hostname string
	// Selector is the DKIM selector of new domains; empty: sealpost.
	Selector string
	// Version is shown by the version call.
	Version string
	// SpoolDir holds large uploads while they are read; empty: os.TempDir. Its
	// files have no name, so that none is left behind.
	SpoolDir string
	// SendsPerMinute is how many sending calls a domain may make; 0: any number.
	SendsPerMinute int
	// TrustedProxies may tell the client's address in X-Forwarded-For.
	TrustedProxies []netip.Prefix
	// MaxRequests are served at a time, more get 503; 0: 2,000.
	MaxRequests int
	// FormMemory bounds the octets of form fields held by all requests together; 0: 256 MiB.
	FormMemory int64
}

// Deps are the rooms behind the door. Prober, Forecaster and Evidence may be nil: their calls
// are then answered 503. All others are required.
type Deps struct {
	Acceptor    Acceptor
	Domains     store.Domains
	Keys        store.Keys
	Credentials store.Credentials
	Messages    store.Messages
	Events      store.Events
	Overrides   store.Overrides
	Audit       store.Audit
	Queue       Queue
	NextHops    NextHops
	// CheckClientCert says whether there is a client certificate of that name that can be used.
	CheckClientCert func(name string) error
	// Explain tells about matching rows, as the queue knows it.
	Explain func(ctx context.Context, q store.RowQuery) ([]Explanation, error)
	// HashPassword returns what is stored of a submission login's password.
	HashPassword func(password string) (string, error)
	Resolver     Resolver
	Prober       Prober
	Reports      TLSReports
	Forecaster   Forecaster
	Evidence     Evidence
	Log          *slog.Logger
}

// An API answers requests. It is safe for concurrent use.
type API struct {
	cfg     Config
	deps    Deps
	guard   *guard
	windows *windows
	memory  *budget
	slots   chan struct{}
	exports chan struct{} // of evidence, which are much work for the disk
}

// New returns an API.
func New(cfg Config, deps Deps) *API {
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	if cfg.Selector == "" {
		cfg.Selector = "sealpost"
	}
	if cfg.MaxRequests == 0 {
		cfg.MaxRequests = 2000
	}
	if cfg.FormMemory == 0 {
		cfg.FormMemory = 256 << 20
	}
	return &API{
		cfg:     cfg,
		deps:    deps,
		guard:   newGuard(),
		windows: newWindows(cfg.SendsPerMinute),
		memory:  newBudget(cfg.FormMemory),
		slots:   make(chan struct{}, cfg.MaxRequests),
		exports: make(chan struct{}, maxExports),
	}
}

// Handler answers requests that carry an API key.
func (a *API) Handler() http.Handler { return a.handler(false) }

// TrustedHandler answers every request with the authority of the operator and
// asks for no key. It is for a local socket that only the operator can open.
func (a *API) TrustedHandler() http.Handler { return a.handler(true) }

// NewServer returns a server for a handler of this package with the limits that
// a public listener needs (SEC-64). The caller sets Addr or serves a listener.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       5 * time.Minute, // the largest message at 180 kB/s
		WriteTimeout:      6 * time.Minute, // counts from the end of the header, so it includes reading
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// A request is an HTTP request on its way through the stations.
type request struct {
	*http.Request
	id     string       // for the log and the client
	who    principal    // who calls
	client netip.Addr   // where from; invalid on a local socket
	domain store.Domain // of routes with {domain}; else zero
	base   string       // public address of the API, for links
	// change is what the audit log is told about what the request changes. Nil where it
	// cannot change anything that is audited.
	change *store.Change
}

// params reads the parameters of a small request: those of the body, if the
// method has one, then those of the query.
func (a *API) params(r *request) (params, error) {
	f, err := a.readForm(r.Request, smallForm)
	if err != nil {
		return params{}, err
	}
	defer f.close()
	return f.params(), nil
}

// serve takes a routed request through authentication, authority and domain to
// its handler, in this order (a bad key never learns whether a domain exists).
func (a *API) serve(w http.ResponseWriter, r *request, rt route, trusted bool) error {
	if rt.access != public {
		if err := a.authenticate(w, r, trusted); err != nil {
			return err
		}
	}
	if err := a.authorize(r, rt); err != nil {
		return err
	}
	if rt.changes() {
		r.note()
	}
	return rt.handle(a, w, r)
}

// authorize applies the row of the route table to the caller, and finds the domain.
func (a *API) authorize(r *request, rt route) error {
	if !rt.access.allows(r.who) {
		return errForbidden
	}
	if !rt.hasDomain() {
		return nil
	}
	name := r.PathValue("domain")
	d, err := a.findDomain(r.Context(), name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || !r.who.owns(d.ID) {
		if r.who.role == store.RoleSending && r.who.domainID != 0 {
			return errForbidden // whether another domain exists is not this key's business
		}
		return domainNotFound(rt, name)
	}
	r.domain = d
	return nil
}
