package suppression

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// A Store is what a room reads from and writes to. store.Store satisfies it.
type Store interface {
	store.Suppressions
	store.Imports
}

// A Room adds to the lists. It is safe for concurrent use.
type Room struct {
	store Store
	dir   string
	log   *slog.Logger
	wake  chan struct{} // an import was taken
}

// AddUnsubscribe adds a tag to those that the address wants no mail of the domain with;
// store.AllTags, or an empty one, means all its mail. It may be there already. ErrNotFound of package
// store if there is no such domain.
func (r *Room) AddUnsubscribe(ctx context.Context, domainID int64, address, tag string) error {
	return r.add(ctx, domainID, store.Unsubscribes, Fields{Address: address, Tags: []string{tag}})
}

// AddComplaint adds an address whose owner called mail of the domain spam. It may be there already.
func (r *Room) AddComplaint(ctx context.Context, domainID int64, address string) error {
	return r.add(ctx, domainID, store.Complaints, Fields{Address: address})
}

func (r *Room) add(ctx context.Context, domainID int64, list store.SuppressionList, f Fields) error {
	s, err := Parse(list, f, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("add to the %s: %w", list, err)
	}
	return r.store.PutSuppressions(ctx, domainID, list, []store.Suppression{s})
}

// Run reads the files of imports until ctx ends. One that was begun goes on at the next start where
// it stopped. It must not be called twice.
func (r *Room) Run(ctx context.Context) {
	const first, longest = time.Second, time.Minute
	wait := first
	for {
		err := r.readAll(ctx)
		var again <-chan time.Time
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrClosed):
			return
		case err != nil:
			r.log.WarnContext(ctx, "imports of suppressions are late", "error", err)
			timer := time.NewTimer(wait)
			defer timer.Stop()
			again = timer.C
			wait = min(2*wait, longest)
		default:
			wait = first
		}
		select {
		case <-r.wake:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}
