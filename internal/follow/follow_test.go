package follow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// add stores a message with two events.
func add(t *testing.T, s *sqlite.Store) {
	t.Helper()
	id := s.NewID()
	m := &store.NewMessage{
		ID: id, DomainID: 1, Meta: event.Meta{Domain: "example.com", MessageID: fmt.Sprint(id)},
		Content: &store.Content{Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }},
	}
	for _, typ := range []event.Type{event.Accepted, event.Delivered} {
		m.Events = append(m.Events, event.Record{Type: typ, DomainID: 1, Message: id, Recipient: "ann@example.net"})
	}
	if err := s.Accept(t.Context(), m); err != nil {
		t.Error(err)
	}
}

func ids(items []store.EventItem) []mail.ID {
	var out []mail.ID
	for i := range items {
		out = append(out, items[i].ID)
	}
	return out
}

// readAll reads a journal to its end.
func readAll(t *testing.T, j store.Journal, types ...event.Type) []mail.ID {
	t.Helper()
	var all []mail.ID
	for after := mail.ID(0); ; {
		page, err := j.Journal(t.Context(), store.JournalQuery{After: after, Limit: 7, Types: types})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ids(page.Items)...)
		if after = page.Cursor; !page.More {
			return all
		}
	}
}

// A recorder is an effect that remembers what it was given, and the cursor with it.
type recorder struct {
	store.Cursors
	name string
	mu   sync.Mutex
	seen []mail.ID
	fail int           // so many effects fail
	more chan struct{} // if not nil, a word is in it once more was seen
}

func (r *recorder) effect(ctx context.Context, items []store.EventItem, upTo mail.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail > 0 && len(items) > 0 {
		r.fail--
		return errors.New("disk is slow")
	}
	if err := r.SetCursor(ctx, r.name, upTo); err != nil {
		return err
	}
	r.seen = append(r.seen, ids(items)...)
	select {
	case r.more <- struct{}{}:
	default: // nobody waits, or has a word already
	}
	return nil
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// Followers of all kinds behind one tail, while events are written: each sees each of its
// events once and in order, as the log has them.
func TestEveryFollowerSeesEveryEventOnce(t *testing.T) {
	s := openStore(t)
	const messages = 3000 // more events than a tail keeps
	for range 50 {
		add(t, s) // before anybody follows
	}
	tail := follow.NewTail(s)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	recorders := map[string]*recorder{}
	for _, c := range []follow.Config{
		{Name: "all", FromBeginning: true, Every: time.Millisecond},
		{Name: "delivered", FromBeginning: true, Types: []event.Type{event.Delivered}, Page: 3, Every: time.Millisecond},
		{Name: "accepted", FromBeginning: true, Types: []event.Type{event.Accepted}, Page: 1000, Every: time.Millisecond},
	} {
		r := &recorder{Cursors: s, name: c.Name, more: make(chan struct{}, 1)}
		recorders[c.Name] = r
		running.Go(func() { follow.New(c, tail, s, r.effect, slog.New(slog.DiscardHandler)).Run(ctx) })
	}
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range messages / 8 {
				add(t, s)
			}
		})
	}
	writers.Wait()
	want := map[string][]mail.ID{"all": readAll(t, s), "delivered": readAll(t, s, event.Delivered), "accepted": readAll(t, s, event.Accepted)}
	for name, r := range recorders {
		for r.count() < len(want[name]) {
			<-r.more
		}
	}
	stop()
	running.Wait()
	for name, r := range recorders {
		if !slices.Equal(r.seen, want[name]) {
			t.Errorf("%s saw %d events, want %d in this order", name, len(r.seen), len(want[name]))
		}
	}
}

// A follower that is stopped, or whose effect fails, goes on where its effect was last stored.
func TestFollowerGoesOnWhereItStopped(t *testing.T) {
	s := openStore(t)
	r := &recorder{Cursors: s, name: "f"}
	for round := range 5 {
		r.fail = round % 2
		for range 10 {
			add(t, s)
		}
		f := follow.New(follow.Config{Name: "f", FromBeginning: true, Page: 4}, follow.NewTail(s), s, r.effect, slog.New(slog.DiscardHandler))
		for n := 0; n < 2+r.fail; n++ { // killed before it is at the end
			if _, err := f.Step(t.Context()); err != nil && r.fail == 0 && n > 0 {
				t.Fatal(err)
			}
		}
		if len(r.seen) > 0 && f.Consumed().Before(r.seen[len(r.seen)-1].Time().Truncate(time.Millisecond)) {
			t.Errorf("consumed until %v, saw %v", f.Consumed(), r.seen[len(r.seen)-1].Time())
		}
	}
	f := follow.New(follow.Config{Name: "f"}, s, s, r.effect, slog.New(slog.DiscardHandler))
	for more := true; more; {
		var err error
		if more, err = f.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if want := readAll(t, s); !slices.Equal(r.seen, want) {
		t.Errorf("saw %d events, want %d", len(r.seen), len(want))
	}
}

// A follower that never ran begins with the present, unless it is told otherwise.
func TestFirstPosition(t *testing.T) {
	s := openStore(t)
	add(t, s)
	r := &recorder{Cursors: s, name: "new"}
	f := follow.New(follow.Config{Name: "new"}, s, s, r.effect, slog.New(slog.DiscardHandler))
	if !f.Consumed().IsZero() {
		t.Error("a follower without a place has consumed something")
	}
	if _, err := f.Step(t.Context()); err != nil || len(r.seen) != 0 {
		t.Errorf("saw %v, %v", r.seen, err)
	}
	if at, err := s.Cursor(t.Context(), "new"); err != nil || at == 0 {
		t.Errorf("the first position is %v, %v", at, err)
	}
}

type brokenJournal struct{ asked []time.Time }

func (b *brokenJournal) Journal(context.Context, store.JournalQuery) (store.JournalPage, error) {
	b.asked = append(b.asked, time.Now())
	return store.JournalPage{}, errors.New("no disk")
}

// quiet is a log in which nothing happens but the passing of time.
type quiet struct{}

func (quiet) Journal(context.Context, store.JournalQuery) (store.JournalPage, error) {
	return store.JournalPage{Cursor: mail.ID(time.Now().Unix())}, nil
}

// While nothing happens the position is kept now and then, so that a restart does not read
// the same silence again, and not at every look.
func TestPositionIsKeptWhileNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		kept := 0
		effect := func(_ context.Context, items []store.EventItem, _ mail.ID) error {
			if len(items) == 0 {
				kept++
			}
			return nil
		}
		follow.New(follow.Config{Name: "f", Every: time.Second}, quiet{}, noCursors{}, effect, slog.New(slog.DiscardHandler)).Run(ctx)
		if kept < 4 || kept > 6 {
			t.Errorf("kept %d times in an hour", kept)
		}
	})
}

type noCursors struct{ store.Cursors }

func (noCursors) Cursor(context.Context, string) (mail.ID, error) { return 1, nil }

// Trouble is met with pauses that grow up to a minute.
func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		j := &brokenJournal{}
		follow.New(follow.Config{Name: "f"}, j, noCursors{}, nil, slog.New(slog.DiscardHandler)).Run(ctx)
		if n := len(j.asked); n < 60 || n > 75 {
			t.Errorf("asked %d times in an hour", n)
		}
	})
}

// Whoever reads a tail to its end has seen all that was in the log when it began, also where what it
// asked for first was in memory: evidence of the last deliveries depends on it.
func TestTailIsNeverStale(t *testing.T) {
	s := openStore(t)
	tail := follow.NewTail(s)
	add(t, s)
	readAll(t, tail) // begins the tail
	for range 5 {
		add(t, s)
		end := readAll(t, tail) // this reader is at the end
		add(t, s)
		after := end[len(end)-2]
		page, err := tail.Journal(t.Context(), store.JournalQuery{After: after, Limit: 1000}) // this one is a little behind it
		if err != nil {
			t.Fatal(err)
		}
		got := ids(page.Items)
		for page.More {
			if page, err = tail.Journal(t.Context(), store.JournalQuery{After: page.Cursor, Limit: 1000}); err != nil {
				t.Fatal(err)
			}
			got = append(got, ids(page.Items)...)
		}
		all := readAll(t, s)
		if want := all[slices.Index(all, after)+1:]; !slices.Equal(got, want) {
			t.Errorf("saw %d events of %d", len(got), len(want))
		}
	}
}
