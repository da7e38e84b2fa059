package impact

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// Times of [Analyst.Watch].
const (
	watchFirst = 10 * time.Minute // after start, when the queue has found its pace
	watchEvery = 24 * time.Hour
)

// Watch looks once a day at every sending domain that requires TLS and logs one
// warning for each that is about to lose recipient domains, or has lost some. It
// reads history only and returns when ctx ends.
func (a *Analyst) Watch(ctx context.Context, domains store.Domains, log *slog.Logger) {
	timer := time.NewTimer(watchFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		a.watchOnce(ctx, domains, log)
		timer.Reset(watchEvery)
	}
}

func (a *Analyst) watchOnce(ctx context.Context, domains store.Domains, log *slog.Logger) {
	list, err := domains.ListDomains(ctx)
	if err != nil {
		if ctx.Err() == nil {
			log.Error("domains could not be looked at for what requiring TLS costs them", "error", err)
		}
		return
	}
	for _, d := range list {
		if !effective(d).RequireTLS.Value || d.State == store.DomainDisabled {
			continue
		}
		rep, err := a.Answer(ctx, Question{Domain: d, Days: DefaultDays})
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			log.Error("a domain could not be looked at for what requiring TLS costs it", "domain", d.Name, "error", err)
			continue
		}
		if r := rep.Losses(); r.Domains > 0 {
			log.Warn("mail to recipient domains is, or will soon be, not delivered for want of the required TLS",
				"domain", d.Name, "recipient-domains", r.Domains, "messages", r.Messages, "days", rep.Days, "first", r.First,
				"see", "sealpost tls impact "+d.Name)
		}
	}
}

// Losses are what a sending domain does not, or will soon not, deliver as it is set now.
type Losses struct {
	Domains  int // recipient domains; a domain concerned by several warnings may count more than once
	Messages int
	First    string // the one with most messages, with the reason
}

// Losses sums up what the current pair of flags, or a policy of the recipient, keeps
// from being delivered now, and what the warnings say that it soon will. Recipient domains
// that cannot be reached at all are not among it.
func (r *Report) Losses() (l Losses) {
	note := func(domains, messages int, first string) {
		if l.Domains == 0 {
			l.First = first
		}
		l.Domains += domains
		l.Messages += messages
	}
	for i, p := range r.Pairs {
		if !p.Current {
			continue
		}
		for _, rc := range r.Recipients {
			n, why := 0, Part{}
			for _, part := range rc.Outcomes[i].Parts {
				if part.Delivery == NotDelivered && part.Result != "" {
					n, why = n+part.Messages, part
				}
			}
			if n > 0 {
				note(1, n, fmt.Sprintf("%s: %s at %s", rc.Domain, why.Result, why.MXHost))
			}
		}
	}
	for _, w := range r.Warnings {
		if w.Undelivered && w.Kind != StoppedVerifying { // what stopped is counted above
			first := fmt.Sprintf("%s: %s at %s", w.Named[0], w.Kind, w.MXHost)
			if w.Kind == CertificateExpires {
				first += " on " + w.At.Format(time.DateOnly)
			}
			note(w.Domains, w.Messages, first)
		}
	}
	return l
}
