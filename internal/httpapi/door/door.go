package door

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// Config is what the operator sets for all calls alike.
type Config struct {
	// PublicURL is the address of the API as clients see it. Empty: links are made
	// from the Host field of each request.
	PublicURL string
	// SpoolDir holds large uploads while they are read; empty: os.TempDir. Its
	// files have no name, so that none is left behind.
	SpoolDir string
	// TrustedProxies may tell the client's address in X-Forwarded-For.
	TrustedProxies []netip.Prefix
	// MaxRequests are served at a time, more get 503; 0: 2,000.
	MaxRequests int
	// FormMemory bounds the octets of form fields held by all requests together; 0: 256 MiB.
	FormMemory int64
}

// Deps are what the door asks about callers and domains. Accounts and Uses may be nil: there are
// no sub-accounts then, and nobody is told.
type Deps struct {
	Keys     store.Keys
	Domains  store.Domains
	Accounts store.Accounts
	Uses     Uses
	Log      *slog.Logger
}

// Uses is told whenever a key is used. The keyuse room satisfies it.
type Uses interface {
	Used(k *store.Key, now time.Time)
}

// A Door takes requests through the stations that all of them share, and then to the
// handler of their route. It is safe for concurrent use.
type Door struct {
	cfg    Config
	deps   Deps
	routes []Route
	guard  *guard
	memory *budget
	slots  chan struct{}
}

// New returns a door to the routes. Two routes of the same method and pattern are a
// mistake of the program, and panic.
func New(cfg Config, deps Deps, routes []Route) *Door {
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	if cfg.MaxRequests == 0 {
		cfg.MaxRequests = 2000
	}
	if cfg.FormMemory == 0 {
		cfg.FormMemory = 256 << 20
	}
	return &Door{
		cfg:    cfg,
		deps:   deps,
		routes: routes,
		guard:  newGuard(),
		memory: newBudget(cfg.FormMemory),
		slots:  make(chan struct{}, cfg.MaxRequests),
	}
}

// Handler answers requests that carry an API key.
func (d *Door) Handler() http.Handler { return d.handler(false) }

// TrustedHandler answers every request with the authority of the operator and
// asks for no key. It is for a local socket that only the operator can open.
func (d *Door) TrustedHandler() http.Handler { return d.handler(true) }

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

// A Request is an HTTP request on its way through the stations.
type Request struct {
	*http.Request
	ID     string       // for the log and the client
	Who    Principal    // who calls
	Client netip.Addr   // where from; invalid on a local socket
	Domain store.Domain // of routes with {domain}; else zero
	Base   string       // public address of the API without a slash at its end, for links
	// Change is what the audit log is told about what the request changes. Nil where it
	// cannot change anything that is audited.
	Change *store.Change

	door *Door
}

// pause is how long slow work of a request may take beyond reading it.
const pause = 30 * time.Second

// Bounded returns a context for work of the request that must not go on for long: 30
// seconds.
func (r *Request) Bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), pause)
}
