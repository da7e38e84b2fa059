package queue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A State says where a row stands.
type State string

// States of rows, with the limit under which a row waits.
const (
	StateHeld       State = "held"        // a person holds it
	StateInProgress State = "in-progress" // an attempt is being made or recorded
	StateReady      State = "ready"       // leased, the next free slot is its
	StateScheduled  State = "scheduled"   // not due yet
	StateBackoff    State = "backoff"     // due; nobody answered at its next hop, which pauses
	StateLimited    State = "limited"     // due; its next hop has as many attempts as it may have
	StateOutage     State = "outage"      // due; nothing at all can be reached from here
	StateBusy       State = "busy"        // due; all connections are in use
	StateDue        State = "due"         // due; it will be fetched at once
	StateStopped    State = "stopped"     // the queue is not running
)

// An Explanation says why a row is not on its way, and when it will be.
type Explanation struct {
	Row   store.Row
	State State
	Next  time.Time // earliest next attempt; zero if that depends on something other than time
	// InFlight and Window are the attempts being made to the next hop and how many
	// it may have; Failures says that nobody answered there last.
	InFlight, Window int
	Failing          bool
	Sentence         string // the same in words, for people
}

// List returns queue rows by id.
func (q *Queue) List(ctx context.Context, query store.RowQuery) ([]store.Row, error) {
	rows, err := q.roles.Queue.Rows(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	return rows, nil
}

// Explain says of each row that matches why it is not on its way now.
func (q *Queue) Explain(ctx context.Context, query store.RowQuery) ([]Explanation, error) {
	rows, err := q.List(ctx, query)
	if err != nil {
		return nil, err
	}
	patience := q.patience(ctx, rows)
	now, _ := q.clock.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	flying := make(map[mail.ID]bool)
	if len(rows) > 0 {
		for t := range q.tasks {
			for _, r := range t.rows {
				flying[r.ID] = t.cancel != nil
			}
		}
	}
	out := make([]Explanation, len(rows))
	for i, row := range rows {
		inFlight, leased := flying[row.ID]
		out[i] = q.explain(row, leased, inFlight, now)
		out[i].Sentence += giveUpSentence(row, patience[row.DomainID])
	}
	return out, nil
}

// patience returns how long the sending domains of rows wait for the required TLS. A domain
// that cannot be read has the default.
func (q *Queue) patience(ctx context.Context, rows []store.Row) map[int64]time.Duration {
	known := map[int64]time.Duration{}
	for _, r := range rows {
		if _, ok := known[r.DomainID]; !ok {
			d, _ := q.roles.Domains.DomainByID(ctx, r.DomainID)
			known[r.DomainID] = d.Delivery.GiveUpAfter
		}
	}
	return known
}

// giveUpSentence says when a copy that lacks the required TLS is given up; empty if
// that is not what it waits for. Only the last reply is kept of the last failure, and
// its enhanced code tells those of policies (RFC 3463: x.7.10, x.7.5).
func giveUpSentence(row store.Row, after time.Duration) string {
	if after <= 0 || !strings.Contains(row.LastReply, " 4.7.10 ") && !strings.Contains(row.LastReply, " 4.7.5 ") {
		return ""
	}
	return fmt.Sprintf(" If the required TLS is still not to be had at the first attempt after %s, it is given up (require-tls-give-up-after = %s).",
		row.Message.Time().Add(after).Format(time.RFC3339), after)
}

func (q *Queue) explain(row store.Row, leased, inFlight bool, now time.Time) Explanation {
	e := Explanation{Row: row}
	h := q.hops[row.NextHop]
	if h != nil {
		e.InFlight, e.Window, e.Failing = h.limiter.InFlight(), h.limiter.Window(), h.limiter.Failing()
	}
	switch {
	case row.Held:
		e.State, e.Sentence = StateHeld, "Held by a person until it is released."
	case inFlight:
		e.State, e.Sentence = StateInProgress, fmt.Sprintf("Attempt %d is being made now.", row.Attempt+1)
	case q.stopped || !q.running:
		e.State, e.Sentence = StateStopped, "The queue is not running."
	case !leased && row.Due.After(now):
		e.State, e.Next = StateScheduled, row.Due
		e.Sentence = fmt.Sprintf("Attempt %d is scheduled for %s.", row.Attempt+1, row.Due.UTC().Format(time.RFC3339))
	case q.outage.down:
		e.State, e.Next = StateOutage, q.outage.nextTry
		e.Sentence = "Nothing can be reached from here; attempts pause, without being counted, until a probe gets through."
	case h != nil && now.Before(h.limiter.Until()):
		e.State, e.Next = StateBackoff, h.limiter.Until()
		e.Sentence = fmt.Sprintf("Nobody answered at %s; the next probe goes out at %s.", row.NextHop, e.Next.UTC().Format(time.RFC3339))
	case h != nil && h.limiter.Free(now) == 0:
		e.State, e.Next = StateLimited, h.limiter.Next(now)
		e.Sentence = fmt.Sprintf("%d of %d attempts that %s may have at once are being made.", e.InFlight, e.Window, row.NextHop)
	case h != nil && q.inFlight >= h.class.share(q.config.MaxConnections):
		e.State, e.Sentence = StateBusy, fmt.Sprintf("All connections open to next hops like %s are in use.", row.NextHop)
	case leased:
		e.State, e.Next, e.Sentence = StateReady, now, "Ready; the next free connection is its."
	default:
		e.State, e.Next, e.Sentence = StateDue, now, "Due; it will be fetched at once."
	}
	if row.LastReply != "" && e.State != StateInProgress {
		e.Sentence += fmt.Sprintf(" The last attempt ended with %q.", row.LastReply)
	}
	return e
}

// Retry makes matching rows due now and lets their next hops' pauses end. It
// returns how many it changed; rows being attempted are left alone.
func (q *Queue) Retry(ctx context.Context, query store.RowQuery) (int, error) {
	defer q.setAside(query)()
	now, _ := q.clock.now()
	n, hops, err := q.roles.Queue.Reschedule(ctx, query, now)
	if err != nil {
		return n, fmt.Errorf("retry: %w", err)
	}
	q.wakeAll(hops, true)
	return n, nil
}

// Reschedule makes matching rows due at another time, which may be long from now or past, and returns how many
// it changed; rows being attempted are left alone.
func (q *Queue) Reschedule(ctx context.Context, query store.RowQuery, due time.Time) (int, error) {
	defer q.setAside(query)()
	n, hops, err := q.roles.Queue.Reschedule(ctx, query, due)
	if err != nil {
		return n, fmt.Errorf("reschedule: %w", err)
	}
	for _, name := range hops {
		q.Wake(name, due)
	}
	return n, nil
}

// Hold keeps matching rows from being attempted until they are released. Rows
// being attempted are left alone.
func (q *Queue) Hold(ctx context.Context, query store.RowQuery) (int, error) {
	defer q.setAside(query)()
	n, _, err := q.roles.Queue.SetHeld(ctx, query, true)
	if err != nil {
		return n, fmt.Errorf("hold: %w", err)
	}
	return n, nil
}

// Release undoes Hold.
func (q *Queue) Release(ctx context.Context, query store.RowQuery) (int, error) {
	n, hops, err := q.roles.Queue.SetHeld(ctx, query, false)
	if err != nil {
		return n, fmt.Errorf("release: %w", err)
	}
	q.wakeAll(hops, false)
	return n, nil
}

// Cancel removes matching rows for good, each with a permanent failure in the
// log. Rows being attempted are left alone.
func (q *Queue) Cancel(ctx context.Context, query store.RowQuery) (int, error) {
	defer q.setAside(query)()
	n, err := q.roles.Queue.Cancel(ctx, query, event.Data{Reason: reasonGeneric, Status: &event.Status{
		Code: 554, EnhancedCode: "5.7.1", Message: "cancelled", Description: "cancelled by the operator", Local: true}})
	if err != nil {
		return n, fmt.Errorf("cancel: %w", err)
	}
	return n, nil
}

// setAside gives ready rows that match back to the store, where a verb can reach
// them, and keeps their next hops from fetching until the returned function is
// called. Rows that are being fetched at this very moment escape it; the number a verb
// returns tells.
func (q *Queue) setAside(query store.RowQuery) (thaw func()) {
	q.mu.Lock()
	var back []*task
	var frozen []*hop
	for _, h := range q.hops {
		if pulled := q.pull(h, func(t *task) bool { return t.matches(query) }); len(pulled) > 0 {
			h.frozen++
			frozen = append(frozen, h)
			back = append(back, pulled...)
		}
	}
	q.mu.Unlock()
	q.putBack(back)
	return func() {
		now, _ := q.clock.now()
		q.mu.Lock()
		for _, h := range frozen {
			h.frozen--
			if !q.stopped {
				q.place(h, now)
			}
		}
		q.mu.Unlock()
		q.nudge()
	}
}

// matches reports whether one of the task's rows matches.
func (t *task) matches(query store.RowQuery) bool {
	if query.DomainID != 0 && query.DomainID != t.domainID ||
		query.Message != 0 && query.Message != t.message ||
		query.MessageID != "" && query.MessageID != t.messageID ||
		query.NextHop != "" && query.NextHop != t.hop.name {
		return false
	}
	// A task does not know its tags. The store does, and gets too many back rather than too few.
	for _, r := range t.rows {
		if (query.Row == 0 || query.Row == r.ID) && r.ID > query.After &&
			(query.Recipient == "" || strings.ToLower(query.Recipient) == r.Recipient.Key()) {
			return true
		}
	}
	return false
}

func (q *Queue) wakeAll(nextHops []string, forgive bool) {
	now, _ := q.clock.now()
	for _, name := range nextHops {
		if forgive {
			q.mu.Lock()
			if h := q.hops[name]; h != nil {
				h.limiter.Forgive()
				h.verdict = nil
			}
			q.mu.Unlock()
		}
		q.Wake(name, now)
	}
}
