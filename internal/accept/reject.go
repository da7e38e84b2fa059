package accept

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/store"
)

// How many rejected events a domain may cause: a client in a loop must not fill
// the log. The refusal itself is always given.
const (
	rejectEvery = 10 * time.Second
	rejectBurst = 30
	maxRejects  = 10_000 // domains kept count of
)

// rejects counts rejected events per domain.
type rejects struct {
	mu       sync.Mutex
	byDomain map[int64]*rate.Limiter
}

func newRejects() *rejects { return &rejects{byDomain: map[int64]*rate.Limiter{}} }

func (r *rejects) allow(domain int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byDomain[domain]
	if l == nil {
		if len(r.byDomain) >= maxRejects {
			clear(r.byDomain)
		}
		l = rate.NewLimiter(rate.Every(rejectEvery), rejectBurst)
		r.byDomain[domain] = l
	}
	return l.Allow()
}

// reject writes a rejected event for those refusals that deserve one: a message
// of a known, active domain that was received and then refused for what it says or as whom it
// speaks. The people behind the domain find it in their log although the
// program that sent it may have dropped our answer. Mistakes in parameters, a
// domain that may not send, sizes and our own troubles are answered only.
func (r *Room) reject(ctx context.Context, j *job, e *Error) {
	if e.reject == "" || j.domain.ID == 0 || !r.rejects.allow(j.domain.ID) {
		return
	}
	meta := j.commonMeta()
	meta.From = sendopt.Printable(j.from)
	meta.TestMode = false
	id := r.intake.NewID()
	m := &store.NewMessage{ID: id, DomainID: j.domain.ID, Meta: meta, Events: []event.Record{
		j.record(id, event.Rejected, "", event.Data{Reject: &event.Reject{Reason: e.reject, Description: sendopt.Printable(e.Message)}}),
	}}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := r.intake.Accept(ctx, m); err != nil {
		r.log.ErrorContext(ctx, "rejected event not stored", "domain", j.domain.Name, "cause", err)
	}
}
