package sqlite

import (
	"sync"

	"github.com/sealpost/sealpost/internal/mail"
)

// Leases say who holds which row. They live in memory only: this process is the
// only one on the data folder, and when it ends all leases are void.
//
// Rows are read from the files without a lock, so a row may be settled between
// the moment it was read as due and the moment it would be leased. While somebody reads,
// the rows that were changed meanwhile are therefore remembered and not leased;
// the next call sees them as they are.
type leases struct {
	reading sync.Mutex // held while rows are read in order to lease them

	mu      sync.Mutex
	held    map[mail.ID]lease
	dests   map[string]int // leased rows per next hop
	watched bool           // somebody reads
	changed map[mail.ID]struct{}
}

// A lease is one row in somebody's hands.
type lease struct {
	token int64 // 0: not leased, but being changed
	dest  string
	busy  bool // being changed by an operation
}

func newLeases() *leases {
	return &leases{held: map[mail.ID]lease{}, dests: map[string]int{}, changed: map[mail.ID]struct{}{}}
}

// watch begins a reading that ends with unwatch. One at a time.
func (l *leases) watch() {
	l.reading.Lock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched = true
}

func (l *leases) unwatch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched = false
	clear(l.changed)
	l.reading.Unlock()
}

// free reports whether a row that was read since watch can be leased.
func (l *leases) free(row mail.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isFree(row)
}

func (l *leases) isFree(row mail.ID) bool {
	_, held := l.held[row]
	_, changed := l.changed[row]
	return !held && !changed
}

// take leases a row that was read since watch, if it is still free.
func (l *leases) take(row mail.ID, dest string, token int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isFree(row) {
		return false
	}
	l.put(row, lease{token: token, dest: dest})
	return true
}

// grant leases a row that nobody else can know of yet.
func (l *leases) grant(row mail.ID, dest string, token int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(row, lease{token: token, dest: dest})
}

func (l *leases) put(row mail.ID, to lease) {
	l.held[row] = to
	if to.token != 0 {
		l.dests[to.dest]++
	}
}

func (l *leases) drop(row mail.ID) {
	if was := l.held[row]; was.token != 0 {
		if l.dests[was.dest]--; l.dests[was.dest] == 0 {
			delete(l.dests, was.dest)
		}
	}
	delete(l.held, row)
}

// token returns the lease of a row, 0 if it has none.
func (l *leases) token(row mail.ID) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[row].token
}

// holds reports whether any row of a next hop is leased.
func (l *leases) holds(dest string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dests[dest] > 0
}

// release gives a row back untouched, if token is its lease and no outcome is
// being recorded for it.
func (l *leases) release(row mail.ID, token int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, ok := l.held[row]; ok && token != 0 && was.token == token && !was.busy {
		l.drop(row)
	}
}

// claim takes a row for a change: the holder's with token, or a free one with 0.
func (l *leases) claim(row mail.ID, token int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, ok := l.held[row]
	switch {
	case token == 0 && ok, token != 0 && (!ok || was.token != token || was.busy):
		return false
	case token == 0:
		l.held[row] = lease{busy: true}
	default:
		was.busy = true
		l.held[row] = was
	}
	return true
}

// unclaim gives a claimed row back as it was.
func (l *leases) unclaim(row mail.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.held[row]
	if was.token == 0 {
		delete(l.held, row)
		return
	}
	was.busy = false
	l.held[row] = was
}

// settled ends the lease of a row that was changed.
func (l *leases) settled(row mail.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(row)
	if l.watched {
		l.changed[row] = struct{}{}
	}
}
