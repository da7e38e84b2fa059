package webhook

import (
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// readPage is how many events a target that is behind reads at a time, and troublePause
// how long it waits after an error of the store.
const (
	readPage     = 256
	troublePause = 5 * time.Second
)

// refill reads what a target may be told of next, from the log and from the table. It
// reads nothing while the target pauses: what it does not hold costs no memory. t is locked.
func (r *Room) refill(t *target, now time.Time) {
	if now.Before(t.limiter.Until()) {
		return
	}
	if t.behind() {
		t.reading = r.begin(func() { r.readOn(t) })
	}
	if t.mayFetch(now) {
		t.fetching = r.begin(func() { r.fetch(t, now) })
	}
}

// readOn reads a page of the log for a target that is behind.
func (r *Room) readOn(t *target) {
	upTo := mail.ID(r.dispatched.Load())
	t.mu.Lock()
	after, kinds := t.read, slices.Clone(t.kinds)
	t.mu.Unlock()
	page, err := r.page(t, after, upTo, kinds)
	r.turn.RLock()
	defer r.turn.RUnlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = false
	now := time.Now()
	if err != nil {
		if r.work.Err() == nil {
			r.log.Warn("a webhook target could not read the log and tries again", "url", t.shown(), "error", err)
			r.wakeAt(t, troublePause)
		}
		return
	}
	if t.live || t.read != after || now.Before(t.limiter.Until()) {
		r.pump(t, now) // things have changed
		return
	}
	for i := range page.Items {
		alone := page.Items[i] // or it would keep its whole page
		item := &alone
		if len(t.queue) > 0 && !r.takeMemory(size(item)) {
			r.pump(t, now)
			return
		}
		if len(t.queue) == 0 {
			r.memory.Add(int64(-size(item))) // one each is always allowed
		}
		t.queue = append(t.queue, item)
		t.read = item.ID
	}
	t.read = max(t.read, page.Cursor)
	if !page.More {
		t.read = max(t.read, upTo)
		t.live = mail.ID(r.dispatched.Load()) <= t.read
	}
	r.pump(t, now)
}

// page reads events for the target, after one and up to another. An account's come from
// the log of all domains, by those of the account.
func (r *Room) page(t *target, after, upTo mail.ID, kinds []event.Type) (store.EventPage, error) {
	if after >= upTo || len(kinds) == 0 {
		return store.EventPage{Cursor: max(after, upTo)}, nil
	}
	if t.domain != 0 {
		return r.roles.Events.Events(r.work, store.EventQuery{DomainID: t.domain, After: after, Before: upTo + 1, Ascending: true, Limit: readPage, Types: kinds})
	}
	all, err := r.roles.Journal.Journal(r.work, store.JournalQuery{After: after, Limit: readPage, Types: kinds})
	if err != nil {
		return store.EventPage{}, err
	}
	page := store.EventPage{Cursor: min(all.Cursor, upTo), More: all.More && all.Cursor < upTo}
	known := map[int64]int64{}
	for _, item := range all.Items {
		account, err := r.accountOf(r.work, item.DomainID, known)
		if err != nil {
			return page, err
		}
		if account == t.account && item.ID <= upTo {
			page.Items = append(page.Items, item)
		}
	}
	return page, nil
}

// fetch reads calls that are due.
func (r *Room) fetch(t *target, now time.Time) {
	calls, err := r.roles.Deliveries.DueWebhookCalls(r.work, t.id, now, maxBatch)
	var due time.Time
	if err == nil && len(calls) == 0 {
		due, err = r.roles.Deliveries.NextWebhookCall(r.work, t.id)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fetching = false
	if err != nil {
		if r.work.Err() == nil {
			r.log.Warn("calls of a webhook target could not be read and are tried again", "url", t.shown(), "error", err)
			r.wakeAt(t, troublePause)
		}
		return
	}
	if len(calls) == 0 {
		if t.due = due; due.IsZero() && len(t.pending.calls) == 0 {
			t.oldest = 0
		}
	}
	t.calls = calls
	r.pump(t, time.Now())
}
