package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Journal returns one page of the events of all domains. Each day file is read
// along its primary key, and the days are merged by id, since an event of a later day
// lies in the file of its message.
func (s *Store) Journal(ctx context.Context, q store.JournalQuery) (store.JournalPage, error) {
	p, err := s.journal(ctx, q)
	if err != nil {
		return store.JournalPage{}, fmt.Errorf("read journal: %w", err)
	}
	return p, nil
}

func (s *Store) journal(ctx context.Context, q store.JournalQuery) (store.JournalPage, error) {
	page := store.JournalPage{Cursor: q.After}
	if q.Limit < 1 || q.Limit > maxPage {
		return page, fmt.Errorf("a limit of %d is not within 1 to %d", q.Limit, maxPage)
	}
	if err := s.enter(); err != nil {
		return page, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return page, err
	}
	if q.Scan <= 0 {
		q.Scan = defaultScan
	}
	query := journalSQL(q.Types)
	m := s.newMerge(bounds{after: q.After, ascending: true}, q.Limit+1, func(ctx context.Context, d *day, lo, hi mail.ID, n int) ([]store.EventItem, bool, error) {
		return d.readJournal(ctx, query, q.Types, lo, hi, n)
	})
	defer m.close()
	for looked := 0; ; looked++ {
		item, ok, err := m.peek(ctx)
		if errors.Is(err, store.ErrSlow) && looked > 0 {
			page.More = true
			return page, nil
		}
		if err != nil {
			return page, err
		}
		if !ok {
			// Every event below the mark is committed and was seen, or never will be.
			page.Cursor = max(page.Cursor, m.hi-1)
			return page, nil
		}
		if len(page.Items) == q.Limit || looked == q.Scan {
			page.More = true
			return page, nil
		}
		m.pop()
		page.Cursor = item.ID
		if len(q.Types) == 0 || slices.Contains(q.Types, item.Type) {
			page.Items = append(page.Items, item)
		}
	}
}

// journalSQL returns the statement that reads a day's events; $1 to $3 are both
// bounds and number. Data and metadata of other types stay where they are: nobody
// wants them, and they are most of the octets.
func journalSQL(types []event.Type) string {
	wanted := "1"
	if len(types) > 0 {
		numbers := make([]string, len(types))
		for i, t := range types {
			numbers[i] = fmt.Sprint(uint8(t))
		}
		wanted = "e.type IN (" + strings.Join(numbers, ", ") + ")"
	}
	return `SELECT e.id, e.at, e.type, e.msg, e.rcpt, e.raw, CASE WHEN ` + wanted + ` THEN e.data ELSE '{}' END, e.domain
		FROM event e NOT INDEXED WHERE e.id > $1 AND e.id < $2 ORDER BY e.id LIMIT $3`
}

// readJournal reads up to n events of a day with ids between lo and hi; it is a dayReader.
func (d *day) readJournal(ctx context.Context, query string, types []event.Type, lo, hi mail.ID, n int) ([]store.EventItem, bool, error) {
	items, more, err := d.readRows(ctx, readFor, n, query, int64(lo), int64(hi), n)
	if err != nil {
		return nil, false, err
	}
	return items, more, d.readMetas(ctx, items, types)
}
