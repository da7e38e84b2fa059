package follow

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// tailEvents is how many of the latest events a tail keeps. A follower that is further
	// behind reads the log itself.
	tailEvents = 4096
	// tailPage is how many events a tail reads at a time.
	tailPage = 512
	// maxLimit is the journal's.
	maxLimit = 1000
)

// A Tail is a journal whose end is kept in memory, so that several followers that are
// about as far share one reading and decoding of it. The items that it returns are shared
// as well: they must not be changed. It is safe for concurrent use.
type Tail struct {
	journal store.Journal

	mu    sync.Mutex
	low   mail.ID           // events above it are in items
	high  mail.ID           // as far as the log was read
	items []store.EventItem // by id, all in (low, high]
	more  bool              // the log went on when it was last read
}

var _ store.Journal = (*Tail)(nil)

// NewTail returns a tail of the journal.
func NewTail(journal store.Journal) *Tail { return &Tail{journal: journal} }

// Journal returns one page, from memory where it can. A page from memory has up to
// q.Limit events, whatever q.Scan says.
func (t *Tail) Journal(ctx context.Context, q store.JournalQuery) (store.JournalPage, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.high == 0 || q.After < t.low {
		return t.behind(ctx, q)
	}
	atEnd := q.After >= t.high
	if atEnd {
		if err := t.look(ctx); err != nil {
			return store.JournalPage{}, err
		}
	}
	if q.After < t.low { // the look made the tail let go of what was asked for
		return t.behind(ctx, q)
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		return store.JournalPage{}, fmt.Errorf("a limit of %d is not within 1 to %d", q.Limit, maxLimit)
	}
	page := t.page(q)
	if !atEnd {
		page.More = true // whoever reads on finds out, and has then seen all that was there when it asked
	}
	return page, nil
}

// behind answers from the log what the tail does not hold, and begins the tail where the
// first follower comes to the end.
func (t *Tail) behind(ctx context.Context, q store.JournalQuery) (store.JournalPage, error) {
	t.mu.Unlock() // a follower that is far behind must not hold up the others
	page, err := t.journal.Journal(ctx, q)
	t.mu.Lock()
	if err == nil && !page.More && t.high == 0 {
		t.low, t.high = page.Cursor, page.Cursor
	}
	return page, err
}

// look reads on at the log's end.
func (t *Tail) look(ctx context.Context) error {
	page, err := t.journal.Journal(ctx, store.JournalQuery{After: t.high, Limit: tailPage})
	if err != nil {
		return err
	}
	t.items = append(t.items, page.Items...)
	if over := len(t.items) - tailEvents; over > 0 {
		t.low = t.items[over-1].ID
		t.items = slices.Clone(t.items[over:]) // or the old ones would never be freed
	}
	t.high, t.more = page.Cursor, page.More
	return nil
}

// page cuts the answer out of the tail.
func (t *Tail) page(q store.JournalQuery) store.JournalPage {
	first, _ := slices.BinarySearchFunc(t.items, q.After+1, func(e store.EventItem, id mail.ID) int {
		return cmp.Compare(e.ID, id)
	})
	page := store.JournalPage{Cursor: max(q.After, t.high), More: t.more}
	for i := first; i < len(t.items); i++ {
		if !wants(q.Types, t.items[i].Type) {
			continue
		}
		if len(page.Items) == q.Limit {
			page.More = true
			page.Cursor = page.Items[q.Limit-1].ID
			break
		}
		page.Items = append(page.Items, t.items[i])
	}
	return page
}

func wants(types []event.Type, t event.Type) bool {
	return len(types) == 0 || slices.Contains(types, t)
}
