package delivery

import (
	"sync"
	"time"
)

// A memo remembers names for a while, a bounded number of them.
type memo struct {
	keep time.Duration
	size int

	mu   sync.Mutex
	seen map[string]time.Time
}

func newMemo(keep time.Duration, size int) *memo {
	return &memo{keep: keep, size: size, seen: make(map[string]time.Time)}
}

// get returns the moment name was put, if that is not too long ago.
func (m *memo) get(name string) (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.seen[name]
	if ok && time.Since(at) > m.keep {
		delete(m.seen, name)
		return time.Time{}, false
	}
	return at, ok
}

// put remembers name as of at. When the memo is full another name is forgotten.
func (m *memo) put(name string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.seen[name]; !ok {
		for other := range m.seen {
			if len(m.seen) < m.size {
				break
			}
			delete(m.seen, other)
		}
	}
	m.seen[name] = at
}

// drop forgets name.
func (m *memo) drop(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, name)
}
