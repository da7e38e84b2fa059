package follow

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	defaultPage  = 500
	defaultEvery = 200 * time.Millisecond
	// maxWait is the longest pause after errors.
	maxWait = time.Minute
	// keepEvery is how long the position may stay unkept while nothing that matters happens.
	keepEvery = 10 * time.Minute
)

// An Effect stores what follows from the items, and under the follower's name that everything
// up to the position has been dealt with, in one transaction. An error means that nothing was
// stored; the same items come again. Items is empty when only the position is to be kept.
// The items are shared: they must not be changed.
type Effect func(ctx context.Context, items []store.EventItem, upTo mail.ID) error

// Config says what to follow. Name is required.
type Config struct {
	// Name is the name of the position among the cursors.
	Name string
	// Types are the types of events that have effects; none means all.
	Types []event.Type
	// FromBeginning makes a follower that never ran begin with the oldest event that
	// is kept. Otherwise it begins with the present.
	FromBeginning bool
	// Page is the most items of one effect, up to 1,000; 0: 500.
	Page int
	// Every is the pause at the end of the log; 0: 200 ms.
	Every time.Duration
}

// A Follower gives the events of the log to an effect.
type Follower struct {
	cfg     Config
	journal store.Journal
	cursors store.Cursors
	effect  Effect
	log     *slog.Logger

	begun bool
	at    mail.ID // everything up to it was dealt with
	saved time.Time
	shown atomic.Int64 // at, for others
}

// New returns a follower.
func New(cfg Config, journal store.Journal, cursors store.Cursors, effect Effect, log *slog.Logger) *Follower {
	if cfg.Page == 0 {
		cfg.Page = defaultPage
	}
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	return &Follower{cfg: cfg, journal: journal, cursors: cursors, effect: effect, log: log}
}

// Run follows the log until ctx ends. What goes wrong is logged and tried again, more and
// more slowly. It must not be called twice at a time.
func (f *Follower) Run(ctx context.Context) {
	wait := f.cfg.Every
	for {
		more, err := f.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.log.WarnContext(ctx, "what follows from events is late", "follower", f.cfg.Name, "error", err)
			wait = min(2*wait, maxWait)
		case more:
			wait = f.cfg.Every
			continue
		default:
			wait = f.cfg.Every
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Consumed returns a moment such that every event before it has been dealt with. Events
// that are older may be forgotten, younger ones not. It is the zero time until the follower
// has found its place. It may be called while the follower runs.
func (f *Follower) Consumed() time.Time {
	at := mail.ID(f.shown.Load())
	if at == 0 {
		return time.Time{}
	}
	return at.Time()
}

// Step deals with one page. More says that there is another one. It must not be called
// while Run runs.
func (f *Follower) Step(ctx context.Context) (more bool, err error) {
	if err := f.begin(ctx); err != nil {
		return false, err
	}
	page, err := f.journal.Journal(ctx, store.JournalQuery{After: f.at, Limit: f.cfg.Page, Types: f.cfg.Types})
	if err != nil {
		return false, fmt.Errorf("read events: %w", err)
	}
	if page.Cursor == f.at {
		return false, nil
	}
	if len(page.Items) > 0 || time.Since(f.saved) >= keepEvery {
		if err := f.effect(ctx, page.Items, page.Cursor); err != nil {
			return false, err
		}
		f.saved = time.Now()
	}
	f.at = page.Cursor
	f.shown.Store(int64(f.at))
	return page.More, nil
}

// begin finds the place where the last follower of this name stopped.
func (f *Follower) begin(ctx context.Context) error {
	if f.begun {
		return nil
	}
	at, err := f.cursors.Cursor(ctx, f.cfg.Name)
	if err != nil {
		return fmt.Errorf("read the position: %w", err)
	}
	if at == 0 && !f.cfg.FromBeginning {
		at = mail.FirstID(time.Now())
		if err := f.effect(ctx, nil, at); err != nil {
			return fmt.Errorf("keep the first position: %w", err)
		}
	}
	f.at, f.saved, f.begun = at, time.Now(), true
	f.shown.Store(int64(f.at))
	return nil
}
