package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/throttle"
)

// Bounds of the room. Those of one target are in target.go.
const (
	saveEvery    = 250 * time.Millisecond
	markEvery    = 10 * time.Second // the follower's place is saved that often when nothing else is
	drainTime    = 5 * time.Second  // for calls under way when the room stops
	memory       = 32 << 20         // octets of events that wait in all targets together
	keepAttempts = 1000             // attempts in the table, of each target
	cursorName   = "webhook"
)

// A Sender makes the calls. It decides which addresses may be called.
type Sender interface {
	// Post sends a body within the time of ctx. An error is that no answer came.
	Post(ctx context.Context, url, contentType string, body []byte) (outhttp.Answer, error)
}

// Roles are what the room asks of the store.
type Roles struct {
	Journal    store.Journal // of all events; may be a follow.Tail
	Events     store.Events
	Cursors    store.Cursors
	Domains    store.Domains
	Hooks      store.Webhooks
	Deliveries store.WebhookDeliveries
}

// Config is what the operator sets. Zero values are the defaults.
type Config struct {
	BaseURL      string        // public address of the API, for links in events
	Schedule     Schedule      // nil: DefaultSchedule
	Timeout      time.Duration // of one attempt; 0: 15 s
	DisableAfter time.Duration // without any success; 0: a week
	Connections  int           // to all targets together; 0: 1,000
	PerTarget    int           // to one target; 0: 64
	Keep         time.Duration // how long events are kept; 0: for ever
}

// A Room tells users' servers of events. It is safe for concurrent use.
type Room struct {
	cfg      Config
	roles    Roles
	sender   Sender
	log      *slog.Logger
	limits   throttle.Limits
	follower *follow.Follower

	work context.Context // of attempts; ends when the drain time is over
	stop context.CancelFunc

	beginning sync.Mutex
	open      bool           // Run has begun and not ended
	running   sync.WaitGroup // attempts and readings

	// turn is held while events are offered: who reads the log by itself may not decide
	// meanwhile that it has caught up. It comes before every other lock.
	turn sync.RWMutex

	mu      sync.RWMutex // of the table of targets, which changes under turn as well
	table   *table
	version atomic.Int64 // of the webhooks in the table

	dispatched atomic.Int64 // every event up to it was offered to its targets
	memory     atomic.Int64 // octets left
	slots      slots

	saving sync.Mutex // one save at a time
	marked mail.ID    // the follower's place as it is on disk
	at     time.Time  // of the last save

	stats counters
}

// New returns a room that does nothing until it runs.
func New(cfg Config, roles Roles, sender Sender, log *slog.Logger) *Room {
	if len(cfg.Schedule) == 0 {
		cfg.Schedule = DefaultSchedule()
	}
	def := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	def(&cfg.Timeout, 15*time.Second)
	def(&cfg.DisableAfter, 7*24*time.Hour)
	if cfg.Connections == 0 {
		cfg.Connections = 1000
	}
	if cfg.PerTarget == 0 {
		cfg.PerTarget = 64
	}
	r := &Room{
		cfg: cfg, roles: roles, sender: sender, log: log, table: &table{},
		// A target that fails is asked again within the first wait of the schedule.
		limits: throttle.Limits{
			Initial: min(4, cfg.PerTarget), Max: cfg.PerTarget,
			Backoff: min(time.Second, cfg.Schedule[0]), MaxBackoff: cfg.Schedule[0],
		},
		slots: slots{free: cfg.Connections},
	}
	r.memory.Store(memory)
	r.work, r.stop = context.WithCancel(context.Background())
	r.follower = follow.New(follow.Config{Name: cursorName, Page: 1000}, roles.Journal, roles.Cursors, r.effect, log)
	return r
}

// Run tells of events until ctx ends; calls under way may then still be answered for a
// moment. It must be called once.
func (r *Room) Run(ctx context.Context) {
	defer r.stop()
	r.setOpen(true)
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := r.firstLoad(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		r.log.ErrorContext(ctx, "webhooks could not be read", "error", err)
		if !pause(ctx, wait) {
			return
		}
	}
	var loops sync.WaitGroup
	loops.Go(func() { r.follower.Run(ctx) })
	loops.Go(func() { r.saveLoop(ctx) })
	loops.Wait()
	r.setOpen(false)
	ended := make(chan struct{})
	go func() { r.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(drainTime):
		r.stop()
		<-ended
	}
	r.mu.RLock()
	for _, t := range r.table.targets {
		t.mu.Lock()
		if t.timer != nil {
			t.timer.Stop()
		}
		t.mu.Unlock()
	}
	r.mu.RUnlock()
	if err := r.save(context.WithoutCancel(ctx)); err != nil {
		r.log.WarnContext(ctx, "the last webhook calls were not noted and will be made again", "error", err)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Room) setOpen(open bool) {
	r.beginning.Lock()
	defer r.beginning.Unlock()
	r.open = open
}

// begin counts something under way; false while the room does not run.
func (r *Room) begin(f func()) bool {
	r.beginning.Lock()
	defer r.beginning.Unlock()
	if !r.open {
		return false
	}
	r.running.Go(f)
	return true
}

// A table says which targets there are, and whom an event concerns. It is never changed.
type table struct {
	targets  map[int64]*target
	domains  map[int64][]*target // by domain
	accounts map[int64][]*target // by account: those of the account itself
}

// refresh reads webhooks and targets again if they have changed.
func (r *Room) refresh(ctx context.Context) error {
	if r.roles.Hooks.WebhookVersion() == r.version.Load() {
		return nil
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	return r.reload(ctx)
}

// firstLoad is the first reading, unless a call of the API came before it.
func (r *Room) firstLoad(ctx context.Context) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	return r.reload(ctx)
}

// reload reads webhooks and targets. r.turn is held.
func (r *Room) reload(ctx context.Context) error {
	if r.table.targets == nil {
		at, err := r.roles.Cursors.Cursor(ctx, cursorName)
		if err != nil {
			return err
		}
		if at == 0 { // the first run ever: the past is not told of
			at = mail.FirstID(time.Now())
			if err := r.roles.Cursors.SetCursor(ctx, cursorName, at); err != nil {
				return err
			}
		}
		r.dispatched.Store(int64(at))
	}
	hooks, version, err := r.roles.Hooks.AllWebhooks(ctx)
	if err != nil {
		return err
	}
	saved, err := r.roles.Deliveries.WebhookTargets(ctx)
	if err != nil {
		return err
	}
	next, fresh := r.build(hooks, saved)
	r.mu.Lock()
	old := r.table
	r.table = next
	r.mu.Unlock()
	r.version.Store(version)
	now := time.Now()
	for id, t := range old.targets {
		if next.targets[id] == nil {
			t.mu.Lock()
			t.gone, t.pending = true, pending{}
			r.memory.Add(int64(t.unload()))
			t.mu.Unlock()
		}
	}
	for _, t := range fresh {
		t.mu.Lock()
		r.pump(t, now)
		t.mu.Unlock()
	}
	return nil
}

// build makes the table of what is configured. Targets that are known stay.
func (r *Room) build(hooks []store.Webhook, saved []store.WebhookTarget) (next *table, fresh []*target) {
	type key struct {
		account, domain int64
		url             string
	}
	next = &table{targets: map[int64]*target{}, domains: map[int64][]*target{}, accounts: map[int64][]*target{}}
	kinds := map[key][]event.Type{}
	for _, h := range hooks {
		k := key{h.AccountID, h.DomainID, h.URL}
		for _, name := range h.Kinds {
			if typ, ok := event.TypeOfHook(name); ok {
				kinds[k] = append(kinds[k], typ)
			}
		}
	}
	cursor := mail.ID(r.dispatched.Load())
	for _, s := range saved {
		t := r.table.targets[s.ID]
		if t == nil {
			t = newTarget(s, cursor, r.limits)
			fresh = append(fresh, t)
		}
		t.mu.Lock()
		t.kinds = kinds[key{s.AccountID, s.DomainID, s.URL}]
		t.mu.Unlock()
		next.targets[s.ID] = t
		if s.DomainID != 0 {
			next.domains[s.DomainID] = append(next.domains[s.DomainID], t)
		} else {
			next.accounts[s.AccountID] = append(next.accounts[s.AccountID], t)
		}
	}
	return next, fresh
}

// effect is what follows from events: they are offered to their targets. What
// is on disk about them is written by save, so that the place of the follower is never ahead of it.
func (r *Room) effect(ctx context.Context, items []store.EventItem, upTo mail.ID) error {
	if err := r.refresh(ctx); err != nil {
		return fmt.Errorf("read webhooks: %w", err)
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	now := time.Now()
	accounts := map[int64]int64{}
	for i := range items {
		item := &items[i]
		if item.Type.Hook() == "" {
			continue
		}
		for _, t := range r.table.domains[item.DomainID] {
			r.offer(t, item, now)
		}
		if len(r.table.accounts) == 0 {
			continue
		}
		account, err := r.accountOf(ctx, item.DomainID, accounts)
		if err != nil {
			return err
		}
		for _, t := range r.table.accounts[account] {
			r.offer(t, item, now)
		}
	}
	r.dispatched.Store(max(int64(upTo), r.dispatched.Load()))
	return nil
}

// accountOf returns the account of a domain; 0 for one that was deleted.
func (r *Room) accountOf(ctx context.Context, domain int64, known map[int64]int64) (int64, error) {
	if a, ok := known[domain]; ok {
		return a, nil
	}
	d, err := r.roles.Domains.DomainByID(ctx, domain)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	known[domain] = d.AccountID
	return d.AccountID, nil
}

func (r *Room) offer(t *target, item *store.EventItem, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle() || !t.wants(item.Type) {
		return
	}
	t.offer(item, now, r.takeMemory)
	r.pump(t, now)
}

// takeMemory takes octets of what all targets share.
func (r *Room) takeMemory(n int) bool {
	if r.memory.Add(int64(-n)) < 0 {
		r.memory.Add(int64(n))
		return false
	}
	return true
}

// Consumed returns a moment such that the room needs no event before it. A target that
// is behind holds events back for eight days at most: longer than it takes to be disabled.
func (r *Room) Consumed() time.Time {
	oldest := mail.ID(r.dispatched.Load())
	if oldest == 0 {
		return time.Time{}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.table.targets {
		t.mu.Lock()
		if !t.idle() {
			for _, id := range []mail.ID{t.position(), t.oldest} {
				if id != 0 {
					oldest = min(oldest, id)
				}
			}
		}
		t.mu.Unlock()
	}
	at := oldest.Time()
	if longest := time.Now().Add(-r.cfg.DisableAfter - 24*time.Hour); at.Before(longest) {
		return longest
	}
	return at
}
