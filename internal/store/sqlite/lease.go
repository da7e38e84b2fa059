package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// maxLease is the most rows that one call leases or lists.
const maxLease = 1000

// NextHops lists every next hop that has rows which are not held.
func (s *Store) NextHops(ctx context.Context) ([]store.NextHop, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	hops := map[string]store.NextHop{}
	err := s.eachQueue(ctx, func(d *day) error { return s.dayNextHops(ctx, d, hops) })
	if err != nil {
		return nil, fmt.Errorf("list next hops: %w", err)
	}
	list := make([]store.NextHop, 0, len(hops))
	for _, h := range hops {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b store.NextHop) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// dayNextHops adds one day's next hops.
func (s *Store) dayNextHops(ctx context.Context, d *day, hops map[string]store.NextHop) error {
	filled := d.filled.Load()
	rows, err := d.read.QueryContext(ctx, `SELECT dest, count(*), min(due) FROM queue INDEXED BY queue_ready WHERE held = 0 GROUP BY dest`)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		found = true
		var h store.NextHop
		var due int64
		if err := rows.Scan(&h.Name, &h.Rows, &due); err != nil {
			return err
		}
		h.Due = due2time(due)
		if s.leases.holds(h.Name) {
			if h.Due, err = s.firstFree(ctx, d, h.Name); err != nil {
				return err
			}
		}
		if have, ok := hops[h.Name]; ok {
			h.Rows += have.Rows
			h.Due = earlier(h.Due, have.Due)
		}
		hops[h.Name] = h
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if !found {
		return d.noteDrained(ctx, filled)
	}
	return nil
}

// noteDrained remembers that the queue was empty, held rows included, if no row
// came since filled was read.
func (d *day) noteDrained(ctx context.Context, filled int64) error {
	var any bool
	err := d.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM queue)`).Scan(&any)
	if err == nil && !any {
		d.drained.Store(filled)
	}
	return err
}

// firstFree returns the earliest due time of a next hop's rows that are not
// leased, zero if all are.
func (s *Store) firstFree(ctx context.Context, d *day, dest string) (time.Time, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT id, due FROM queue INDEXED BY queue_ready WHERE held = 0 AND dest = $1 ORDER BY due, id`, dest)
	if err != nil {
		return time.Time{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, due int64
		if err := rows.Scan(&id, &due); err != nil {
			return time.Time{}, err
		}
		if s.leases.token(mail.ID(id)) == 0 {
			return due2time(due), nil
		}
	}
	return time.Time{}, rows.Err()
}

// due2time is moment, but a row that is due since ever is due in 1970, since the
// zero time means "none".
func due2time(us int64) time.Time { return moment(max(us, 1)) }

// earlier returns the earlier of two moments, of which a zero one means "none".
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Lease gives out due rows of one next hop.
func (s *Store) Lease(ctx context.Context, r store.LeaseRequest) (store.LeaseResult, error) {
	res, err := s.lease(ctx, r)
	if err != nil {
		return store.LeaseResult{}, fmt.Errorf("lease rows for %s: %w", r.NextHop, err)
	}
	return res, nil
}

func (s *Store) lease(ctx context.Context, r store.LeaseRequest) (store.LeaseResult, error) {
	if r.Limit < 1 || r.Limit > maxLease {
		return store.LeaseResult{}, fmt.Errorf("a limit of %d is not within 1 to %d", r.Limit, maxLease)
	}
	if err := s.enter(); err != nil {
		return store.LeaseResult{}, err
	}
	defer s.leave()
	// What is leased now will have an outcome; if that cannot be written, nothing may
	// be sent.
	if err := errors.Join(ctx.Err(), s.Err()); err != nil {
		return store.LeaseResult{}, err
	}
	rows, next, err := s.takeRows(ctx, r)
	if err != nil {
		return store.LeaseResult{}, err
	}
	res := store.LeaseResult{Rows: rows, NextDue: next}
	if res.Messages, err = s.messagesOf(ctx, rows); err != nil {
		for _, row := range rows {
			s.leases.release(row.ID, row.Lease)
		}
		return store.LeaseResult{}, err
	}
	// A row whose message is gone can only come from a damaged file. It stays
	// leased, so that it is not found again and again.
	res.Rows = slices.DeleteFunc(res.Rows, func(r store.Row) bool {
		_, ok := res.Messages[r.Message]
		if !ok {
			s.log.Error("a queue row has no message", "row", r.ID, "message", r.Message)
		}
		return !ok
	})
	return res, nil
}

// takeRows leases up to the limit and returns the earliest due time of what
// remains.
func (s *Store) takeRows(ctx context.Context, r store.LeaseRequest) ([]store.Row, time.Time, error) {
	s.leases.watch()
	defer s.leases.unwatch()
	var due []store.Row
	var next time.Time
	err := s.eachQueue(ctx, func(d *day) error {
		rows, rest, err := s.freeRows(ctx, d, r)
		due = append(due, rows...)
		next = earlier(next, rest)
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	chosen, left := choose(due, r.Limit)
	for _, row := range left {
		next = earlier(next, row.Due)
	}
	token := s.newToken()
	taken := chosen[:0]
	for _, row := range chosen {
		if s.leases.take(row.ID, row.NextHop, token) {
			row.Lease = token
			taken = append(taken, row)
		}
	}
	return taken, next, nil
}

// choose picks up to limit rows, oldest first, a message's rows side by side. A
// message that would be torn apart at the end waits for the next call, unless it
// is the only one.
func choose(rows []store.Row, limit int) (chosen, left []store.Row) {
	slices.SortFunc(rows, func(a, b store.Row) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	rank := map[mail.ID]int{}
	for i, r := range rows {
		if _, ok := rank[r.Message]; !ok {
			rank[r.Message] = i
		}
	}
	slices.SortStableFunc(rows, func(a, b store.Row) int { return cmp.Compare(rank[a.Message], rank[b.Message]) })
	if len(rows) <= limit {
		return rows, nil
	}
	end := limit
	for end > 0 && rows[end-1].Message == rows[limit].Message {
		end--
	}
	if end == 0 {
		end = limit
	}
	return rows[:end], rows[end:]
}

// rowColumns are the columns that scanRow reads.
const rowColumns = `id, msg, domain, dest, rcpt, due, expires, attempt, held, last`

// A nil wanted reads every row; else the address of a row that is not wanted is
// not taken apart.
func scanRow(rows *sql.Rows, wanted func(mail.ID) bool) (r store.Row, ok bool, err error) {
	var id, msg, due, expires int64
	var rcpt string
	if err := rows.Scan(&id, &msg, &r.DomainID, &r.NextHop, &rcpt, &due, &expires, &r.Attempt, &r.Held, &r.LastReply); err != nil {
		return r, false, err
	}
	r.ID, r.Message, r.Due, r.Expires = mail.ID(id), mail.ID(msg), due2time(due), moment(expires)
	if wanted != nil && !wanted(r.ID) {
		return r, false, nil
	}
	if err := r.Recipient.UnmarshalText([]byte(rcpt)); err != nil {
		return r, false, fmt.Errorf("row %v: %w", r.ID, err)
	}
	return r, true, nil
}

// freeRows reads a day's due rows that are not leased, one more than the limit, and
// the due time of the first free row after them.
func (s *Store) freeRows(ctx context.Context, d *day, r store.LeaseRequest) (due []store.Row, rest time.Time, err error) {
	rows, err := d.reads.freeRows.QueryContext(ctx, r.NextHop)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer rows.Close()
	for rows.Next() {
		row, free, err := scanRow(rows, s.leases.free)
		if err != nil {
			return nil, time.Time{}, err
		}
		if !free {
			continue
		}
		if row.Due.After(r.Now) || len(due) > r.Limit {
			return due, row.Due, nil
		}
		due = append(due, row)
	}
	return due, time.Time{}, rows.Err()
}

// messagesOf returns the messages of rows, as far as they exist.
func (s *Store) messagesOf(ctx context.Context, rows []store.Row) (map[mail.ID]store.Message, error) {
	messages := map[mail.ID]store.Message{}
	for _, r := range rows {
		if _, ok := messages[r.Message]; ok {
			continue
		}
		m, err := s.message(ctx, r.DomainID, r.Message)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("message %v: %w", r.Message, err)
		}
		messages[r.Message] = m
	}
	return messages, nil
}

// Message returns a message of the given domain.
func (s *Store) Message(ctx context.Context, domainID int64, id mail.ID) (store.Message, error) {
	if err := s.enter(); err != nil {
		return store.Message{}, err
	}
	defer s.leave()
	m, err := s.message(ctx, domainID, id)
	if err != nil {
		return store.Message{}, fmt.Errorf("message %v: %w", id, err)
	}
	return m, nil
}

func (s *Store) message(ctx context.Context, domainID int64, id mail.ID) (store.Message, error) {
	d, err := s.enterDay(ctx, id, false)
	if err != nil {
		return store.Message{}, err
	}
	defer d.leave()
	m := store.Message{ID: id, DomainID: domainID}
	var envelope, meta string
	err = d.reads.message.QueryRowContext(ctx, int64(id), domainID).Scan(&envelope, &meta, &m.Size, &m.Pending)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Message{}, store.ErrNotFound
	}
	if err != nil {
		return store.Message{}, s.judge(d, err)
	}
	if err := json.Unmarshal([]byte(envelope), &m.Envelope); err != nil {
		return store.Message{}, fmt.Errorf("decode envelope: %w", err)
	}
	if err := json.Unmarshal([]byte(meta), &m.Meta); err != nil {
		return store.Message{}, fmt.Errorf("decode metadata: %w", err)
	}
	return m, nil
}

// Renew keeps leases alive. Here they last as long as the process; lost are those
// that were ended.
func (s *Store) Renew(ctx context.Context, leases []store.LeaseRef) (lost []mail.ID, err error) {
	if err := errors.Join(ctx.Err(), s.Err()); err != nil {
		return nil, err
	}
	for _, l := range leases {
		if l.Lease == 0 || s.leases.token(l.Row) != l.Lease {
			lost = append(lost, l.Row)
		}
	}
	return lost, nil
}

// Release gives rows back untouched.
func (s *Store) Release(ctx context.Context, leases []store.LeaseRef) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, l := range leases {
		s.leases.release(l.Row, l.Lease)
	}
	return nil
}
