package impact

import (
	"context"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// Config is what an [Analyst] is made of. Zero limits take their defaults.
type Config struct {
	Events store.Events
	// Overrides are the exceptions in force; nil is none.
	Overrides Overrides
	// Prober looks at recipient domains; nil: nothing is ever probed.
	Prober Prober

	MaxEvents     int           // looked at for one answer; 0 is 200,000
	MaxTime       time.Duration // of reading events; 0 is 20 s
	MaxRecipients int           // recipient domains kept apart; 0 is 10,000
}

// An Analyst answers what would happen. It is safe for concurrent use; two questions
// are worked on at a time, others wait.
type Analyst struct {
	cfg   Config
	scout *scout
	slots chan struct{}
}

const answersAtATime = 2

// New returns an Analyst.
func New(cfg Config) *Analyst {
	if cfg.MaxEvents == 0 {
		cfg.MaxEvents = 200_000
	}
	if cfg.MaxTime == 0 {
		cfg.MaxTime = 20 * time.Second
	}
	if cfg.MaxRecipients == 0 {
		cfg.MaxRecipients = 10_000
	}
	a := &Analyst{cfg: cfg, slots: make(chan struct{}, answersAtATime)}
	if cfg.Prober != nil {
		a.scout = newScout(cfg.Prober)
	}
	return a
}

// Bounds on the days of a question.
const (
	MaxDays     = 365
	DefaultDays = 30
)

// A Question asks about one sending domain.
type Question struct {
	Domain store.Domain
	Days   int  // back from now, 1 to MaxDays
	Probe  bool // recipient domains whose facts are old or missing may be looked at
}

// Answer says what each pair of flags would do to the domain's mail. An error means
// that events could not be read; bounds that cut the reading short are told in the answer.
func (a *Analyst) Answer(ctx context.Context, q Question) (*Report, error) {
	if q.Days < 1 || q.Days > MaxDays {
		return nil, fmt.Errorf("%d days are not within 1 to %d", q.Days, MaxDays)
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := time.Now().UTC()
	rep := &Report{Domain: q.Domain.Name, Days: q.Days, From: now.AddDate(0, 0, -q.Days), To: now}
	book := newBook(a.cfg.MaxRecipients, func(nextHop string) Terms {
		return Terms{NextHop: nextHop, Settings: q.Domain.Delivery, Overrides: a.cfg.Overrides, Now: now}
	})
	s, err := readEvents(ctx, a.cfg.Events, q.Domain.ID, rep.From, book, a.cfg.MaxEvents, now.Add(a.cfg.MaxTime))
	if err != nil {
		return nil, fmt.Errorf("what would happen to mail of %s: %w", q.Domain.Name, err)
	}
	rep.Scan = Scan{Events: s.events, Complete: s.cutBy == "", CoveredFrom: s.from, CutBy: s.cutBy}
	if q.Probe && a.scout != nil {
		p := book.probe(ctx, a.scout, now)
		rep.Probes = &p
	}
	book.fill(rep, effective(q.Domain))
	return rep, nil
}

// effective returns the pair of flags that the domain is set to.
func effective(d store.Domain) tlspolicy.Flags {
	return tlspolicy.Resolve(mail.TLSFlags{}, d.TLS, false)
}
