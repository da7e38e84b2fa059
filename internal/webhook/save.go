package webhook

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// saveLoop saves what has changed, again and again, and notices changed webhooks while
// there are no events.
func (r *Room) saveLoop(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	var wait time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := errors.Join(r.refresh(ctx), r.save(ctx))
		switch {
		case err == nil || ctx.Err() != nil:
			wait = 0
			continue
		case wait == 0:
			wait = time.Second
		default:
			wait = min(2*wait, time.Minute)
		}
		r.log.ErrorContext(ctx, "what came of webhook calls was not saved and is tried again", "error", err)
		if !pause(ctx, wait) {
			return
		}
	}
}

// A snapshot is what is saved of one target.
type snapshot struct {
	t       *target
	pending pending
	state   store.WebhookTarget
}

// save writes progress. The follower's place is taken before the targets are looked at:
// an event below it that a target does not know of can then only be one that it was offered, and
// has dealt with.
func (r *Room) save(ctx context.Context) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	p := store.WebhookProgress{Cursor: cursorName, Position: mail.ID(r.dispatched.Load()), Keep: keepAttempts}
	if p.Position == 0 {
		return nil
	}
	snapshots, touched := r.snapshots()
	now := time.Now()
	old := now.Sub(r.at) >= markEvery && p.Position != r.marked
	if len(snapshots) == 0 && !touched && !old {
		return nil
	}
	for _, s := range snapshots {
		p.Targets = append(p.Targets, s.state)
		for _, id := range slices.Sorted(maps.Keys(s.pending.calls)) {
			p.Calls = append(p.Calls, s.pending.calls[id])
		}
		for id := range s.pending.done {
			p.Done = append(p.Done, store.WebhookCall{Target: s.t.id, Event: id})
		}
		p.Attempts = append(p.Attempts, s.pending.attempts...)
	}
	if old && r.cfg.Keep > 0 {
		p.Forget = mail.FirstID(now.Add(-r.cfg.Keep))
	}
	if err := r.roles.Deliveries.SaveWebhooks(ctx, p); err != nil {
		r.unsaved(snapshots)
		return err
	}
	r.marked, r.at = p.Position, now
	r.saved(snapshots)
	return nil
}

// snapshots takes what is to be saved out of the targets. Touched says that events were
// taken by targets about which nothing else has to be saved.
func (r *Room) snapshots() (list []snapshot, touched bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.table.targets {
		t.mu.Lock()
		state := store.WebhookTarget{
			ID: t.id, AccountID: t.account, DomainID: t.domain, URL: t.url, Position: t.position(),
			FailingSince: t.failingSince, DisabledAt: t.disabledAt, LastError: t.lastError,
		}
		known := t.saved.Position == state.Position && t.saved.FailingSince.Equal(state.FailingSince) &&
			t.saved.DisabledAt.Equal(state.DisabledAt) && t.saved.LastError == state.LastError
		touched = touched || t.touched
		t.touched = false
		if !t.gone && (!known || !t.pending.empty()) {
			list = append(list, snapshot{t, t.pending, state})
			t.pending = pending{}
			t.saving = true
		}
		t.mu.Unlock()
	}
	return list, touched
}

// unsaved puts back what could not be saved.
func (r *Room) unsaved(list []snapshot) {
	for _, s := range list {
		s.t.mu.Lock()
		s.t.saving, s.t.touched = false, true
		s.t.pending.restore(s.pending)
		s.t.mu.Unlock()
	}
}

// saved tells targets that it is on disk, and lets them look for what is due.
func (r *Room) saved(list []snapshot) {
	for _, s := range list {
		s.t.mu.Lock()
		s.t.saving = false
		s.t.saved = s.state
		for _, c := range s.pending.calls {
			if !c.GivenUp && (s.t.due.IsZero() || c.Due.Before(s.t.due)) {
				s.t.due = c.Due
			}
		}
		r.pump(s.t, time.Now())
		s.t.mu.Unlock()
	}
}
