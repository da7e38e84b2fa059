package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Rows lists queue rows by id, with their leases.
func (s *Store) Rows(ctx context.Context, q store.RowQuery) ([]store.Row, error) {
	if q.Limit < 0 || q.Limit > maxLease {
		return nil, fmt.Errorf("list rows: a limit of %d is not within 1 to %d", q.Limit, maxLease)
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	var list []store.Row
	err := s.eachMatching(ctx, q, func(d *day) error {
		rows, err := s.dayRows(ctx, d, q)
		list = append(list, rows...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list rows: %w", err)
	}
	slices.SortFunc(list, func(a, b store.Row) int { return cmp.Compare(a.ID, b.ID) })
	list = list[:min(len(list), q.Limit)]
	for i := range list {
		list[i].Lease = s.leases.token(list[i].ID)
	}
	return list, nil
}

// CountQueued counts the messages of a domain that have rows in the queue.
func (s *Store) CountQueued(ctx context.Context, domainID int64) (int, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	total := 0
	err := s.eachQueue(ctx, func(d *day) error {
		n := 0 // all rows of a message are in one file
		err := d.read.QueryRowContext(ctx, `SELECT count(DISTINCT msg) FROM queue WHERE domain = $1`, domainID).Scan(&n)
		total += n
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count queued messages: %w", err)
	}
	return total, nil
}

// eachMatching calls f for the days that may have rows that q matches.
func (s *Store) eachMatching(ctx context.Context, q store.RowQuery, f func(d *day) error) error {
	return s.eachQueue(ctx, func(d *day) error {
		if q.Message != 0 && (q.Message < d.first || q.Message >= d.end) {
			return nil
		}
		return f(d)
	})
}

// dayRows reads up to q.Limit matching rows of a day by id.
func (s *Store) dayRows(ctx context.Context, d *day, q store.RowQuery) ([]store.Row, error) {
	where, args := []string{"id > $1", "id <= $2"}, []any{int64(q.After), int64(math.MaxInt64)}
	add := func(column string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf("%s = $%d", column, len(args)))
	}
	if q.Row != 0 {
		add("id", int64(q.Row))
	}
	if q.Message != 0 {
		add("msg", int64(q.Message))
		// A message's rows have consecutive ids, so they are a range of the table.
		where = append(where,
			fmt.Sprintf("id >= (SELECT first_row FROM message WHERE id = $%d)", len(args)),
			fmt.Sprintf("id < (SELECT first_row + row_count FROM message WHERE id = $%d)", len(args)))
	}
	if q.MessageID != "" {
		args = append(args, q.MessageID)
		where = append(where, fmt.Sprintf("EXISTS (SELECT 1 FROM message WHERE message.id = msg AND mid = $%d)", len(args)))
	}
	if q.Tag != "" {
		args = append(args, q.Tag)
		where = append(where, fmt.Sprintf(`EXISTS (SELECT 1 FROM message, json_each(meta, '$.tags') tag
			WHERE message.id = msg AND lower(tag.value) = lower($%d))`, len(args)))
	}
	if q.DomainID != 0 {
		add("domain", q.DomainID)
	}
	if q.NextHop != "" {
		add("dest", q.NextHop)
	}
	address := addressKey(q.Recipient)
	rows, err := d.read.QueryContext(ctx, `SELECT `+rowColumns+` FROM queue NOT INDEXED WHERE `+strings.Join(where, " AND ")+` ORDER BY id`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []store.Row
	for len(list) < q.Limit && rows.Next() {
		r, _, err := scanRow(rows, nil)
		if err != nil {
			return nil, err
		}
		if address == "" || r.Recipient.Key() == address {
			list = append(list, r)
		}
	}
	return list, rows.Err()
}

// pages reads all rows of a day that q matches, up to 1,000 at a time.
func (s *Store) pages(ctx context.Context, d *day, q store.RowQuery) iter.Seq2[[]store.Row, error] {
	return func(yield func([]store.Row, error) bool) {
		q.Limit = maxLease
		for {
			rows, err := s.dayRows(ctx, d, q)
			if err != nil {
				yield(nil, err)
				return
			}
			full := len(rows) == q.Limit
			if full {
				rows = wholeMessages(rows)
			}
			if len(rows) == 0 || !yield(rows, nil) || !full {
				return
			}
			q.After = rows[len(rows)-1].ID
		}
	}
}

// wholeMessages leaves off the last message, whose other rows may be on the next
// page, unless there is no other.
func wholeMessages(rows []store.Row) []store.Row {
	end := len(rows)
	for end > 0 && rows[end-1].Message == rows[len(rows)-1].Message {
		end--
	}
	if end == 0 {
		return rows
	}
	return rows[:end]
}

// addressKey returns an address as it is compared. What is no address matches
// nothing but itself.
func addressKey(address string) string {
	if a, err := mail.ParseAddress(address); err == nil {
		return a.Key()
	}
	return strings.ToLower(address)
}
