package dnssec

import (
	"sync"
	"time"
)

// A cache remembers answers until their time is over, and forgets those longest
// unused when it holds too many bytes. Answers are kept packed: a server that delivers to
// a hundred thousand domains has half a million of them.
type cache struct {
	mu      sync.Mutex
	epoch   time.Time // what the times in entries count from; monotonic
	limit   int       // bytes; nothing is kept when not positive
	bytes   int
	terms   int                        // how often it was cleared
	entries map[Type]map[string]*entry // by type and name
	recent  entry                      // closes the ring: newer is the least recently used, older the most
}

// An entry is one remembered answer. Its fields fill an allocation of 48 bytes.
type entry struct {
	newer, older *entry        // by use
	expires      time.Duration // after cache.epoch
	failure      *Failure      // nil unless the answer failed
	packed       string        // the rest of the answer, see pack; begins with the name
}

func newCache(limit int) *cache {
	c := &cache{epoch: time.Now(), limit: limit}
	c.reset()
	return c
}

func (c *cache) reset() {
	c.bytes, c.entries = 0, make(map[Type]map[string]*entry)
	c.recent.newer, c.recent.older = &c.recent, &c.recent
}

func (c *cache) get(q question, now time.Time) (Answer, bool) {
	c.mu.Lock()
	e, ok := c.entries[q.typ][q.name]
	if ok && now.Sub(c.epoch) >= e.expires {
		c.remove(e)
		ok = false
	}
	if !ok {
		c.mu.Unlock()
		return Answer{}, false
	}
	e.unlink()
	c.link(e)
	c.mu.Unlock() // what an entry says never changes

	a, ttl := unpack(e.packed)
	a.Asked = c.epoch.Add(e.expires - ttl)
	a.Failure = e.failure
	return a, true
}

// term returns a number that changes when the cache is cleared.
func (c *cache) term() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.terms
}

// clear forgets everything, and what is being asked now will not be put in.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terms++
	c.reset()
}

// put remembers an answer for ttl after it was asked, unless the cache was cleared since
// term was taken.
func (c *cache) put(q question, a Answer, ttl time.Duration, term int) {
	if ttl <= 0 {
		return
	}
	e := &entry{expires: a.Asked.Sub(c.epoch) + ttl, failure: a.Failure, packed: pack(a, ttl)}
	if e.size() > c.limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if term != c.terms {
		return
	}
	byName := c.entries[q.typ]
	if byName == nil {
		byName = make(map[string]*entry)
		c.entries[q.typ] = byName
	}
	if old, ok := byName[q.name]; ok {
		c.remove(old)
	}
	byName[packedName(e.packed)] = e // not q.name: the key shares the entry's bytes
	c.link(e)
	c.bytes += e.size()
	for c.bytes > c.limit {
		c.remove(c.recent.newer)
	}
}

func (c *cache) remove(e *entry) {
	e.unlink()
	delete(c.entries[packedType(e.packed)], packedName(e.packed))
	c.bytes -= e.size()
}

// link makes e the most recently used.
func (c *cache) link(e *entry) {
	e.older, e.newer = c.recent.older, &c.recent
	e.older.newer, c.recent.older = e, e
}

func (e *entry) unlink() {
	e.older.newer, e.newer.older = e.newer, e.older
}

// size is about the memory that an entry takes: itself, its place in the map and its
// bytes, each as the allocator rounds them.
func (e *entry) size() int {
	const itself, place, rounding, failure = 48, 40, 8, 256
	n := itself + place + len(e.packed) + rounding
	if e.failure != nil {
		n += failure
	}
	return n
}
