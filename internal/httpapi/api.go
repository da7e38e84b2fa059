package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/httpapi/door"
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
	// Reschedule makes matching rows due at another time.
	Reschedule(ctx context.Context, q store.RowQuery, due time.Time) (int, error)
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

// Sends counts the sending calls of keys. The keyuse room satisfies it.
type Sends interface {
	// Send counts one, if the key's limits allow it; else it returns how long that will not be so.
	Send(k *store.Key, now time.Time) (wait time.Duration, ok bool)
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
	door.Config
	// Version is shown by the version call.
	Version string
	// Horizon is how far waiting mail may be put off; 0: 3 days.
	Horizon time.Duration
	// SendsPerMinute is how many sending calls a domain may make; 0: any number.
	SendsPerMinute int
}

// Deps are the rooms behind the door. Prober, Forecaster and Evidence may be nil: their calls
// are then answered 503. All others are required.
type Deps struct {
	Acceptor  Acceptor
	Domains   store.Domains
	Keys      store.Keys
	Accounts  store.Accounts
	Messages  store.Messages
	Events    store.Events
	Overrides store.Overrides
	Audit     store.Audit
	Queue     Queue
	NextHops  NextHops
	// CheckClientCert says whether there is a client certificate of that name that can be used.
	CheckClientCert func(name string) error
	// Explain tells about matching rows, as the queue knows it.
	Explain    func(ctx context.Context, q store.RowQuery) ([]Explanation, error)
	Prober     Prober
	Reports    TLSReports
	Forecaster Forecaster
	Evidence   Evidence
	// Uses is told when keys are used, and Sends counts their sending calls. Both may be nil: nothing
	// is counted then.
	Uses  door.Uses
	Sends Sends
	Log   *slog.Logger
}

// A Surface is a group of calls with a package of its own.
type Surface interface {
	// Routes lists the calls; two surfaces must not have one in common.
	Routes() []door.Route
}

// An API answers requests. It is safe for concurrent use.
type API struct {
	cfg     Config
	deps    Deps
	door    *door.Door
	table   []door.Route
	windows *windows
	exports chan struct{} // of evidence, which are much work for the disk
}

// New returns an API of its own calls and those of the surfaces.
func New(cfg Config, deps Deps, surfaces ...Surface) *API {
	if cfg.Horizon == 0 {
		cfg.Horizon = 72 * time.Hour
	}
	a := &API{
		cfg:     cfg,
		deps:    deps,
		windows: newWindows(cfg.SendsPerMinute),
		exports: make(chan struct{}, maxExports),
	}
	a.table = a.routes()
	for _, s := range surfaces {
		a.table = append(a.table, s.Routes()...)
	}
	a.door = door.New(cfg.Config, door.Deps{Keys: deps.Keys, Domains: deps.Domains, Accounts: deps.Accounts, Uses: deps.Uses, Log: deps.Log}, a.table)
	return a
}

// Table lists every call that is answered, those of the surfaces too.
func (a *API) Table() []door.Route { return slices.Clone(a.table) }

// Handler answers requests that carry an API key.
func (a *API) Handler() http.Handler { return a.door.Handler() }

// TrustedHandler answers every request with the authority of the operator and
// asks for no key. It is for a local socket that only the operator can open.
func (a *API) TrustedHandler() http.Handler { return a.door.TrustedHandler() }
