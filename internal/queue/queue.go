// Package queue is the waiting room between acceptance and delivery.
//
// In the world: a relay has taken responsibility for a message and must pass it on
// to every recipient's mail host. Some hosts answer at once, some are slow, some
// are gone for days. The queue decides who is tried next and when, sees that one
// bad neighbour costs only itself, and records what became of each attempt.
//
// What this package does: it leases rows from the store when there is a free slot
// for their next hop, groups them into jobs, hands each job to an [Attempter],
// and settles the report ([Settle], a pure function). It keeps one small struct for
// each next hop with mail waiting, and no timer, goroutine or memory for a waiting
// message: the backlog stays in the store. A freshly accepted message is
// offered with its content still at hand, within a byte budget, so that the normal
// case never reads the database.
//
// Failure semantics. The queue loses nothing: a row leaves the store only with its
// final outcome, in the store's transaction. If the process dies, leases are void
// and rows are due again; a recipient gets a second copy only if that happened
// between the remote's acceptance and our record of it. A panic in an attempt
// defers its recipients (REL-09); a count of crashes that survives the process,
// which would hold a message that kills it outright, is not kept yet.
//
// What it leaves to others: how to deliver (the Attempter), how to remember (the
// store), how to accept (the accept room, which calls [Queue.Reserve],
// [Queue.Offer] and [Queue.Wake]).
package queue

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/throttle"
)

// Causes with which the context of an attempt ends; see [Attempter].
var (
	ErrShutdown  = errors.New("queue is shutting down")
	ErrLeaseLost = errors.New("lease was lost")
	ErrTooLong   = errors.New("attempt took too long")
)

// An Attempter makes one attempt to deliver a job. A failed attempt is a report
// with one result per recipient, in the job's order.
//
// ctx ends when the attempt should be given up: at shutdown (context.Cause is
// [ErrShutdown]), when the rows were leased to somebody else ([ErrLeaseLost]), or
// after the longest time an attempt may take ([ErrTooLong]: 40 minutes and a second for each KiB).
// Whatever the cause, the Attempter then abandons what has not reached the
// final dot and reports [mail.Abandoned] (or [mail.Deferred] after the deadline)
// for it; once the final dot was sent it goes on waiting for the reply as long as its
// own limits say, on a context of its own, because the answer must be recorded
// (REL-07). Attempt is called from many goroutines at once. It may panic: the
// queue defers the job's recipients.
type Attempter interface {
	Attempt(ctx context.Context, j mail.Job) mail.Report
}

// Domains tells facts of sending domains, read for every attempt. [store.Domains]
// has it.
type Domains interface {
	DomainByID(ctx context.Context, id int64) (store.Domain, error)
}

// Contents gives the octets of messages that are not at hand any more.
// [store.Messages] has it.
type Contents interface {
	Content(ctx context.Context, domainID int64, id mail.ID) (store.Content, error)
}

// Roles are the parts of a store that the queue works with.
type Roles struct {
	Queue    store.Queue
	Domains  Domains
	Contents Contents
	// Suppressions may be nil: then nobody is suppressed.
	Suppressions Suppressor
}

// Config sets the queue's bounds. The zero value of a field is its default.
type Config struct {
	// Schedule holds the server's waits, lifetime and spread. Its Jitter and
	// ClockDoubted are filled in by the queue. A zero Spread means [DefaultSpread]; negative means none.
	Schedule Schedule
	// MaxConnections bounds attempts at once; default 1,000. Next hops that answer
	// badly may use 60 % of it together, next hops not known yet 80 % (REL-41).
	MaxConnections int
	// NextHop bounds attempts per next hop; see [throttle.Limits].
	NextHop throttle.Limits
	// MaxRecipients bounds the recipients of one job; default 100.
	MaxRecipients int
	// MaxReady is the number of leased rows waiting for a slot above which next hops
	// lease only what they can start at once; default 4,000.
	MaxReady int
	// Budget bounds the octets of offered content kept for attempts; default 64 MiB.
	Budget int64
	// Slow is the duration from which an attempt marks its next hop as one that
	// holds connections for long; default 1 minute.
	Slow time.Duration
	// Renew is the time between renewals of leases, default 45 s. Resync is the time
	// between looks at the store's list of next hops, the net under lost wake-ups, default 1 minute.
	Renew, Resync time.Duration
	// HoldOff is the pause of mail whose sending domain is disabled; default 15 minutes.
	HoldOff time.Duration

	// Jitter returns numbers in [0,1); default math/rand. Tests set it.
	Jitter func() float64
	// Wall reads the wall clock; default time.Now. Tests set it.
	Wall func() time.Time
}

const (
	maxLeasing    = 16 // calls of Lease at once
	maxSweeping   = maxLeasing / 2
	turnsOfNew    = 10  // jobs at hand that go before rows due in the store
	sweepRows     = 500 // rows settled by one shared verdict
	dueSoon       = time.Second
	idleMemory    = 10 * time.Minute // what was learned about a next hop without mail
	maxSleep      = time.Minute
	selfPause     = 5 * time.Second  // of a next hop after trouble of our own
	attemptBase   = 40 * time.Minute // one attempt with the wait for the reply to the dot
	attemptOctets = 1024             // per second, added to attemptBase
)

func (c Config) withDefaults() Config {
	c.MaxConnections = positive(c.MaxConnections, 1000)
	c.MaxRecipients = positive(c.MaxRecipients, 100)
	c.MaxReady = positive(c.MaxReady, 4000)
	c.Budget = positive(c.Budget, 64<<20)
	c.Slow = positive(c.Slow, time.Minute)
	c.Renew = positive(c.Renew, 45*time.Second)
	c.Resync = positive(c.Resync, time.Minute)
	c.HoldOff = positive(c.HoldOff, 15*time.Minute)
	if c.Schedule.Spread == 0 {
		c.Schedule.Spread = DefaultSpread
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	if c.Wall == nil {
		c.Wall = time.Now
	}
	return c
}

func positive[T int | int64 | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}

// A Queue schedules attempts. Make it with [New]; all methods are safe for
// concurrent use.
type Queue struct {
	roles     Roles
	attempter Attempter
	config    Config
	log       *slog.Logger

	clock  *clock
	wake   chan struct{} // one slot: something changed, look again
	stop   chan struct{} // closed when no new work is begun
	kill   chan struct{} // closed when even recording is given up
	done   chan struct{} // closed when Run has returned
	cancel context.CancelCauseFunc
	ctx    context.Context // of attempts
	work   sync.WaitGroup  // attempts, leases, releases

	mu       sync.Mutex
	running  bool
	stopped  bool
	killed   bool
	hops     map[string]*hop
	waiting  hopHeap            // hops that want attention later
	rings    [classes]ring      // hops that want attention now
	lastRing int                // the ring served last
	tasks    map[*task]struct{} // everything leased: ready or in flight
	ready    int                // rows in hops' ready lists
	inFlight int                // jobs being attempted or settled
	leasing  int
	sweeping int
	outage   outage
	budget   int64 // octets reserved
	stats    Stats
}

// New returns a queue that does nothing before Run. Offers and wake-ups are taken
// from the start.
func New(roles Roles, a Attempter, c Config, log *slog.Logger) *Queue {
	c = c.withDefaults()
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Queue{
		roles: roles, attempter: a, config: c, log: log,
		clock: newClock(c.Wall),
		wake:  make(chan struct{}, 1), stop: make(chan struct{}), kill: make(chan struct{}), done: make(chan struct{}),
		ctx: ctx, cancel: cancel,
		hops:  make(map[string]*hop),
		tasks: make(map[*task]struct{}),
	}
}

// Stats are counters since start and gauges of the moment.
type Stats struct {
	Delivered, Deferred, Bounced, Expired, Abandoned int64 // recipients
	Attempts                                         int64 // jobs
	Shared                                           int64 // recipients deferred by another message's failure, in Deferred and Expired too
	Panics                                           int64
	Lost                                             int64 // rows whose lease was gone when their outcome came
	StoreErrors                                      int64 // failed calls, each tried again
	Offered, Returned                                int64 // jobs taken from acceptance; of those, put back for the store to keep

	NextHops      int   // with mail waiting, or remembered
	Ready         int   // rows leased and waiting for a slot
	InFlight      int   // jobs being attempted or recorded
	BudgetUsed    int64 // octets
	Outage        bool  // attempts pause because nothing at all can be reached
	ClockDoubted  bool  // nothing expires because the wall clock jumped
	Failing, Slow int   // next hops nobody answers at; that hold connections for long
}

// Stats returns a snapshot. It looks at every next hop: ask every few seconds.
func (q *Queue) Stats() Stats {
	_, doubted := q.clock.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.NextHops, s.Ready, s.InFlight, s.BudgetUsed = len(q.hops), q.ready, q.inFlight, q.budget
	s.Outage, s.ClockDoubted = q.outage.down, doubted
	for _, h := range q.hops {
		switch {
		case h.limiter.Failing():
			s.Failing++
		case h.class == suffering:
			s.Slow++
		}
	}
	return s
}

// opener is how a job reads its message.
type opener = func() (io.ReadCloser, error)
