package queue

import (
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// offeredPerSlot is how many offered jobs a next hop may keep waiting for each
// attempt it may make at once; more go back to the store, so that one stalled next
// hop cannot hold the whole budget.
const offeredPerSlot = 4

// Reserve asks for room for the content of a message about to be accepted, of the
// given octets. If it returns true the accept room stores the message leased and
// calls Offer, or Unreserve if it could not. If false, it stores the message
// unleased and calls Wake for each next hop.
func (q *Queue) Reserve(size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped || size < 0 || q.budget+size > q.config.Budget {
		return false
	}
	q.budget += size
	return true
}

// Unreserve gives back what Reserve gave, where Offer does not follow.
func (q *Queue) Unreserve(size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.budget = max(q.budget-size, 0)
}

// Offer hands over a message that was accepted with all its rows leased and room
// reserved for m.Content.Size octets. From here on the queue owns m; Content.Open must
// work until done is called, which happens exactly once, from any goroutine, when no job of
// the message is left; the reserved room is given back just before. done may be nil.
func (q *Queue) Offer(m *store.NewMessage, done func()) {
	now, _ := q.clock.now()
	o := &offer{queue: q, size: m.Content.Size, done: done}
	var tasks []*task
	open := make(map[string]*task)
	for _, row := range m.Rows {
		t := open[row.NextHop]
		if t == nil || len(t.rows) >= q.config.MaxRecipients {
			t = &task{domainID: m.DomainID, domain: m.Meta.Domain, message: m.ID, messageID: m.Meta.MessageID,
				envelope: m.Envelope, size: m.Content.Size, tags: m.Meta.Tags, leased: now, open: m.Content.Open, offer: o}
			open[row.NextHop] = t
			tasks = append(tasks, t)
		}
		t.rows = append(t.rows, row)
	}
	o.jobs.Store(int64(len(tasks)) + 1)
	var back []*task
	q.mu.Lock()
	for _, t := range tasks {
		q.stats.Offered++
		t.hop = q.hopFor(t.rows[0].NextHop)
		q.addReady(t.hop, t)
		if q.stopped || len(t.hop.ready) > offeredPerSlot*t.hop.limiter.Window() || now.Before(t.hop.limiter.Until()) {
			back = append(back, q.pull(t.hop, func(other *task) bool { return other == t })...)
		} else {
			q.place(t.hop, now)
		}
	}
	if len(back) > 0 && !q.stopped {
		later := back
		back = nil
		q.work.Go(func() { q.putBack(later) })
	}
	q.mu.Unlock()
	q.nudge()
	q.putBack(back)
	o.release() // an offer without rows is done at once
}

// Wake tells that rows of a next hop are due at the given time: after a message was
// stored unleased, or after anything else made rows due. Calling it without need is harmless.
func (q *Queue) Wake(nextHop string, due time.Time) {
	now, _ := q.clock.now()
	q.mu.Lock()
	if !q.stopped {
		h := q.hopFor(nextHop)
		h.wantDue(due)
		q.place(h, now)
	}
	q.mu.Unlock()
	q.nudge()
}

// An offer is what the jobs of one offered message share.
type offer struct {
	queue *Queue
	size  int64
	done  func()
	jobs  atomic.Int64
}

// release is called once for each job, without Queue.mu, and once by Offer.
func (o *offer) release() {
	if o.jobs.Add(-1) > 0 {
		return
	}
	o.queue.Unreserve(o.size)
	if o.done != nil {
		o.done()
	}
}

// addReady puts a leased job in h's list. Called with mu held.
func (q *Queue) addReady(h *hop, t *task) {
	q.tasks[t] = struct{}{}
	h.ready = append(h.ready, t)
	q.ready += len(t.rows)
}

// pull takes the jobs that match out of h's list. The caller gives their rows
// back with putBack, without mu. Called with mu held.
func (q *Queue) pull(h *hop, match func(*task) bool) (back []*task) {
	keep := h.ready[:0]
	for _, t := range h.ready {
		if match(t) {
			back = append(back, t)
		} else {
			keep = append(keep, t)
		}
	}
	clear(h.ready[len(keep):])
	h.ready = keep
	for _, t := range back {
		q.ready -= len(t.rows)
		delete(q.tasks, t)
		if t.offer != nil {
			q.stats.Returned++
		}
	}
	return back
}

// putBack gives the rows of pulled jobs to the store again.
func (q *Queue) putBack(tasks []*task) {
	var refs []store.LeaseRef
	for _, t := range tasks {
		refs = append(refs, t.refs()...)
	}
	q.release(refs)
	for _, t := range tasks {
		if t.offer != nil {
			t.offer.release()
		}
	}
	now, _ := q.clock.now()
	for _, t := range tasks {
		q.Wake(t.hop.name, now)
	}
}

// unready pulls the jobs that match and puts them back in the background. Called
// with mu held, and only while Run cannot have returned yet.
func (q *Queue) unready(h *hop, match func(*task) bool) {
	if back := q.pull(h, match); len(back) > 0 {
		q.work.Go(func() { q.putBack(back) })
	}
}

func all(*task) bool { return true }
