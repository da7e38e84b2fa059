package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A task is a job with the leases that stand behind it. Its rows are all of one
// message and one next hop. Fields do not change after it was made, except cancel
// (guarded by Queue.mu).
type task struct {
	hop       *hop
	domainID  int64
	domain    string
	message   mail.ID
	messageID string
	envelope  mail.Envelope
	size      int64
	tags      []string // of the message
	rows      []store.Row
	leased    time.Time
	open      opener
	offer     *offer // nil if leased from the store
	probe     bool   // sent out to see whether an outage is over; guarded by Queue.mu
	cancel    context.CancelCauseFunc
}

func (t *task) refs() []store.LeaseRef {
	refs := make([]store.LeaseRef, len(t.rows))
	for i, r := range t.rows {
		refs[i] = store.LeaseRef{Row: r.ID, Lease: r.Lease}
	}
	return refs
}

// job returns what the attempter gets, with the sending domain's facts of now.
func (t *task) job(d store.Domain) mail.Job {
	j := mail.Job{
		Message: t.message, DomainID: t.domainID, Domain: or(d.Name, t.domain), MessageID: t.messageID,
		Envelope: t.envelope, DomainTLS: d.TLS, Settings: d.Delivery, NextHop: t.hop.name,
		Recipients: make([]mail.Recipient, len(t.rows)), Size: t.size,
		Accepted: t.message.Time(), Leased: t.leased, Open: t.open,
	}
	for i, r := range t.rows {
		j.Recipients[i] = mail.Recipient{Row: r.ID, Lease: r.Lease, Address: r.Recipient, Attempt: r.Attempt + 1, Expires: r.Expires}
	}
	return j
}

// fromStore reads a message's content when the attempt asks for it.
func (q *Queue) fromStore(domainID int64, id mail.ID) opener {
	return func() (io.ReadCloser, error) {
		c, err := q.roles.Contents.Content(context.Background(), domainID, id)
		if err != nil {
			return nil, fmt.Errorf("open content of %s: %w", id, err)
		}
		return c.Open()
	}
}

// start takes h's next ready job and attempts it in a goroutine of its own.
// Called with mu held.
func (q *Queue) start(h *hop, now time.Time) {
	t := h.ready[0]
	h.ready[0] = nil
	h.ready = h.ready[1:]
	q.ready -= len(t.rows)
	h.started++
	h.limiter.Start(now)
	q.inFlight++
	q.stats.Attempts++
	if q.outage.down {
		t.probe, q.outage.probing = true, true
	}
	limit := attemptBase + time.Duration(t.size/attemptOctets)*time.Second
	ctx, cancel := context.WithCancelCause(q.ctx)
	ctx, release := context.WithTimeoutCause(ctx, limit, ErrTooLong)
	t.cancel = cancel
	q.work.Go(func() {
		defer cancel(nil)
		defer release()
		q.attempt(ctx, t)
	})
}

// attempt makes one attempt and records what became of it.
func (q *Queue) attempt(ctx context.Context, t *task) {
	began, _ := q.clock.now()
	d, err := q.roles.Domains.DomainByID(ctx, t.domainID)
	j := t.job(d)
	var r mail.Report
	o, stop := q.refused(j, d, err, began)
	var withheld []store.SuppressionList
	if !stop {
		withheld, err = q.withheld(t, j, began)
		if stop = err != nil; stop {
			q.storeError("look for suppressed recipients", err)
			o = untried(j, began.Add(SelfWait), "suppressed recipients could not be looked up")
		} else {
			r = q.tryOthers(ctx, j, withheld)
		}
	}
	ended, doubted := q.clock.now()
	if r.Finished.IsZero() {
		r.Started, r.Finished = began, ended
	}
	q.mu.Lock()
	if stop {
		t.hop.limiter.Ended()
	} else {
		r = q.learn(t, j, r, began, ended)
	}
	if t.probe {
		q.outage.probing = false
	}
	q.place(t.hop, ended)
	q.mu.Unlock()
	q.nudge()

	if !stop {
		// The queue's own clock decides about expiry, not the attempter's.
		settled := r
		settled.Finished = ended
		o = Settle(j, settled, q.schedule(doubted), ended)
		failWithheld(&o, j, withheld)
	}
	q.record(t, j, r, o, "")
}

// schedule returns the schedule for one job's settlement.
func (q *Queue) schedule(doubted bool) Schedule {
	s := q.config.Schedule
	s.Jitter, s.ClockDoubted = q.config.Jitter(), doubted
	return s
}

// try calls the attempter. A panic in it costs this job one attempt and nobody
// else anything (REL-09).
func (q *Queue) try(ctx context.Context, j mail.Job) (r mail.Report) {
	defer func() {
		if p := recover(); p != nil {
			q.mu.Lock()
			q.stats.Panics++
			q.mu.Unlock()
			q.log.Error("attempt panicked", "message", j.Message.String(), "next-hop", j.NextHop, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r = mail.Report{} // no results: Settle defers every recipient
		}
	}()
	return q.attempter.Attempt(ctx, j)
}

// refused decides jobs whose sending domain does not allow an attempt. A disabled
// domain's mail waits and does not grow older by attempts; when the domain was
// deleted, by a person, its mail fails for good.
func (q *Queue) refused(j mail.Job, d store.Domain, err error, now time.Time) (o store.Outcome, stop bool) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		r := mail.Report{Started: now, Finished: now}
		for range j.Recipients {
			r.Results = append(r.Results, mail.RecipientResult{Outcome: mail.Bounced, Scope: mail.ScopeMessage, Reason: reasonGeneric,
				Reply: mail.LocalReply(550, "5.7.1", "sending domain was deleted")})
		}
		return Settle(j, r, Schedule{}, now), true
	case err != nil:
		q.storeError("read sending domain", err)
		return untried(j, now.Add(SelfWait), "sending domain could not be read"), true
	case d.State == store.DomainDisabled:
		return untried(j, now.Add(q.config.HoldOff), "sending domain is disabled"), true
	}
	return store.Outcome{}, false
}

// untried is the outcome of a job that waits without an attempt being counted.
func untried(j mail.Job, due time.Time, why string) store.Outcome {
	o := store.Outcome{Message: j.Message, DomainID: j.DomainID}
	for _, r := range j.Recipients {
		o.Rows = append(o.Rows, store.RowOutcome{Row: r.Row, Lease: r.Lease, Due: due, Attempt: r.Attempt - 1, LastReply: why})
	}
	return o
}

// learn takes from a report what it says about the next hop and about ourselves.
// It returns the report with failures that are our own fault marked so.
// Called with mu held.
func (q *Queue) learn(t *task, j mail.Job, r mail.Report, began, now time.Time) mail.Report {
	h := t.hop
	f, hostResult := judge(r)
	if q.outage.observe(h.name, f, now) {
		q.log.Warn("reachability changed", "outage", q.outage.down)
	}
	switch f {
	case reached:
		h.limiter.Succeeded()
		h.verdict = nil
		h.class = proven
		if now.Sub(began) >= q.config.Slow {
			h.class = suffering
		}
		return r
	case tellsNothing:
		h.limiter.Ended()
		if now.Sub(began) >= q.config.Slow {
			h.class = suffering
		}
		return r
	}
	self := q.outage.blames(f, began)
	if self {
		h.limiter.Ended()
		h.limiter.Pause(now.Add(selfPause + time.Duration(float64(selfPause)*q.config.Jitter())))
	} else {
		h.limiter.Failed(began, now, q.config.Jitter())
		h.class = suffering
		hostResult.Session = nil // it was another message's
		h.verdict = &verdict{result: hostResult, started: began, finished: now}
		q.unready(h, all)
	}
	return rescope(r, self)
}

// judge says what a report tells about reachability, with the result that reaches
// every message to the next hop, if there is one.
func judge(r mail.Report) (f finding, host mail.RecipientResult) {
	for _, res := range r.Results {
		answered := !res.Reply.Local && res.Reply.Code != 0
		switch {
		case res.Outcome == mail.Delivered, answered && res.Outcome != mail.Abandoned && res.Scope != mail.ScopeHost && res.Scope != mail.ScopeSelf:
			return reached, mail.RecipientResult{}
		case res.Outcome != mail.Deferred:
		case res.Scope == mail.ScopeHost:
			f, host = noAnswer, res
		case res.Scope == mail.ScopeSelf && f != noAnswer:
			f = ownTrouble
			host = res
		}
	}
	return f, host
}

// rescope marks failures to reach anybody as our own fault, or takes that mark
// away.
func rescope(r mail.Report, self bool) mail.Report {
	results := make([]mail.RecipientResult, len(r.Results))
	for i, res := range r.Results {
		switch {
		case res.Outcome != mail.Deferred:
		case self && res.Scope == mail.ScopeHost:
			res.Scope = mail.ScopeSelf
		case !self && res.Scope == mail.ScopeSelf:
			res.Scope = mail.ScopeHost
		}
		results[i] = res
	}
	r.Results = results
	return r
}

// sharedNote is the description of a deferral that no attempt of its own stands
// behind.
const sharedNote = "an attempt for another message to the same next hop failed just before; this message was not tried by itself"

// shareVerdict defers jobs, without trying, by the failure of another one that
// reaches all messages to their next hop. With a hundred thousand messages for a host
// that is gone, each gets its event and its place in the schedule at once, and
// the host gets one probe at a time.
func (q *Queue) shareVerdict(tasks []*task, v *verdict) {
	var g errgroup.Group
	g.SetLimit(maxLeasing)
	for _, t := range tasks {
		g.Go(func() error {
			now, doubted := q.clock.now()
			d, err := q.roles.Domains.DomainByID(context.Background(), t.domainID)
			j := t.job(d)
			o, stop := q.refused(j, d, err, now)
			r := mail.Report{Started: v.started, Finished: v.finished}
			if !stop {
				for range j.Recipients {
					r.Results = append(r.Results, v.result)
				}
				o = Settle(j, r, q.schedule(doubted), now)
				for _, row := range o.Rows {
					if row.Event != nil && row.Event.Type == event.FailedTemporary {
						row.Event.Data.Status.Description = sharedNote
					}
				}
			}
			q.mu.Lock()
			q.inFlight++
			q.stats.Shared += int64(len(t.rows))
			q.mu.Unlock()
			q.record(t, j, r, o, "shared")
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
}

// record makes the outcome durable, whatever it takes, and then lets go of the
// job. Rows that the attempt abandoned are released as they were.
func (q *Queue) record(t *task, j mail.Job, r mail.Report, o store.Outcome, how string) {
	var abandoned []store.LeaseRef
	settled := store.Outcome{Message: o.Message, DomainID: o.DomainID}
	var due time.Time
	for i, row := range o.Rows {
		if row.Event == nil && !row.Final && i < len(r.Results) && r.Results[i].Outcome == mail.Abandoned {
			abandoned = append(abandoned, store.LeaseRef{Row: row.Row, Lease: row.Lease})
			continue
		}
		settled.Rows = append(settled.Rows, row)
		if !row.Final && (due.IsZero() || row.Due.Before(due)) {
			due = row.Due
		}
	}
	var lost []mail.ID
	recorded := true
	if len(settled.Rows) > 0 {
		// Not on the attempt's context: what happened must be recorded (REL-07).
		recorded = q.insist("settle outcome", func() (err error) {
			lost, err = q.roles.Queue.Settle(context.Background(), settled)
			return err
		})
	}
	q.release(abandoned)
	if recorded {
		q.logAttempt(j, r, o, lost, how)
	}
	if t.offer != nil {
		t.offer.release()
	}
	q.finish(t, r, o, lost, due, len(abandoned) > 0)
}

// finish gives the job's slot back and counts.
func (q *Queue) finish(t *task, r mail.Report, o store.Outcome, lost []mail.ID, due time.Time, abandoned bool) {
	now, _ := q.clock.now()
	q.mu.Lock()
	defer q.nudge()
	defer q.mu.Unlock()
	q.inFlight--
	delete(q.tasks, t)
	q.stats.Lost += int64(len(lost))
	for i, row := range o.Rows {
		if slices.Contains(lost, row.Row) {
			continue // its outcome is somebody else's
		}
		q.stats.count(row, i < len(r.Results) && r.Results[i].Outcome == mail.Abandoned)
	}
	if q.stopped {
		return
	}
	h := q.hopFor(t.hop.name)
	h.wantDue(due)
	if abandoned { // a short pause, in case it is abandoned again and again
		h.wantDue(now.Add(dueSoon))
	}
	q.place(h, now)
}

func (s *Stats) count(row store.RowOutcome, abandoned bool) {
	switch {
	case abandoned:
		s.Abandoned++
	case row.Event == nil:
	case row.Event.Type == event.Delivered:
		s.Delivered++
	case row.Event.Type == event.FailedTemporary:
		s.Deferred++
	case row.Event.Data.Reason == reasonOld:
		s.Expired++
	default:
		s.Bounced++
	}
}

// insist calls f until it succeeds, the store is closed or Shutdown has given up.
func (q *Queue) insist(what string, f func() error) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 30*time.Second) {
		err := f()
		if err == nil {
			return true
		}
		q.storeError(what, err)
		if errors.Is(err, store.ErrClosed) {
			return false
		}
		select {
		case <-q.kill:
			return false
		case <-time.After(pause):
		}
	}
}

// release gives leases back untouched.
func (q *Queue) release(refs []store.LeaseRef) {
	if len(refs) == 0 {
		return
	}
	q.insist("release leases", func() error { return q.roles.Queue.Release(context.Background(), refs) })
}
