package queue

import (
	"container/heap"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/throttle"
)

// A class says how much of all connections a next hop may share in (REL-41):
// however many tarpits there are, the others find free slots.
type class uint8

const (
	proven    class = iota // answered last time, in good time: 100 %
	unknown                // 80 %
	suffering              // nobody answered, or only slowly: 60 %
	classes
)

// share returns how many of n connections may be in use for one of the class to
// start another.
func (c class) share(n int) int {
	switch c {
	case proven:
		return n
	case unknown:
		return max(n*80/100, 1)
	}
	return max(n*60/100, 1)
}

// A hop is all that is kept of a next hop. Fields are guarded by Queue.mu.
type hop struct {
	name    string
	due     time.Time // earliest row to be had from the store, zero if none is known
	ready   []*task   // leased, waiting for a slot
	limiter throttle.Limiter
	class   class
	leasing bool // a call of Lease is under way
	started int  // jobs since rows were fetched last
	frozen  int  // a person changes its rows: nothing begins
	errors  int  // failed calls of Lease in a row
	// verdict is the last failure that reached every message to this next hop.
	verdict *verdict

	next   time.Time // when it wants attention, while in the heap
	index  int       // in the heap, -1 if not
	inRing bool
}

// A verdict is a failure shared by all messages to a next hop.
type verdict struct {
	result            mail.RecipientResult
	started, finished time.Time
}

// idle reports whether the hop has no work at all.
func (h *hop) idle() bool {
	return h.due.IsZero() && len(h.ready) == 0 && !h.leasing && h.frozen == 0 && h.limiter.InFlight() == 0
}

// wantDue notes that rows of the hop are to be had at due.
func (h *hop) wantDue(due time.Time) {
	if !due.IsZero() && (h.due.IsZero() || due.Before(h.due)) {
		h.due = due
	}
}

// hopFor returns the named hop, making it if needed. Called with mu held.
func (q *Queue) hopFor(name string) *hop {
	h := q.hops[name]
	if h == nil {
		h = &hop{name: name, limiter: throttle.New(q.config.NextHop), class: unknown, index: -1}
		q.hops[name] = h
	}
	return h
}

// place puts h where it will be looked at next: now, at a time, or when something
// happens to it. Called with mu held.
func (q *Queue) place(h *hop, now time.Time) {
	if h.inRing {
		return
	}
	if h.index >= 0 {
		heap.Remove(&q.waiting, h.index)
	}
	at, wants := q.wants(h, now)
	switch {
	case !wants && h.idle():
		if h.class == unknown && !h.limiter.Failing() {
			delete(q.hops, h.name)
			return
		}
		h.next = now.Add(idleMemory)
		heap.Push(&q.waiting, h)
	case !wants: // the end of an attempt or lease places it again
	case at.After(now):
		h.next = at
		heap.Push(&q.waiting, h)
	default:
		h.inRing = true
		q.rings[h.class].push(h)
		if q.outage.down && len(h.ready) > 0 { // it becomes the probe, before others fetch rows for one
			q.rings[h.class].last()
		}
	}
}

// wants returns when h could do something next, if only time must pass for it.
func (q *Queue) wants(h *hop, now time.Time) (at time.Time, ok bool) {
	if h.frozen > 0 {
		return time.Time{}, false
	}
	free := h.limiter.Next(now)
	if len(h.ready) > 0 && !free.IsZero() {
		at, ok = free, true
	}
	if !h.mayLease() {
		return at, ok
	}
	fetch := h.due
	switch {
	case q.sweepable(h, now) && fetch.Before(h.limiter.Until()):
		if q.sweeping >= maxSweeping && !fetch.After(now) {
			fetch = now.Add(dueSoon / 10)
		}
	case free.IsZero():
		return at, ok
	case free.After(fetch):
		fetch = free
	}
	if !ok || fetch.Before(at) {
		at = fetch
	}
	return at, true
}

// mayLease reports whether rows may be fetched as soon as they are due: when
// nothing is at hand, and now and then also when new mail always is, or the
// retries would never get their turn.
func (h *hop) mayLease() bool {
	return !h.due.IsZero() && !h.leasing && (len(h.ready) == 0 || h.started >= turnsOfNew)
}

// sweepable reports whether h's rows share the last verdict instead of trying by
// themselves.
func (q *Queue) sweepable(h *hop, now time.Time) bool {
	return h.verdict != nil && h.limiter.Down() && now.Before(h.limiter.Until()) && !q.outage.down
}

// A ring is a first-in first-out list of hops.
type ring struct {
	hops []*hop
	head int
}

func (r *ring) len() int { return len(r.hops) - r.head }

func (r *ring) push(h *hop) { r.hops = append(r.hops, h) }

// last moves the hop pushed last to the front.
func (r *ring) last() {
	n := len(r.hops) - 1
	r.hops[r.head], r.hops[n] = r.hops[n], r.hops[r.head]
}

func (r *ring) pop() *hop {
	h := r.hops[r.head]
	r.hops[r.head] = nil
	if r.head++; r.head == len(r.hops) {
		r.hops, r.head = r.hops[:0], 0
	} else if r.head > 1024 && r.head*2 > len(r.hops) {
		n := copy(r.hops, r.hops[r.head:])
		clear(r.hops[n:])
		r.hops, r.head = r.hops[:n], 0
	}
	return h
}

// A hopHeap orders hops by the time they want attention.
type hopHeap []*hop

func (q hopHeap) Len() int           { return len(q) }
func (q hopHeap) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q hopHeap) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push and Pop serve container/heap.
func (q *hopHeap) Push(x any) {
	h := x.(*hop)
	h.index = len(*q)
	*q = append(*q, h)
}

func (q *hopHeap) Pop() any {
	old := *q
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	h.index = -1
	return h
}
