package webhook

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/throttle"
)

// Limits on what one target may hold.
const (
	maxQueue  = 1024 // events in memory that wait for their first attempt
	maxBatch  = 256  // calls read from the table at a time
	maxRecent = 100  // successes that are remembered
)

// A job is one attempt to be made: the first one for an event, or another for a call.
type job struct {
	item  *store.EventItem  // nil: the event has to be read
	call  store.WebhookCall // Attempts made before
	first bool

	// First attempts are made in the order of their events: each waits for before, nil
	// for none, and closes begun when it is made.
	before <-chan struct{}
	begun  chan struct{}
}

// inTurn waits until the attempts before it have begun, and lets the next one begin.
func (j *job) inTurn(ctx context.Context) {
	if j.before != nil {
		select {
		case <-j.before:
		case <-ctx.Done():
		}
	}
	if j.begun != nil {
		close(j.begun)
	}
}

// A target is one URL with what waits for it. Fields below mu are guarded by it.
type target struct {
	id              int64
	account, domain int64
	url             string

	mu      sync.Mutex
	kinds   []event.Type // that it is told of
	limiter throttle.Limiter
	gone    bool // its webhook was deleted

	// New events. Live, it gets them from the follower; else it reads the log by itself.
	live    bool
	read    mail.ID // events up to it were put into queue, or need not be
	queue   []*store.EventItem
	last    <-chan struct{} // closed when the latest first attempt has begun
	started []start         // first attempts made or under way, by event, from the oldest not dealt with
	reading bool

	// Calls that wait in the table.
	calls    []store.WebhookCall // read, not started
	calling  int                 // under way
	fetching bool
	due      time.Time // when to look for the next ones; zero: none wait
	oldest   mail.ID   // no event that waits is older; 0: unknown or none
	turn     bool      // the next attempt is a call, if there is one

	failingSince time.Time
	failures     int // in a row
	disabledAt   time.Time
	lastError    string

	pending pending
	saving  bool                // what was pending is being written
	saved   store.WebhookTarget // as it is on disk
	touched bool                // something was dealt with since the last save
	recent  []store.WebhookAttempt

	timer  *time.Timer
	hungry bool // waits for a slot of the room
}

// A start is a first attempt.
type start struct {
	event mail.ID
	done  bool // taken, or in pending as a call
}

// pending is what the next save stores.
type pending struct {
	calls    map[mail.ID]store.WebhookCall
	done     map[mail.ID]bool
	attempts []store.WebhookAttempt
}

func (p *pending) empty() bool { return len(p.calls)+len(p.done)+len(p.attempts) == 0 }

// keep notes that a call waits, or was given up.
func (p *pending) keep(c store.WebhookCall) {
	if p.calls == nil {
		p.calls = map[mail.ID]store.WebhookCall{}
	}
	delete(p.done, c.Event)
	p.calls[c.Event] = c
}

// drop notes that a call is over.
func (p *pending) drop(event mail.ID) {
	if p.done == nil {
		p.done = map[mail.ID]bool{}
	}
	delete(p.calls, event)
	p.done[event] = true
}

// restore puts back what could not be saved, under what came since.
func (p *pending) restore(old pending) {
	for event, c := range old.calls {
		if _, newer := p.calls[event]; !newer && !p.done[event] {
			p.keep(c)
		}
	}
	for event := range old.done {
		if _, newer := p.calls[event]; !newer {
			p.drop(event)
		}
	}
	p.attempts = append(old.attempts, p.attempts...)
}

// newTarget returns a target as it was saved, reading on at cursor where that does not
// say otherwise.
func newTarget(s store.WebhookTarget, cursor mail.ID, limits throttle.Limits) *target {
	t := &target{
		id: s.ID, account: s.AccountID, domain: s.DomainID, url: s.URL, saved: s, limiter: throttle.New(limits),
		read: cmp.Or(s.Position, cursor), live: s.Position == 0, oldest: s.OldestEvent,
		failingSince: s.FailingSince, disabledAt: s.DisabledAt, lastError: s.LastError,
	}
	if s.Waiting > 0 {
		t.due = time.Unix(0, 0)
	}
	return t
}

// idle reports that nothing may start, whatever there is.
func (t *target) idle() bool { return t.gone || !t.disabledAt.IsZero() }

// shown is the URL as the log may have it: queries often hold secrets.
func (t *target) shown() string {
	before, _, _ := strings.Cut(t.url, "?")
	return before
}

// wants reports whether the target is told of a type.
func (t *target) wants(typ event.Type) bool { return slices.Contains(t.kinds, typ) }

// position is the event up to which every one was dealt with; 0 if that is as far as
// the room has come.
func (t *target) position() mail.ID {
	switch {
	case len(t.started) > 0:
		return t.started[0].event - 1
	case len(t.queue) > 0:
		return t.queue[0].ID - 1
	case t.live:
		return 0
	}
	return t.read
}

// offer gives an event from the follower. False says that the target does not take it and
// will read it from the log by itself. room asks for memory.
func (t *target) offer(item *store.EventItem, now time.Time, room func(n int) bool) bool {
	if !t.live || item.ID <= t.read {
		return true // it reads by itself, or has had it
	}
	if len(t.queue) >= maxQueue || now.Before(t.limiter.Until()) || !room(size(item)) {
		t.fallBehind(item.ID - 1)
		return false
	}
	alone := *item // or it would keep its whole page
	t.queue = append(t.queue, &alone)
	t.read = item.ID
	return true
}

// fallBehind makes the target read by itself after the given event.
func (t *target) fallBehind(after mail.ID) {
	t.live, t.read = false, max(t.read, after)
}

// unload lets go of the queue: what was in it is read again from the log. It returns the memory.
func (t *target) unload() (freed int) {
	if len(t.queue) == 0 {
		return 0
	}
	for _, item := range t.queue {
		freed += size(item)
	}
	t.live, t.read = false, t.queue[0].ID-1
	t.queue = nil
	return freed
}

// next takes the next attempt, calls and new events in turn.
func (t *target) next() (job, bool) {
	if len(t.calls) > 0 && (t.turn || len(t.queue) == 0) {
		t.turn = false
		c := t.calls[0]
		t.calls = t.calls[1:]
		t.calling++
		return job{call: c}, true
	}
	if len(t.queue) == 0 {
		return job{}, false
	}
	t.turn = true
	item := t.queue[0]
	t.queue[0] = nil
	t.queue = t.queue[1:]
	t.started = append(t.started, start{event: item.ID})
	before, begun := t.last, make(chan struct{})
	t.last = begun
	return job{item: item, first: true, before: before, begun: begun, call: store.WebhookCall{Target: t.id, Event: item.ID, DomainID: item.DomainID}}, true
}

// finish notes that a job was dealt with.
func (t *target) finish(j job) {
	t.touched = true
	if !j.first {
		t.calling--
		return
	}
	i, found := slices.BinarySearchFunc(t.started, j.call.Event, func(s start, id mail.ID) int { return cmp.Compare(s.event, id) })
	if found {
		t.started[i].done = true
	}
	for len(t.started) > 0 && t.started[0].done {
		t.started = t.started[1:]
	}
}

// behind reports that the target has events of the log to read.
func (t *target) behind() bool { return !t.live && !t.reading && len(t.queue) < maxQueue/4 }

// mayFetch reports that calls may be read from the table: none of them is under way, and
// what became of the last ones is on disk.
func (t *target) mayFetch(now time.Time) bool {
	return !t.fetching && !t.saving && !t.due.IsZero() && !t.due.After(now) && len(t.calls)+t.calling+len(t.pending.calls)+len(t.pending.done) == 0
}

// wake returns when the passing of time alone lets the target do something; zero: never.
func (t *target) wake(now time.Time) time.Time {
	if t.idle() {
		return time.Time{}
	}
	var at time.Time
	switch {
	case len(t.queue)+len(t.calls) > 0 || t.behind():
		at = now
	case len(t.calls)+t.calling == 0 && !t.fetching && !t.due.IsZero():
		at = t.due
	default:
		return time.Time{}
	}
	if until := t.limiter.Until(); until.After(at) {
		at = until
	}
	if !at.After(now) {
		return time.Time{} // not time is missing, but a slot or a save
	}
	return at
}

// remember keeps a success for the log.
func (t *target) remember(a store.WebhookAttempt) {
	if len(t.recent) >= maxRecent {
		t.recent = append(t.recent[:0], t.recent[1:]...)
	}
	t.recent = append(t.recent, a)
}

// size is about how much memory an event takes.
func size(item *store.EventItem) int {
	const fixed = 1200
	n := fixed + len(item.Meta.Subject) + len(item.Meta.From) + len(item.Meta.To)
	for _, r := range item.Meta.Recipients {
		n += 16 + len(r)
	}
	for name, value := range item.Meta.Variables {
		n += 32 + len(name) + len(value)
	}
	return n + 100*len(item.Meta.Attachments)
}
