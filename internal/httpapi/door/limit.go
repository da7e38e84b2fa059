package door

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A Limit is how many requests of a kind an account may make in a span of time. It is safe
// for concurrent use.
type Limit struct {
	n   int
	per time.Duration

	mu     sync.Mutex
	begun  time.Time
	counts map[int64]int // by account, of the span that has begun
}

// NewLimit returns a limit of n requests in each span. Only accounts that exist are
// counted, which bounds it.
func NewLimit(n int, per time.Duration) *Limit {
	return &Limit{n: n, per: per, counts: map[int64]int{}}
}

// Count notes a request and writes the limit's fields into the answer. Their reset is in
// milliseconds since 1970. A request too many is a Problem with status 429.
func (l *Limit) Count(w http.ResponseWriter, r *Request) error {
	left, reset := l.count(r.Who.AccountID, time.Now())
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(l.n))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(left, 0)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.UnixMilli(), 10))
	if left >= 0 {
		return nil
	}
	wait := max(time.Second, time.Until(reset).Round(time.Second))
	const text = "Too many requests. Please try again later."
	return &Problem{Status: http.StatusTooManyRequests, Message: text, RetryAfter: wait, Body: struct {
		Message string `json:"message"`
		Retry   int    `json:"retry-seconds"`
	}{text, int(wait / time.Second)}}
}

// count returns what is left, negative if there is nothing, and when the next span begins.
func (l *Limit) count(account int64, now time.Time) (left int, reset time.Time) {
	begun := now.Truncate(l.per)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !begun.Equal(l.begun) {
		l.begun = begun
		clear(l.counts)
	}
	l.counts[account]++
	return l.n - l.counts[account], begun.Add(l.per)
}
