package visit

import (
	"sync"
	"time"
)

// maxBuckets bounds how many keys are remembered; past it the memory starts anew.
const maxBuckets = 50_000

// Buckets limit how often something may happen to each key: burst times at once, and once more
// after every interval. They are safe for concurrent use.
type buckets[K comparable] struct {
	burst int
	every time.Duration

	mu    sync.Mutex
	spent map[K]time.Time // when the key's bucket will be full again
}

func newBuckets[K comparable](burst int, every time.Duration) *buckets[K] {
	return &buckets[K]{burst: burst, every: every, spent: map[K]time.Time{}}
}

// has reports whether the key has one left.
func (b *buckets[K]) has(k K, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left(k, now)
}

func (b *buckets[K]) left(k K, now time.Time) bool {
	return b.spent[k].Sub(now) <= time.Duration(b.burst-1)*b.every
}

// take takes one, if the key has one left.
func (b *buckets[K]) take(k K, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.left(k, now) {
		return false
	}
	full := b.spent[k]
	if full.Before(now) {
		full = now
	}
	if len(b.spent) >= maxBuckets {
		b.forget(now)
	}
	b.spent[k] = full.Add(b.every)
	return true
}

// forget drops the keys that are full again, or all where none is.
func (b *buckets[K]) forget(now time.Time) {
	for k, full := range b.spent {
		if !full.After(now) {
			delete(b.spent, k)
		}
	}
	if len(b.spent) >= maxBuckets {
		clear(b.spent)
	}
}
