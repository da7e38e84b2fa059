package tally

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// How long counters keep their detail.
const (
	// HoursKept is how long hours are told apart; days are from then on.
	HoursKept = 60 * 24 * time.Hour
	// DaysKept is how long days are told apart; months are from then on, for ever.
	DaysKept = 366 * 24 * time.Hour
)

const (
	// name is that of the position in logs.
	name = "tally"
	// page is how many events are counted in one transaction, at most.
	page = 1000
	// every is the pause at the end of the log: about how old an answer may be.
	every = time.Second
	// thinEvery is the time between looks for counters to make coarser.
	thinEvery = time.Hour
	// slack is how much longer than the retention says a message may be there: it goes with its
	// whole day, and not before all is done with it.
	slack = 3 * 24 * time.Hour
)

// Roles are what a room needs.
type Roles struct {
	Journal store.Journal
	Numbers store.Numbers
	Domains store.Domains
}

// A Room counts what is in the event log.
type Room struct {
	roles    Roles
	follower *follow.Follower
	keep     time.Duration
	log      *slog.Logger
}

// New returns a room. keepEvents is how long events are kept: nothing can be opened for the
// first time after that.
func New(roles Roles, keepEvents time.Duration, log *slog.Logger) *Room {
	r := &Room{roles: roles, keep: keepEvents, log: log}
	effect := func(ctx context.Context, items []store.EventItem, upTo mail.ID) error {
		return roles.Numbers.AddCounts(ctx, Tally(items, upTo))
	}
	r.follower = follow.New(follow.Config{Name: name, FromBeginning: true, Page: page, Every: every}, roles.Journal, place{roles.Numbers}, effect, log)
	return r
}

// Run counts until ctx ends.
func (r *Room) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { r.follower.Run(ctx) })
	tick := time.NewTicker(thinEvery)
	defer tick.Stop()
	for {
		if err := r.Thin(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "old counters were not made coarser", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Step counts one page; see follow.Follower.
func (r *Room) Step(ctx context.Context) (more bool, err error) { return r.follower.Step(ctx) }

// Consumed returns a moment such that every event before it was counted.
func (r *Room) Consumed() time.Time { return r.follower.Consumed() }

// Thin makes old counters coarser, and forgets those of domains that are gone.
func (r *Room) Thin(ctx context.Context, now time.Time) error {
	domains, err := r.roles.Domains.ListDomains(ctx)
	if err != nil {
		return fmt.Errorf("list domains: %w", err)
	}
	t := store.Thinning{Days: now.Add(-HoursKept), Months: now.Add(-DaysKept), Messages: now.Add(-r.keep - slack)}
	for i := range domains {
		t.Domains = append(t.Domains, domains[i].ID)
	}
	return r.roles.Numbers.ThinCounts(ctx, t)
}

// place is the follower's position, which is kept beside the counters.
type place struct{ numbers store.Numbers }

func (p place) Cursor(ctx context.Context, _ string) (mail.ID, error) { return p.numbers.Counted(ctx) }

func (p place) SetCursor(ctx context.Context, _ string, at mail.ID) error {
	return p.numbers.AddCounts(ctx, &store.Counts{UpTo: at})
}
