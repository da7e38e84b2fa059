package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
)

// A TargetState says how a target is doing.
type TargetState string

const (
	Working  TargetState = "working"
	Failing  TargetState = "failing"  // it has not taken anything since its last failure
	Disabled TargetState = "disabled" // it has not for so long that nothing is told any more
)

// A Target is one URL and how it is doing.
type Target struct {
	store.WebhookTarget
	Kinds []string
	State TargetState
	// Behind is the moment up to which the target was told of everything, or it waits as
	// a call; zero: it is not behind.
	Behind time.Time
}

// A Scope picks targets. Zero fields match everything.
type Scope struct {
	AccountID int64
	DomainID  int64 // of one domain alone
	URL       string
}

func (s Scope) has(t *target) bool {
	return (s.AccountID == 0 || s.AccountID == t.account) && (s.DomainID == 0 || s.DomainID == t.domain) && (s.URL == "" || s.URL == t.url)
}

// within returns the targets of a scope, by id. Webhooks that were just made are among them.
func (r *Room) within(ctx context.Context, s Scope) ([]*target, error) {
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*target
	for _, t := range r.table.targets {
		if s.has(t) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *target) int { return cmp.Compare(a.id, b.id) })
	return list, nil
}

// Targets returns the targets of a scope, by id.
func (r *Room) Targets(ctx context.Context, s Scope) ([]Target, error) {
	known, err := r.within(ctx, s)
	if err != nil || len(known) == 0 {
		return nil, err
	}
	if err := r.save(ctx); err != nil {
		return nil, err
	}
	kept, err := r.roles.Deliveries.WebhookTargets(ctx)
	if err != nil {
		return nil, err
	}
	var list []Target
	for _, t := range known {
		i := slices.IndexFunc(kept, func(k store.WebhookTarget) bool { return k.ID == t.id })
		if i >= 0 {
			list = append(list, t.view(kept[i]))
		}
	}
	return list, nil
}

// view adds to what is kept what is known in memory.
func (t *target) view(kept store.WebhookTarget) Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := Target{WebhookTarget: kept, State: Working}
	v.FailingSince, v.DisabledAt, v.LastError = t.failingSince, t.disabledAt, t.lastError
	switch {
	case !t.disabledAt.IsZero():
		v.State = Disabled
	case !t.failingSince.IsZero():
		v.State = Failing
	}
	for _, typ := range t.kinds {
		v.Kinds = append(v.Kinds, typ.Hook())
	}
	slices.Sort(v.Kinds)
	v.Kinds = slices.Compact(v.Kinds)
	if at := t.position(); at != 0 {
		v.Behind = at.Time()
	}
	return v
}

// Attempts returns what is known of attempts to the targets of a scope, newest first: all
// failures that are kept, and the last successes since the start.
func (r *Room) Attempts(ctx context.Context, s Scope, about mail.ID, limit int) ([]store.WebhookAttempt, error) {
	targets, err := r.within(ctx, s)
	if err != nil || len(targets) == 0 {
		return nil, err
	}
	if err := r.save(ctx); err != nil {
		return nil, err
	}
	q := store.WebhookAttemptQuery{Event: about, Limit: limit}
	var recent []store.WebhookAttempt
	for _, t := range targets {
		q.Targets = append(q.Targets, t.id)
		t.mu.Lock()
		for _, a := range t.recent {
			if about == 0 || a.Event == about {
				recent = append(recent, a)
			}
		}
		t.mu.Unlock()
	}
	list, err := r.roles.Deliveries.WebhookAttempts(ctx, q)
	if err != nil {
		return nil, err
	}
	list = append(list, recent...)
	slices.SortStableFunc(list, func(a, b store.WebhookAttempt) int { return b.At.Compare(a.At) })
	return list[:min(len(list), limit)], nil
}

// Enable tells targets again that were disabled, of what happens from now on, and lets
// one that pauses be asked at once. It returns how many were disabled.
func (r *Room) Enable(ctx context.Context, s Scope) (n int, err error) {
	targets, err := r.within(ctx, s)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	r.turn.RLock()
	for _, t := range targets {
		t.mu.Lock()
		if !t.disabledAt.IsZero() {
			n++
			t.disabledAt, t.failingSince, t.failures = time.Time{}, time.Time{}, 0
			t.read, t.live = mail.ID(r.dispatched.Load()), true
			t.due = now // what waited still does
		}
		t.limiter.Forgive()
		r.pump(t, now)
		t.mu.Unlock()
	}
	r.turn.RUnlock()
	return n, r.save(ctx)
}

// MaxReplay is how many events of a time range can be replayed at once.
const MaxReplay = 10_000

// A Replay says what to tell again. One of Event, Failed and the range is set.
type Replay struct {
	Scope  Scope
	Event  mail.ID
	Failed bool
	// Begin and End bound a range, End excluded.
	Begin, End time.Time
	// Domains are those whose events may be told: the domain of the scope, or all of
	// the account.
	Domains []int64
}

// ErrTooMany: a range holds more than [MaxReplay] events for one target.
var ErrTooMany = fmt.Errorf("more than %d events lie within the range: replay it in parts", MaxReplay)

// Replay makes calls again, whatever came of them before, and returns how many. Targets are
// told only of what their webhooks ask for. One that is disabled is told when it is enabled.
func (r *Room) Replay(ctx context.Context, p Replay) (int, error) {
	targets, err := r.within(ctx, p.Scope)
	if err != nil {
		return 0, err
	}
	if err := r.save(ctx); err != nil { // so that what waits in memory is known
		return 0, err
	}
	n := 0
	for _, t := range targets {
		replayed, err := r.replay(ctx, t, p)
		n += replayed
		if err != nil {
			return n, err
		}
		if replayed == 0 {
			continue
		}
		t.mu.Lock()
		t.due = time.Now()
		t.limiter.Forgive()
		r.pump(t, time.Now())
		t.mu.Unlock()
	}
	return n, nil
}

func (r *Room) replay(ctx context.Context, t *target, p Replay) (int, error) {
	now := time.Now()
	if p.Failed {
		return r.roles.Deliveries.ReplayFailedWebhookCalls(ctx, t.id, now)
	}
	after, before := mail.FirstID(p.Begin)-1, mail.FirstID(p.End)
	if p.Event != 0 {
		after, before = p.Event-1, p.Event+1
	}
	t.mu.Lock()
	kinds := slices.Clone(t.kinds)
	t.mu.Unlock()
	var calls []store.WebhookCall
	for _, domain := range p.Domains {
		if t.domain != 0 && t.domain != domain {
			continue
		}
		found, err := r.calls(ctx, t, store.EventQuery{DomainID: domain, After: after, Before: before, Ascending: true, Limit: 1000, Types: kinds}, MaxReplay-len(calls))
		if err != nil {
			return 0, err
		}
		calls = append(calls, found...)
	}
	for i := range calls {
		calls[i].Due = now
	}
	return len(calls), r.roles.Deliveries.ReplayWebhookCalls(ctx, calls)
}

// calls returns calls for the events of a query.
func (r *Room) calls(ctx context.Context, t *target, q store.EventQuery, most int) (list []store.WebhookCall, err error) {
	if len(q.Types) == 0 {
		return nil, nil
	}
	for {
		page, err := r.roles.Events.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			list = append(list, store.WebhookCall{Target: t.id, Event: page.Items[i].ID, DomainID: q.DomainID})
		}
		if len(list) > most {
			return nil, ErrTooMany
		}
		if !page.More {
			return list, nil
		}
		q.After = page.Cursor
	}
}

// Test makes one call about an event that never happened, to see what the URL answers. An
// error is that no answer came.
func (r *Room) Test(ctx context.Context, d store.Domain, kind, url string) (outhttp.Answer, time.Duration, error) {
	typ, ok := event.TypeOfHook(kind)
	if !ok {
		return outhttp.Answer{}, 0, errors.New("no kind of event has that name")
	}
	now := time.Now()
	k, err := r.keysOf(ctx, d.AccountID, now)
	if err != nil {
		return outhttp.Answer{}, 0, err
	}
	body, err := payload(sample(d.Name, typ, now, r.cfg.BaseURL), k, now, newToken())
	if err != nil {
		return outhttp.Answer{}, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	answer, err := r.sender.Post(ctx, url, contentType, body)
	return answer, time.Since(now), err
}

// sample returns an event such as the domain's would be, marked as a test.
func sample(domain string, typ event.Type, now time.Time, base string) event.Wire {
	record := event.Record{ID: mail.FirstID(now), Time: now, Type: typ, Recipient: "alice@example.net"}
	yes, host := true, "mx1.example.net"
	switch typ {
	case event.Delivered:
		record.Data.Status = &event.Status{AttemptNo: 1, Code: 250, Message: "OK", SessionSeconds: 0.4, TLS: &yes, CertificateVerified: &yes, MXHost: &host, UTF8: &yes}
	case event.FailedTemporary:
		wait := 600
		record.Data.Reason = "generic"
		record.Data.Status = &event.Status{AttemptNo: 1, Code: 451, Message: "4.7.1 try again later", EnhancedCode: "4.7.1", SessionSeconds: 0.4, RetrySeconds: &wait, TLS: &yes, CertificateVerified: &yes, MXHost: &host, UTF8: &yes}
	case event.FailedPermanent:
		record.Data.Reason = "bounce"
		record.Data.Status = &event.Status{AttemptNo: 1, Code: 550, Message: "5.1.1 no such user", EnhancedCode: "5.1.1", BounceType: "hard", SessionSeconds: 0.4, TLS: &yes, CertificateVerified: &yes, MXHost: &host, UTF8: &yes}
	}
	meta := event.Meta{
		Domain: domain, MessageID: "test." + newToken()[:16] + "@" + domain, Sender: "bob@" + domain, From: "Bob <bob@" + domain + ">", To: "Alice <alice@example.net>",
		Subject: "Test of a webhook", Recipients: []string{"alice@example.net"}, Size: 586, Method: "http", Authenticated: true,
		Variables: map[string]string{"test": "yes"},
	}
	w := event.Render(&record, &meta, base)
	w.Flags.IsSystemTest = true
	return w
}

// counters are the numbers of the room.
type counters struct{ delivered, rejected, deferred, failed atomic.Int64 }

func (c *counters) count(o Outcome) {
	switch o {
	case Delivered:
		c.delivered.Add(1)
	case Rejected:
		c.rejected.Add(1)
	case Deferred:
		c.deferred.Add(1)
	case Failed:
		c.failed.Add(1)
	}
}

// Stats are numbers since the start, and the present.
type Stats struct {
	Delivered, Rejected, Deferred, Failed int64 // attempts by outcome
	Targets, Failing, Disabled, Behind    int   // now
}

// Stats returns the numbers of now.
func (r *Room) Stats() Stats {
	s := Stats{Delivered: r.stats.delivered.Load(), Rejected: r.stats.rejected.Load(), Deferred: r.stats.deferred.Load(), Failed: r.stats.failed.Load()}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.table.targets {
		t.mu.Lock()
		s.Targets++
		switch {
		case !t.disabledAt.IsZero():
			s.Disabled++
		case !t.failingSince.IsZero():
			s.Failing++
		}
		if !t.live && t.disabledAt.IsZero() {
			s.Behind++
		}
		t.mu.Unlock()
	}
	return s
}
