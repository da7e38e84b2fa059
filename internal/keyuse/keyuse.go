// Package keyuse remembers when API keys were used and how often they sent, and keeps
// them within what is set for each.
//
// A key that was stolen looks like one that is used. When it was used last, and from how many calls
// a day, is what its owner can see; what it can do in a day is what its owner can limit (SEC-61).
// Nothing of this may cost a write at every call: a [Ledger] counts in memory and stores what
// changed now and then, so that a crash forgets the uses of the last few seconds.
package keyuse

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// Every is how often what changed is stored. It is also what a crash may forget.
const Every = 10 * time.Second

// Keys is where uses are kept.
type Keys interface {
	// NoteKeyUse stores the uses of keys by their id, and passes over those that are gone.
	NoteKeyUse(ctx context.Context, uses map[string]store.KeyUse) error
}

// A Ledger counts the uses of keys. It is safe for concurrent use.
type Ledger struct {
	keys Keys
	log  *slog.Logger

	mu     sync.Mutex
	uses   map[string]*use
	minute time.Time // the minute that the counts of minutes are of
}

// A use is what is known of one key since it was first used in this process.
type use struct {
	store.KeyUse
	minute int  // sending calls in the ledger's minute
	dirty  bool // not stored yet
}

// New returns a ledger that stores into keys.
func New(keys Keys, log *slog.Logger) *Ledger {
	return &Ledger{keys: keys, log: log, uses: map[string]*use{}}
}

// of returns the use of a key, beginning with what is stored. Called with mu held.
func (l *Ledger) of(k *store.Key, now time.Time) *use {
	u, ok := l.uses[k.ID]
	if !ok {
		u = &use{KeyUse: k.Use}
		l.uses[k.ID] = u
	}
	if day := now.UTC().Format(time.DateOnly); day != u.Day {
		u.Day, u.Sends = day, 0
	}
	u.LastUsed, u.dirty = now.UTC(), true
	return u
}

// Used notes that the key was used.
func (l *Ledger) Used(k *store.Key, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(k, now)
}

// Send counts a sending call, if the key's limits allow it; else it returns how long that will
// not be so.
func (l *Ledger) Send(k *store.Key, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now.UTC().Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute = minute
		for _, u := range l.uses {
			u.minute = 0
		}
	}
	u := l.of(k, now)
	switch limit := k.Details; {
	case limit.PerDay > 0 && u.Sends >= limit.PerDay:
		return now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now), false
	case limit.PerMinute > 0 && u.minute >= limit.PerMinute:
		return l.minute.Add(time.Minute).Sub(now), false
	}
	u.Sends++
	u.minute++
	return 0, true
}

// Last returns what is known of the key's use by now.
func (l *Ledger) Last(k *store.Key) store.KeyUse {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u, ok := l.uses[k.ID]; ok {
		return u.KeyUse
	}
	return k.Use
}

// Run stores what changed until ctx ends, and then the rest.
func (l *Ledger) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.Flush(ctx)
		case <-ctx.Done():
			l.Flush(context.WithoutCancel(ctx))
			return
		}
	}
}

// Flush stores what changed. What could not be stored is tried again the next time. Whoever counts
// after Run ended, as doors do while they drain, calls it in the end.
func (l *Ledger) Flush(ctx context.Context) {
	l.mu.Lock()
	changed := map[string]store.KeyUse{}
	for id, u := range l.uses {
		if u.dirty {
			changed[id] = u.KeyUse
			u.dirty = false
		}
	}
	l.mu.Unlock()
	err := l.keys.NoteKeyUse(ctx, changed)
	if err == nil {
		return
	}
	l.log.Warn("the use of API keys was not stored; it will be tried again", "keys", len(changed), "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range changed {
		l.uses[id].dirty = true
	}
}
