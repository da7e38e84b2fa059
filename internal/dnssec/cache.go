package dnssec

import (
	"container/list"
	"sync"
	"time"
)

// A cache remembers answers until their time is over, and forgets those longest
// unused when it holds too many bytes.
type cache struct {
	mu      sync.Mutex
	limit   int // bytes; nothing is kept when not positive
	bytes   int
	entries map[question]*list.Element // of *cached
	recent  *list.List                 // most recently used in front
}

type cached struct {
	q       question
	answer  Answer
	expires time.Time
	bytes   int
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: make(map[question]*list.Element), recent: list.New()}
}

func (c *cache) get(q question, now time.Time) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	if !ok {
		return Answer{}, false
	}
	found := e.Value.(*cached)
	if !now.Before(found.expires) {
		c.remove(e)
		return Answer{}, false
	}
	c.recent.MoveToFront(e)
	return found.answer, true
}

func (c *cache) put(q question, a Answer, ttl time.Duration, now time.Time) {
	size := answerSize(a)
	if ttl <= 0 || size > c.limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[q]; ok {
		c.remove(e)
	}
	c.entries[q] = c.recent.PushFront(&cached{q, a, now.Add(ttl), size})
	c.bytes += size
	for c.bytes > c.limit {
		c.remove(c.recent.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	gone := c.recent.Remove(e).(*cached)
	delete(c.entries, gone.q)
	c.bytes -= gone.bytes
}

// answerSize is about the memory an answer takes.
func answerSize(a Answer) int {
	const answer, record = 512, 128
	n := answer + 2*len(a.Name) + len(a.Canonical)
	for _, r := range a.Records {
		n += record + len(r.Host) + len(r.Text) + len(r.TLSA.Data)
	}
	return n
}
