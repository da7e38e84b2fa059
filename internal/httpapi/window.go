package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
)

// windows counts the sending calls of each domain by the minute. It is safe for
// concurrent use. Only domains that exist are counted, which bounds it.
type windows struct {
	limit int // calls a minute; 0: any number

	mu     sync.Mutex
	minute time.Time // the minute that counts are of
	counts map[int64]int
}

func newWindows(limit int) *windows {
	return &windows{limit: limit, counts: map[int64]int{}}
}

// count notes one call and returns what is left of the limit, negative if it is
// exceeded, and when the next minute begins.
func (ws *windows) count(domainID int64, now time.Time) (left int, reset time.Time) {
	minute := now.Truncate(time.Minute)
	reset = minute.Add(time.Minute)
	if ws.limit == 0 {
		return math.MaxInt32, reset
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !minute.Equal(ws.minute) {
		ws.minute = minute
		clear(ws.counts)
	}
	ws.counts[domainID]++
	return ws.limit - ws.counts[domainID], reset
}

// limitSending counts a sending call and writes the limit's fields, which clients read
// on every answer. The reset time is in milliseconds.
func (a *API) limitSending(w http.ResponseWriter, r *door.Request) error {
	now := time.Now()
	left, reset := a.windows.count(r.Domain.ID, now)
	limit := a.windows.limit
	if limit == 0 {
		limit = math.MaxInt32
	}
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(left, 0)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.UnixMilli(), 10))
	h.Set("Content-Disposition", "inline")
	if left >= 0 {
		return a.limitKey(r, now)
	}
	return &door.Problem{
		Status:     http.StatusTooManyRequests,
		Message:    fmt.Sprintf("Domain %s is not allowed to send: request limit exceeded, try again after %s", r.Domain.Name, door.GMT(reset)),
		RetryAfter: reset.Sub(now),
	}
}

// limitKey counts the call for the key that makes it (SEC-61).
func (a *API) limitKey(r *door.Request, now time.Time) error {
	if a.deps.Sends == nil || r.Who.Key == nil {
		return nil
	}
	wait, ok := a.deps.Sends.Send(r.Who.Key, now)
	if ok {
		return nil
	}
	return &door.Problem{
		Status:     http.StatusTooManyRequests,
		Message:    fmt.Sprintf("Domain %s is not allowed to send: request limit exceeded, try again after %s", r.Domain.Name, door.GMT(now.Add(wait))),
		RetryAfter: wait,
	}
}
