package webhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
)

// contentType is that of a call.
const contentType = "application/json"

// pump starts what may start, and sees to it that somebody comes back for the rest. t is locked.
func (r *Room) pump(t *target, now time.Time) {
	if t.idle() {
		return
	}
	for t.limiter.Free(now) > 0 && len(t.queue)+len(t.calls) > 0 {
		if !r.slots.take(t) {
			break
		}
		j, _ := t.next()
		if j.item != nil {
			r.memory.Add(int64(size(j.item)))
		}
		t.limiter.Start(now)
		if !r.begin(func() { r.attempt(t, j) }) {
			return // the next start goes on from here
		}
	}
	r.refill(t, now)
	if at := t.wake(now); !at.IsZero() {
		r.wakeAt(t, at.Sub(now))
	}
}

// wakeAt comes back after a while. t is locked.
func (r *Room) wakeAt(t *target, in time.Duration) {
	if t.timer != nil {
		t.timer.Reset(in)
		return
	}
	t.timer = time.AfterFunc(in, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		r.pump(t, time.Now())
	})
}

// attempt makes one call.
func (r *Room) attempt(t *target, j job) {
	defer func() {
		r.slots.give()
		for first := r.slots.first(); first != nil; first = r.slots.first() {
			first.mu.Lock()
			first.hungry = false
			r.pump(first, time.Now())
			first.mu.Unlock()
		}
	}()
	started := time.Now()
	body, kind, err := r.compose(t, &j, started)
	j.inTurn(r.work)
	if err != nil {
		r.fault(t, j, kind, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.work, r.cfg.Timeout)
	answer, err := r.sender.Post(ctx, t.url, contentType, body)
	cancel()
	if err != nil && r.work.Err() != nil {
		// We stop. Whether it arrived is unknown; the next start makes the call again.
		r.abandon(t, j)
		return
	}
	r.settle(t, j, kind, started, answer, err)
}

// errForgotten: an event is past its retention.
var errForgotten = errors.New("the event is not kept any more")

// compose reads the event, if need be, and returns the body of the call.
func (r *Room) compose(t *target, j *job, now time.Time) (body []byte, kind string, err error) {
	if j.item == nil {
		if j.item, err = r.read(r.work, j.call.DomainID, j.call.Event); err != nil {
			return nil, "", err
		}
	}
	k, err := r.keysOf(r.work, t.account, now)
	if err != nil {
		return nil, "", err
	}
	body, err = payload(event.Render(&j.item.Record, &j.item.Meta, r.cfg.BaseURL), k, now, newToken())
	return body, j.item.Type.Hook(), err
}

// read returns one event of the log.
func (r *Room) read(ctx context.Context, domain int64, id mail.ID) (*store.EventItem, error) {
	page, err := r.roles.Events.Events(ctx, store.EventQuery{DomainID: domain, After: id - 1, Before: id + 1, Ascending: true, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, errForgotten
	}
	return &page.Items[0], nil
}

// keysOf returns what calls of an account are signed with.
func (r *Room) keysOf(ctx context.Context, account int64, now time.Time) (keys, error) {
	own, err := r.roles.Hooks.SigningKey(ctx, account)
	if err != nil || account == store.PrimaryAccount {
		return keys{account: own.At(now)}, err
	}
	parent, err := r.roles.Hooks.SigningKey(ctx, store.PrimaryAccount)
	return keys{account: own.At(now), parent: parent.At(now)}, err
}

// abandon ends an attempt of which nothing is known: the event waits as before.
func (r *Room) abandon(t *target, j job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limiter.Ended()
	if !j.first {
		t.calling--
	}
}

// fault ends an attempt that we could not make. An event that is gone is over; else it
// becomes a call for later, so that trouble of ours does not stop what follows.
func (r *Room) fault(t *target, j job, kind string, err error) {
	if r.work.Err() != nil {
		r.abandon(t, j)
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limiter.Ended()
	outcome := Deferred
	if errors.Is(err, errForgotten) {
		outcome = Failed
		t.pending.drop(j.call.Event)
	} else {
		j.call.Due = now.Add(r.cfg.Schedule[0])
		t.pending.keep(j.call)
		r.log.Warn("a webhook call could not be prepared", "url", t.shown(), "event", j.call.Event.String(), "error", err)
	}
	t.pending.attempts = append(t.pending.attempts, store.WebhookAttempt{
		Target: t.id, At: now, Event: j.call.Event, Kind: kind, Attempt: j.call.Attempts + 1, Outcome: string(outcome), Error: err.Error(),
	})
	t.finish(j)
	r.pump(t, now)
}

// settle records what came of an attempt, and goes on.
func (r *Room) settle(t *target, j job, kind string, started time.Time, answer outhttp.Answer, err error) {
	now := time.Now()
	outcome := judge(answer, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		t.limiter.Ended()
		return
	}
	j.call.Attempts++
	switch outcome {
	case Delivered, Rejected:
		t.limiter.Succeeded()
		t.failingSince, t.failures, t.lastError = time.Time{}, 0, ""
		if !j.first {
			t.pending.drop(j.call.Event)
		}
	default:
		outcome = r.deferCall(t, j, started, now, complaint(answer, err))
	}
	r.stats.count(outcome)
	r.note(t, j, kind, outcome, started, now, answer, err)
	t.finish(j)
	r.pump(t, now)
}

// deferCall makes the event wait for its next attempt, or gives it up. t is locked.
func (r *Room) deferCall(t *target, j job, started, now time.Time, why string) Outcome {
	t.limiter.Failed(started, now, rand.Float64())
	r.memory.Add(int64(t.unload())) // it is read again when the target answers
	t.failures++
	t.lastError = why
	if t.failingSince.IsZero() {
		t.failingSince = now
	}
	outcome := Deferred
	wait, again := r.cfg.Schedule.After(j.call.Attempts)
	if !again {
		outcome, j.call.GivenUp = Failed, true
	}
	j.call.Due = now.Add(wait)
	t.pending.keep(j.call)
	if t.oldest == 0 || j.call.Event < t.oldest {
		t.oldest = j.call.Event
	}
	if now.Sub(t.failingSince) >= r.cfg.DisableAfter && t.failures >= disableFailures {
		r.disable(t, now)
	}
	return outcome
}

// disableFailures in a row are needed to disable a target, however long ago the first was.
const disableFailures = 3

// disable stops telling a target, until somebody enables it. t is locked.
func (r *Room) disable(t *target, now time.Time) {
	t.disabledAt = now
	t.calls = nil
	r.log.Warn("a webhook is disabled: it has not taken an event for too long. Repair it, then enable it with sealpost webhook enable",
		"url", t.shown(), "failing_since", t.failingSince, "error", t.lastError)
}

// note puts the attempt into the log of deliveries. What went well at once stays in memory. t is locked.
func (r *Room) note(t *target, j job, kind string, outcome Outcome, started, now time.Time, answer outhttp.Answer, err error) {
	a := store.WebhookAttempt{
		Target: t.id, At: started.UTC(), Event: j.call.Event, Kind: kind, Attempt: j.call.Attempts, Outcome: string(outcome),
		Status: answer.Status, Latency: now.Sub(started), Answer: answer.Text,
	}
	if err != nil {
		a.Error = err.Error()
	}
	if outcome == Delivered && j.call.Attempts == 1 {
		t.remember(a)
		return
	}
	if len(t.pending.attempts) >= keepAttempts {
		t.pending.attempts = append(t.pending.attempts[:0], t.pending.attempts[1:]...)
	}
	t.pending.attempts = append(t.pending.attempts, a)
}
