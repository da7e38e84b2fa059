package tlsrpt

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

const (
	every     = time.Minute
	together  = 500  // counts in one transaction, so that it is short
	planAtMax = 1000 // reports planned in one transaction
	dueAtMax  = 200  // reports fetched at a time
	parallel  = 8    // reports being sent at a time
)

// A Resolver looks up the record that asks for reports.
type Resolver interface {
	// LookupTXT returns the TXT records of a name, each with its strings joined. None, or
	// no such name, is an empty list. An error means that we could not find out.
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// An Acceptor is the front door. The accept room satisfies it.
type Acceptor interface {
	Accept(ctx context.Context, s accept.Submission) (accept.Receipt, error)
	// SendingDomain returns the registered domain that owns an address, an error if
	// there is none or it may not send.
	SendingDomain(ctx context.Context, a mail.Address) (string, error)
}

// Config is what the operator sets.
type Config struct {
	// From is the address that reports come from. Zero: nothing is counted or sent.
	From         mail.Address
	Organization string // who reports; empty: the domain of From
	Contact      string // whom to ask about a report; empty: From
	Limits       Limits // of what is counted on a day; the zero value stands for sensible ones
}

// Deps are the rooms that this one needs. All are required, but Roots.
type Deps struct {
	Store    store.TLSReports
	Resolver Resolver
	// Dial connects to the host of an https destination, which a stranger has chosen: it
	// must refuse addresses inside. The address is host:port with a name or an IP address.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Roots *x509.CertPool // for https; nil: those of the system
	Log   *slog.Logger
}

// A Room counts TLS sessions and reports them. It is safe for concurrent use.
type Room struct {
	cfg    Config
	deps   Deps
	count  *counter
	client *http.Client
	door   Acceptor // from Run

	writing sync.Mutex // one flush at a time
	settled int64      // the last day whose reports are planned

	// unwritten holds the reports, by reportKey, whose state after an attempt could not be
	// stored. They stay due in the store, so dueAtMax bounds them.
	unwritten sync.Map

	sent, givenUp, refused, unasked atomic.Int64
}

// Stats are numbers since start, and of now.
type Stats struct {
	Sessions       int64 // counted
	DroppedDomains int64 // not counted: a limit on policy domains, policies or memory was reached
	DroppedDetails int64 // failures counted, but without details: a limit was reached
	DroppedLate    int64 // not counted: their day was closed
	Octets         int64 // of memory for what is counted, estimated

	Sent    int64 // reports that were taken by at least one destination
	GivenUp int64 // reports that nobody took within a day
	Refused int64 // reports not sent because the domain's record cannot be used
	Unasked int64 // policy domains and days for which no report was wanted
}

// Open returns a room that goes on where the store left off. Run it, and Close it once
// nobody observes any more.
func Open(ctx context.Context, cfg Config, deps Deps) (*Room, error) {
	if cfg.Organization == "" {
		cfg.Organization = cfg.From.Domain
	}
	if cfg.Contact == "" {
		cfg.Contact = cfg.From.String()
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = defaultLimits()
	}
	r := &Room{cfg: cfg, deps: deps, count: newCounter(cfg.Limits)}
	r.client = r.newClient()
	if !r.Enabled() {
		return r, nil
	}
	now := time.Now()
	r.count.close(lastClosed(now))
	for n := lastClosed(now) + 1; n <= dayNumber(now); n++ {
		counts, err := deps.Store.TLSCounts(ctx, dayName(n), "")
		if err != nil {
			return nil, fmt.Errorf("load what was counted for TLS reports: %w", err)
		}
		r.count.restore(n, counts)
	}
	return r, nil
}

// Enabled tells whether reports are sent at all.
func (r *Room) Enabled() bool { return !r.cfg.From.IsZero() }

// Observe counts a TLS session under one policy. It takes well under a microsecond and
// never waits for a disk. Sessions that carry reports must not be observed.
func (r *Room) Observe(o tlsresult.Observation) {
	if r.Enabled() {
		r.count.observe(o)
	}
}

// Stats returns a snapshot.
func (r *Room) Stats() Stats {
	c := r.count.snapshot()
	return Stats{
		Sessions: c.Sessions, DroppedDomains: c.DroppedDomains, DroppedDetails: c.DroppedDetails, DroppedLate: c.DroppedLate, Octets: c.Octets,
		Sent: r.sent.Load(), GivenUp: r.givenUp.Load(), Refused: r.refused.Load(), Unasked: r.unasked.Load(),
	}
}

// Run writes counts and sends reports, those by mail through the given front door, until
// ctx ends. What is being sent then is cut off and sent again after the next start.
// The room is run once.
func (r *Room) Run(ctx context.Context, door Acceptor) {
	if !r.Enabled() {
		r.deps.Log.Info("TLS reports are off: tlsrpt.from is not set")
		return
	}
	r.door = door
	if _, err := door.SendingDomain(ctx, r.cfg.From); err != nil && ctx.Err() == nil {
		r.deps.Log.Warn("TLS reports cannot be mailed: tlsrpt.from is not an address of a domain that may send here; add it with sealpost domain add",
			"from", r.cfg.From.String(), "error", err)
	}
	var loops sync.WaitGroup
	loops.Go(func() { r.repeat(ctx, r.keep) })
	loops.Go(func() { r.repeat(ctx, r.sendDue) })
	loops.Wait()
	r.client.CloseIdleConnections()
}

// repeat calls f now and every minute until ctx ends.
func (r *Room) repeat(ctx context.Context, f func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		f(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close writes the rest. Observe does nothing of use afterwards.
func (r *Room) Close(ctx context.Context) error {
	if !r.Enabled() {
		return nil
	}
	return r.flush(ctx)
}

// keep writes what was counted, ends days and plans their reports.
func (r *Room) keep(ctx context.Context) {
	now := time.Now()
	closed := lastClosed(now)
	r.count.close(closed)
	if err := r.flush(ctx); err != nil {
		if ctx.Err() == nil {
			r.deps.Log.Warn("what was counted for TLS reports was not written; trying again", "error", err)
		}
		return
	}
	r.count.forget()
	if closed == r.settled {
		return
	}
	if err := r.endDays(ctx, closed, now); err != nil {
		if ctx.Err() == nil {
			r.deps.Log.Warn("the TLS reports of a day that is over were not planned; trying again", "error", err)
		}
		return
	}
	r.settled = closed
}

// endDays plans the reports of all days up to a closed one, and forgets old ones.
func (r *Room) endDays(ctx context.Context, closed int64, now time.Time) error {
	if err := r.planReports(ctx, dayName(closed+1), now); err != nil {
		return err
	}
	return r.deps.Store.PruneTLSReports(ctx, dayName(closed-keepDays))
}

// flush writes all that was counted before the call. What is counted meanwhile comes
// behind that and is left for the next call: under steady mail there would be no end.
func (r *Room) flush(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	for left := r.count.waiting(); left > 0; {
		list := r.count.take(min(left, together))
		left -= len(list)
		counts := make([]store.TLSCount, len(list))
		for i, t := range list {
			counts[i] = t.count
		}
		if err := r.deps.Store.AddTLSCounts(ctx, counts); err != nil {
			r.count.giveBack(list)
			return err
		}
	}
	return nil
}

// planReports gives every domain that was counted on a closed day its report.
func (r *Room) planReports(ctx context.Context, before string, now time.Time) error {
	for {
		list, err := r.deps.Store.UnplannedTLSReports(ctx, before, planAtMax)
		if err != nil || len(list) == 0 {
			return err
		}
		for i, u := range list {
			if list[i], err = plan(u.Day, u.Domain, r.cfg.From.Domain, now); err != nil {
				return err
			}
		}
		if err := r.deps.Store.PutTLSReports(ctx, list); err != nil {
			return err
		}
	}
}
