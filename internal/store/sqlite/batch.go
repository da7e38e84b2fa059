package sqlite

import (
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A batch is one transaction of a committer.
type batch struct {
	w   *writer
	now time.Time

	first mail.ID // smallest event id of the batch; 0 before one was given
	next  mail.ID
	left  int

	notes []note
}

// A note is a change of the leases that a rollback takes back.
type note struct {
	row     mail.ID
	granted bool // leased by this batch; else claimed
}

// eventID gives an id for an event of this batch. From the first one on, readers
// look only at smaller ids, until the batch has ended.
func (b *batch) eventID() mail.ID {
	if b.left == 0 {
		const chunk = 1024
		if b.first == 0 {
			b.first = b.w.s.tides.begin(b.w.s.ids, chunk)
			b.next = b.first
		} else {
			b.next = b.w.s.ids.Reserve(chunk)
		}
		b.left = chunk
	}
	id := b.next
	b.next++
	b.left--
	return id
}

// claim takes a leased row for a change, if token is its lease and nothing else is
// changing it. A token of 0 claims a row that is not leased.
func (b *batch) claim(row mail.ID, token int64) bool {
	if !b.w.s.leases.claim(row, token) {
		return false
	}
	b.notes = append(b.notes, note{row: row})
	return true
}

// unclaim gives back the row that was claimed last, unchanged.
func (b *batch) unclaim() {
	b.undo(len(b.notes) - 1)
}

// grant leases a row that the batch inserts, before anybody can see it.
func (b *batch) grant(row mail.ID, dest string, token int64) {
	b.w.s.leases.grant(row, dest, token)
	b.notes = append(b.notes, note{row: row, granted: true})
}

// undo takes back the notes from mark on.
func (b *batch) undo(mark int) {
	for _, n := range b.notes[mark:] {
		if n.granted {
			b.w.s.leases.settled(n.row)
		} else {
			b.w.s.leases.unclaim(n.row)
		}
	}
	b.notes = b.notes[:mark]
}

func (b *batch) unregister() {
	if b.first != 0 {
		b.w.s.tides.end(b.first)
	}
}

// finish does in memory what the commit made true, and answers the operations.
func (b *batch) finish(ops []*op) {
	for _, n := range b.notes {
		if !n.granted {
			b.w.s.leases.settled(n.row)
		}
	}
	if b.first != 0 {
		b.w.day.newest.Store(int64(b.next - 1))
	}
	for _, o := range ops {
		if o.err == nil && o.committed != nil {
			o.committed()
		}
	}
	b.unregister()
	for _, o := range ops {
		o.done <- o.err
	}
}

// Tides keep readers from passing events that are still being committed: ids are
// given before the commit, and several files commit at once.
type tides struct {
	mu     sync.Mutex
	firsts map[mail.ID]struct{} // smallest id of every batch under way
}

// begin reserves n ids and notes that a batch with them is under way.
func (t *tides) begin(ids *mail.IDs, n int) mail.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := ids.Reserve(n)
	t.firsts[first] = struct{}{}
	return first
}

func (t *tides) end(first mail.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.firsts, first)
}

// mark returns an id such that every event with a smaller one is committed or
// never will be, and every event that is not has a larger one.
func (t *tides) mark(ids *mail.IDs) mail.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	low := ids.Next()
	for first := range t.firsts {
		low = min(low, first)
	}
	return low
}
