package queue

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Run schedules attempts until ctx ends or Shutdown is called, then waits for
// those under way as Shutdown describes. It returns nil after a shutdown, and an
// error if the store could not be asked for the backlog because it is closed.
// Call it once.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	if q.running {
		q.mu.Unlock()
		return errors.New("queue runs already")
	}
	q.running = true
	q.mu.Unlock()
	defer close(q.done)

	defer context.AfterFunc(ctx, q.beginStop)()
	err := q.load()
	if err == nil {
		q.loop()
	}
	q.beginStop()
	q.work.Wait()
	return err
}

// Shutdown begins nothing new, gives back what is leased and waiting, ends the
// context of attempts under way with [ErrShutdown] and waits until their outcomes are
// recorded. If ctx ends first it returns ctx's error and gives up recording;
// the rows' leases die with the process. It may be called more than once, also without Run.
func (q *Queue) Shutdown(ctx context.Context) error {
	q.beginStop()
	idle := q.done
	q.mu.Lock()
	if !q.running {
		idle = make(chan struct{})
		go func() { q.work.Wait(); close(idle) }()
	}
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		if !q.killed {
			q.killed = true
			close(q.kill)
		}
		return fmt.Errorf("shut down queue: %w", ctx.Err())
	}
}

// beginStop ends the beginning of new work, once.
func (q *Queue) beginStop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return
	}
	q.stopped = true
	close(q.stop)
	q.cancel(ErrShutdown)
	for _, h := range q.hops {
		q.unready(h, all)
	}
}

// nudge makes the loop look again.
func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// loop starts what may start, then waits for something to change.
func (q *Queue) loop() {
	renew := time.NewTicker(q.config.Renew)
	defer renew.Stop()
	resync := time.NewTicker(q.config.Resync)
	defer resync.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(q.pump())
		select {
		case <-q.stop:
			return
		case <-q.wake:
		case <-timer.C:
		case <-renew.C:
			q.goWork(q.renew)
		case <-resync.C:
			q.goWork(func() { q.resync() })
		}
	}
}

// goWork runs f in a goroutine that shutdown waits for. Called without mu; it
// does nothing once the queue has stopped.
func (q *Queue) goWork(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.stopped {
		q.work.Go(f)
	}
}

// load learns which next hops have mail. It tries until it can.
func (q *Queue) load() error {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := q.resync()
		if err == nil || errors.Is(err, store.ErrClosed) {
			return err
		}
		select {
		case <-q.stop:
			return nil
		case <-time.After(pause):
		}
	}
}

// resync takes over due times from the store's list of next hops.
func (q *Queue) resync() error {
	list, err := q.roles.Queue.NextHops(context.Background())
	if err != nil {
		q.storeError("list next hops", err)
		return fmt.Errorf("list next hops: %w", err)
	}
	now, _ := q.clock.now()
	q.mu.Lock()
	for _, n := range list {
		if n.Due.IsZero() {
			continue
		}
		h := q.hopFor(n.Name)
		if h.leasing { // it will learn from what it gets
			continue
		}
		h.wantDue(n.Due)
		q.place(h, now)
	}
	q.mu.Unlock()
	q.nudge()
	q.repairDue()
	return nil
}

// repairDue brings retries near again that were scheduled while the clock was
// ahead, after the time went back by following it.
func (q *Queue) repairDue() {
	if q.clock.takeAdopted() > -clockTolerance {
		return
	}
	now, _ := q.clock.now()
	limit := now.Add(2 * q.config.Schedule.longest())
	query := store.RowQuery{Limit: 1000}
	for {
		rows, err := q.roles.Queue.Rows(context.Background(), query)
		if err != nil {
			q.storeError("list rows after clock jump", err)
			return
		}
		for _, r := range rows {
			query.After = r.ID
			if r.Attempt == 0 || !r.Due.After(limit) || r.Lease != 0 {
				continue
			}
			if _, _, err := q.roles.Queue.Reschedule(context.Background(), store.RowQuery{DomainID: r.DomainID, Row: r.ID}, now); err != nil {
				q.storeError("reschedule row after clock jump", err)
				return
			}
			q.Wake(r.NextHop, now)
		}
		if len(rows) < 1000 {
			return
		}
	}
}

// pump gives turns to next hops until nothing more can start, and returns how
// long the loop may sleep if nothing happens.
func (q *Queue) pump() time.Duration {
	now, _ := q.clock.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return maxSleep
	}
	for len(q.waiting) > 0 && !q.waiting[0].next.After(now) {
		h := heap.Pop(&q.waiting).(*hop)
		if h.idle() {
			delete(q.hops, h.name)
			continue
		}
		q.place(h, now)
	}
	for h := q.pick(now); h != nil; h = q.pick(now) {
		q.turn(h, now)
	}
	sleep := maxSleep
	if len(q.waiting) > 0 {
		sleep = min(sleep, q.waiting[0].next.Sub(now))
	}
	if q.outage.down && !q.outage.probing && q.outage.nextTry.After(now) {
		sleep = min(sleep, q.outage.nextTry.Sub(now))
	}
	return max(sleep, time.Millisecond)
}

// pick takes the next hop whose turn it is: round-robin between the classes that
// may still use a connection, and between the hops of each. Called with mu held.
func (q *Queue) pick(now time.Time) *hop {
	if !q.outage.mayStart(now) || (q.outage.down && q.leasing > 0) || q.leasing >= maxLeasing {
		return nil
	}
	for i := range int(classes) {
		n := (q.lastRing + 1 + i) % int(classes)
		if q.rings[n].len() == 0 || q.inFlight >= class(n).share(q.config.MaxConnections) {
			continue
		}
		q.lastRing = n
		h := q.rings[n].pop()
		h.inRing = false
		return h
	}
	return nil
}

// turn lets h do one thing: start one job, or fetch rows. Called with mu held.
func (q *Queue) turn(h *hop, now time.Time) {
	free := h.limiter.Free(now)
	due := h.mayLease() && !h.due.After(now)
	switch {
	case h.frozen > 0:
	case due && q.sweepable(h, now):
		if q.sweeping < maxSweeping {
			q.sweeping++
			q.lease(h, sweepRows, h.verdict, now)
		}
	case due && free > 0:
		limit := min(q.config.MaxRecipients, 1000)
		if len(h.ready) > 0 {
			limit = min(limit, turnsOfNew)
		} else if q.ready >= q.config.MaxReady {
			limit = min(limit, free)
		}
		q.lease(h, limit, nil, now)
	case free > 0 && len(h.ready) > 0:
		q.start(h, now)
	}
	q.place(h, now)
}

// lease fetches rows of h in the background; with a verdict they share it.
// Called with mu held.
func (q *Queue) lease(h *hop, limit int, v *verdict, now time.Time) {
	h.leasing, h.started = true, 0
	h.due = time.Time{} // rows that come meanwhile set it again
	q.leasing++
	q.work.Go(func() {
		res, err := q.roles.Queue.Lease(context.Background(), store.LeaseRequest{NextHop: h.name, Now: now, Limit: limit})
		if err != nil {
			q.storeError("lease rows", err)
		}
		at, _ := q.clock.now()
		tasks, orphans := q.group(h, res, at)
		if len(orphans) > 0 {
			q.log.Error("rows without a message", "next-hop", h.name, "rows", len(orphans))
			q.release(orphans)
		}
		if v != nil {
			q.shareVerdict(tasks, v)
			tasks = nil
		}
		q.leased(h, res, tasks, err, v != nil)
	})
}

// leased takes over what a call of Lease gave.
func (q *Queue) leased(h *hop, res store.LeaseResult, tasks []*task, err error, swept bool) {
	now, _ := q.clock.now()
	q.mu.Lock()
	defer q.nudge()
	defer q.mu.Unlock()
	h.leasing = false
	q.leasing--
	if swept {
		q.sweeping--
	}
	switch {
	case err != nil:
		h.errors++
		h.due = now.Add(min(time.Second<<min(h.errors-1, 5), 30*time.Second))
	case len(res.Rows) == 0 && !res.NextDue.IsZero() && !res.NextDue.After(now):
		h.wantDue(now.Add(dueSoon)) // due and yet not given: do not ask in a circle
	default:
		h.errors = 0
		h.wantDue(res.NextDue)
	}
	rest := h.ready
	h.ready = nil
	for _, t := range tasks { // they waited longest
		q.addReady(h, t)
	}
	h.ready = append(h.ready, rest...)
	if q.stopped {
		q.unready(h, all)
		return
	}
	q.place(h, now)
}

// group makes jobs of leased rows: one per message, cut at the largest number of
// recipients. Orphans are leases of rows whose message is missing.
func (q *Queue) group(h *hop, res store.LeaseResult, now time.Time) (tasks []*task, orphans []store.LeaseRef) {
	open := make(map[mail.ID]*task)
	for _, row := range res.Rows {
		m, ok := res.Messages[row.Message]
		if !ok {
			orphans = append(orphans, store.LeaseRef{Row: row.ID, Lease: row.Lease})
			continue
		}
		t := open[row.Message]
		if t == nil || len(t.rows) >= q.config.MaxRecipients {
			t = &task{hop: h, domainID: m.DomainID, message: m.ID, envelope: m.Envelope,
				messageID: m.Meta.MessageID, domain: m.Meta.Domain, size: m.Size, tags: m.Meta.Tags, leased: now}
			t.open = q.fromStore(m.DomainID, m.ID)
			open[row.Message] = t
			tasks = append(tasks, t)
		}
		t.rows = append(t.rows, row)
	}
	return tasks, orphans
}

// renew keeps the leases of everything held alive, and gives up what was lost.
func (q *Queue) renew() {
	q.mu.Lock()
	var refs []store.LeaseRef
	owner := make(map[mail.ID]*task)
	for t := range q.tasks {
		refs = append(refs, t.refs()...)
		for _, r := range t.rows {
			owner[r.ID] = t
		}
	}
	q.mu.Unlock()
	if len(refs) == 0 {
		return
	}
	lost, err := q.roles.Queue.Renew(context.Background(), refs)
	if err != nil {
		q.storeError("renew leases", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range lost {
		t := owner[id]
		if t == nil {
			continue
		}
		if t.cancel != nil {
			t.cancel(ErrLeaseLost)
			continue
		}
		q.unready(t.hop, func(other *task) bool { return other == t })
	}
}

// storeError logs and counts a failed call that will be made again.
func (q *Queue) storeError(what string, err error) {
	q.mu.Lock()
	q.stats.StoreErrors++
	q.mu.Unlock()
	q.log.Warn("store call failed", "call", what, "error", err)
}
