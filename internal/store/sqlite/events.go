package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	maxPage     = 1000
	defaultScan = 100_000
	// readFor bounds one read of events: a long reader keeps the log of a day file
	// from shrinking. What was found until then counts; the reader comes again for the rest.
	readFor = 5 * time.Second
)

// allTypes are the types of events there can be in a file.
var allTypes = []event.Type{event.Accepted, event.Rejected, event.Delivered, event.FailedTemporary, event.FailedPermanent,
	event.Opened, event.Clicked, event.Unsubscribed, event.Complained, event.Stored}

// Events returns one page. Each day file is read on its own, by the index that
// narrows the query most, and the days are merged by id; days that cannot add to
// the page are not opened.
//
// A recipient is found by the messages accepted for it, so events are found under
// addresses that their message was accepted for.
func (s *Store) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	p, err := s.events(ctx, q)
	if err != nil {
		return store.EventPage{}, fmt.Errorf("list events: %w", err)
	}
	return p, nil
}

func (s *Store) events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if q.Limit < 1 || q.Limit > maxPage {
		return store.EventPage{}, fmt.Errorf("a limit of %d is not within 1 to %d", q.Limit, maxPage)
	}
	if err := s.enter(); err != nil {
		return store.EventPage{}, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return store.EventPage{}, err
	}
	if q.Scan <= 0 {
		q.Scan = defaultScan
	}
	if q.AllDomains {
		if q.DomainID != 0 {
			return store.EventPage{}, errors.New("all domains are asked for, and one")
		}
		q = matchTypes(q)
	}
	page := store.EventPage{Cursor: q.Before}
	if q.Ascending {
		page.Cursor = q.After
	}
	m := s.newMerge(bounds{q.After, q.Before, q.Message, q.Ascending}, q.Limit+1, func(ctx context.Context, d *day, lo, hi mail.ID, n int) ([]store.EventItem, bool, error) {
		return d.readEvents(ctx, q, lo, hi, n)
	})
	if q.Match != nil {
		m.chunk = max(m.chunk, 256)
	}
	defer m.close()
	for looked := 0; ; looked++ {
		item, ok, err := m.peek(ctx)
		if errors.Is(err, store.ErrSlow) && looked > 0 {
			page.More = true // who asks again goes on from here
			return page, nil
		}
		if err != nil || !ok {
			return page, err
		}
		if len(page.Items) == q.Limit || looked == q.Scan {
			page.More = true
			return page, nil
		}
		m.pop()
		page.Cursor = item.ID
		if q.Match == nil || q.Match(&item.Record, &item.Meta) {
			page.Items = append(page.Items, item)
		}
	}
}

// matchTypes puts the types of a query into its Match. No index has the types of all domains,
// and a statement that looks for rare ones would not come back in time.
func matchTypes(q store.EventQuery) store.EventQuery {
	q.Message, q.MessageID, q.Recipient, q.Tags = 0, "", "", nil
	types, match := q.Types, q.Match
	if len(types) > 0 {
		q.Types = nil
		q.Match = func(r *event.Record, m *event.Meta) bool {
			return slices.Contains(types, r.Type) && (match == nil || match(r, m))
		}
	}
	return q
}

// bounds are which events a merge is about.
type bounds struct {
	after, before mail.ID // exclusive; zero before is open
	message       mail.ID // zero: of all messages
	ascending     bool
}

// A dayReader reads up to n events of a day with ids between lo and hi, both
// exclusive, in the order of the merge. More says that there may be others behind them. If it
// finds none in the time that it has, that is store.ErrSlow.
type dayReader func(ctx context.Context, d *day, lo, hi mail.ID, n int) (items []store.EventItem, more bool, err error)

// A merge reads several days in the order of ids.
type merge struct {
	s         *Store
	ascending bool
	read      dayReader
	chunk     int     // events read from a day at a time
	hi        mail.ID // what is at or above it was not looked at
	days      []*dayEvents
}

// dayEvents is one day's part of a merge.
type dayEvents struct {
	d      *day
	lo, hi mail.ID // what remains to be read, both exclusive
	ahead  []store.EventItem
	opened bool // d was entered
	done   bool // nothing remains to be read
}

// newMerge picks the days whose events can lie within the bounds. No event
// at or above the mark of the tides is read: one before it may still be under way.
func (s *Store) newMerge(b bounds, chunk int, read dayReader) *merge {
	m := &merge{s: s, ascending: b.ascending, read: read, chunk: chunk, hi: s.tides.mark(s.ids)}
	if b.before > 0 {
		m.hi = min(m.hi, b.before)
	}
	for _, d := range s.allDays() {
		newest := mail.ID(d.newest.Load())
		if newest <= b.after || d.first >= m.hi || (b.message != 0 && (b.message < d.first || b.message >= d.end)) {
			continue
		}
		m.days = append(m.days, &dayEvents{d: d, lo: max(b.after, d.first-1), hi: min(m.hi, newest+1)})
	}
	return m
}

func (m *merge) close() {
	for _, e := range m.days {
		if e.opened {
			e.d.leave()
		}
	}
}

// head is the id that the day's next event has, or a bound it cannot come before.
func (m *merge) head(e *dayEvents) mail.ID {
	switch {
	case len(e.ahead) > 0:
		return e.ahead[0].ID
	case m.ascending:
		return e.lo + 1
	}
	return e.hi - 1
}

// peek returns the next event in order, if there is one.
func (m *merge) peek(ctx context.Context) (store.EventItem, bool, error) {
	for {
		m.days = slices.DeleteFunc(m.days, func(e *dayEvents) bool {
			over := e.done && len(e.ahead) == 0
			if over && e.opened {
				e.d.leave()
			}
			return over
		})
		if len(m.days) == 0 {
			return store.EventItem{}, false, nil
		}
		first := slices.MinFunc(m.days, func(a, b *dayEvents) int {
			if m.ascending {
				return cmp.Compare(m.head(a), m.head(b))
			}
			return cmp.Compare(m.head(b), m.head(a))
		})
		if len(first.ahead) > 0 {
			m.days[0], m.days[slices.Index(m.days, first)] = first, m.days[0]
			return first.ahead[0], true, nil
		}
		if err := m.fetch(ctx, first); err != nil {
			return store.EventItem{}, false, err
		}
	}
}

// pop passes over the event that peek returned.
func (m *merge) pop() { m.days[0].ahead = m.days[0].ahead[1:] }

// fetch reads a day's next events. A damaged day has none; it was reported.
func (m *merge) fetch(ctx context.Context, e *dayEvents) error {
	e.done = true
	return m.s.withDay(ctx, e.d, func(d *day) error {
		items, more, err := m.read(ctx, d, e.lo, e.hi, m.chunk)
		if err != nil || len(items) == 0 {
			return err
		}
		e.ahead = items
		e.done = !more
		if m.ascending {
			e.lo = items[len(items)-1].ID
		} else {
			e.hi = items[len(items)-1].ID
		}
		return nil
	})
}

// readEvents reads up to n events of a day with ids between lo and hi; it is a dayReader.
func (d *day) readEvents(ctx context.Context, q store.EventQuery, lo, hi mail.ID, n int) ([]store.EventItem, bool, error) {
	var tags []int64
	if len(q.Tags) > 0 && d.version >= versionTags {
		var ok bool
		var err error
		if tags, ok, err = d.tagNumbers(ctx, q.DomainID, q.Tags); err != nil || !ok {
			return nil, false, err
		}
	}
	query, args := eventSQL(q, tags)
	args = append([]any{q.DomainID, int64(lo), int64(hi), n}, args...)
	items, more, err := d.readRows(ctx, readFor, n, query, args...)
	if err != nil {
		return nil, false, err
	}
	return items, more, d.readMetas(ctx, items, nil)
}

// readRows reads the rows of eventSQL or journalSQL, of which there are up to n, for a time.
// Rows come in order, so those that came in time are the first of them.
func (d *day) readRows(ctx context.Context, limit time.Duration, n int, query string, args ...any) (items []store.EventItem, more bool, err error) {
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	rows, err := d.read.QueryContext(timed, query, args...)
	if err == nil {
		items, err = scanEvents(rows)
	}
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		if len(items) == 0 {
			return nil, false, fmt.Errorf("%w (%v)", store.ErrSlow, limit)
		}
		return items, true, nil
	}
	return items, len(items) == n, err
}

// scanEvents reads rows to their end, or to an error: then it returns those before it as well.
func scanEvents(rows *sql.Rows) ([]store.EventItem, error) {
	defer rows.Close()
	var items []store.EventItem
	for rows.Next() {
		var domain int64
		item, err := scanEvent(rows, &domain)
		if err != nil {
			return items, err
		}
		item.DomainID = domain
		items = append(items, item)
	}
	return items, rows.Err()
}

// readMetas fills in the metadata of events, of the wanted types if any are given. That of a message is read once,
// however many events there are of it: with a thousand recipients it is a hundred kilobytes.
func (d *day) readMetas(ctx context.Context, items []store.EventItem, wanted []event.Type) error {
	metas := map[mail.ID]*event.Meta{}
	var ids []mail.ID
	for _, item := range items {
		if metas[item.Message] == nil && (len(wanted) == 0 || slices.Contains(wanted, item.Type)) {
			metas[item.Message] = &event.Meta{}
			ids = append(ids, item.Message)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	rows, err := d.read.QueryContext(ctx, `SELECT m.id, m.meta FROM json_each($1) wanted CROSS JOIN message m ON m.id = wanted.value`, string(list))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var meta sql.RawBytes
		if err := rows.Scan(&id, &meta); err != nil {
			return err
		}
		if err := json.Unmarshal(meta, metas[mail.ID(id)]); err != nil {
			return fmt.Errorf("message %v: %w", mail.ID(id), err)
		}
	}
	for i := range items {
		if m := metas[items[i].Message]; m != nil {
			items[i].Meta = *m
		}
	}
	return rows.Err()
}

// scanEvent reads a row of eventSQL or journalSQL; more takes the columns that follow.
func scanEvent(rows *sql.Rows, more ...any) (store.EventItem, error) {
	var item store.EventItem
	var id, at, kind, msg int64
	var raw sql.NullString
	var data sql.RawBytes
	columns := append([]any{&id, &at, &kind, &msg, &item.Recipient, &raw, &data}, more...)
	if err := rows.Scan(columns...); err != nil {
		return item, err
	}
	item.ID, item.Time, item.Type, item.Message = mail.ID(id), time.UnixMicro(at).UTC(), event.Type(kind), mail.ID(msg)
	if raw.Valid {
		item.Recipient = raw.String
	}
	if err := json.Unmarshal(data, &item.Data); err != nil {
		return item, fmt.Errorf("event %v: %w", item.ID, err)
	}
	return item, nil
}

// eventSQL returns the statement that finds a query's events in one day file, and
// its arguments from $5 on; $1 to $4 are domain, both bounds, and number. The
// index is chosen here and named, never left to the planner's guess.
func eventSQL(q store.EventQuery, tags []int64) (string, []any) {
	order := "DESC"
	if q.Ascending {
		order = "ASC"
	}
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args)+4)
	}
	// An event has the domain of its message and an id above its message's; a statement that does not ask
	// the event for its domain is answered out of the index.
	const ids = `e.id > $2 AND e.id < $3`
	const bounds = `e.domain = $1 AND ` + ids
	address := addressKey(q.Recipient)
	var find string
	switch {
	case q.AllDomains:
		find = `SELECT e.id FROM event e NOT INDEXED WHERE $1 = 0 AND e.id > $2 AND e.id < $3`
	case q.Message != 0:
		find = `SELECT e.id FROM event e INDEXED BY event_msg WHERE e.msg = ` + arg(int64(q.Message)) + ` AND ` + bounds + filters(q, address, arg)
	case q.MessageID != "":
		find = `SELECT e.id FROM message m INDEXED BY message_mid CROSS JOIN event e INDEXED BY event_msg ON e.msg = m.id
			WHERE m.domain = $1 AND m.mid = ` + arg(q.MessageID) + ` AND m.id < $3 AND ` + ids + filters(q, address, arg)
	case q.Recipient != "":
		find = `SELECT e.id FROM recipient r CROSS JOIN event e INDEXED BY event_msg ON e.msg = r.msg
			WHERE r.domain = $1 AND r.rcpt = ` + arg(address) + ` AND r.msg < $3 AND ` + ids + filters(q, address, arg)
	default:
		// One ordered run of the index per type; SQLite merges them.
		types := q.Types
		if len(types) == 0 {
			types = allTypes
		}
		types = slices.Compact(slices.Sorted(slices.Values(types)))
		if len(tags) > 0 {
			find = strings.Join(tagRuns(tags, types), ` UNION ALL `)
			break
		}
		var runs []string
		for _, t := range types {
			runs = append(runs, fmt.Sprintf(`SELECT e.id FROM event e INDEXED BY event_domain WHERE e.type = %d AND %s`, uint8(t), bounds))
		}
		find = strings.Join(runs, ` UNION ALL `)
	}
	return `SELECT e.id, e.at, e.type, e.msg, e.rcpt, e.raw, e.data, e.domain
		FROM (` + find + ` ORDER BY 1 ` + order + ` LIMIT $4) found
		CROSS JOIN event e ON e.id = found.id
		ORDER BY e.id ` + order, args
}

// filters are the conditions that the chosen index does not cover.
func filters(q store.EventQuery, address string, arg func(any) string) string {
	var b strings.Builder
	if address != "" {
		b.WriteString(` AND e.rcpt = ` + arg(address))
	}
	if q.Message != 0 && q.MessageID != "" {
		b.WriteString(` AND e.msg IN (SELECT id FROM message WHERE mid = ` + arg(q.MessageID) + `)`)
	}
	if len(q.Types) > 0 {
		b.WriteString(` AND e.type IN (`)
		for i, t := range q.Types {
			if i > 0 {
				b.WriteString(`, `)
			}
			fmt.Fprintf(&b, "%d", uint8(t))
		}
		b.WriteString(`)`)
	}
	return b.String()
}
