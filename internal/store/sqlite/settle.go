package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Settle records what one attempt meant for the rows of one message.
func (s *Store) Settle(ctx context.Context, o store.Outcome) (lost []mail.ID, err error) {
	lost, err = s.settle(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("settle message %v: %w", o.Message, err)
	}
	return lost, nil
}

func (s *Store) settle(ctx context.Context, o store.Outcome) ([]mail.ID, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := errors.Join(ctx.Err(), s.Err()); err != nil {
		return nil, err
	}
	t := settlement{o: o, rows: slices.Clone(o.Rows)}
	slices.SortFunc(t.rows, func(a, b store.RowOutcome) int { return cmp.Compare(a.Row, b.Row) })
	for _, r := range t.rows {
		data := ""
		if r.Event != nil {
			var err error
			if data, err = encodeData(r.Event.Data); err != nil {
				return nil, err
			}
		}
		t.data = append(t.data, data)
	}
	d, err := s.enterDay(ctx, o.Message, false)
	if errors.Is(err, store.ErrNotFound) { // so nobody holds rows of it
		return t.allRows(), nil
	}
	if err != nil {
		return nil, err
	}
	defer d.leave()
	w, err := d.writer()
	if err != nil {
		return nil, err
	}
	if err := w.do(ctx, &op{apply: t.apply, outcome: true}); err != nil {
		return nil, err
	}
	t.fillIn()
	return t.lost, nil
}

// A settlement is an outcome on its way into the day file.
type settlement struct {
	o    store.Outcome
	rows []store.RowOutcome // by id
	data []string           // of their events
	// Results of the last apply.
	lost  []mail.ID
	given []mail.ID // event ids, 0 where none was written
	time  time.Time
}

func (t *settlement) allRows() []mail.ID {
	var ids []mail.ID
	for _, r := range t.rows {
		ids = append(ids, r.Row)
	}
	return ids
}

func (t *settlement) apply(b *batch) error {
	t.lost, t.given, t.time = nil, make([]mail.ID, len(t.rows)), b.now
	finished := 0
	for i, r := range t.rows {
		held, err := t.change(b, r)
		if err != nil {
			return err
		}
		if !held {
			t.lost = append(t.lost, r.Row)
			continue
		}
		if r.Final {
			finished++
		}
		if r.Event == nil {
			continue
		}
		e := *r.Event
		e.Message, e.DomainID = t.o.Message, t.o.DomainID
		t.given[i] = b.eventID()
		if err := b.insertEvent(t.given[i], &e, t.data[i]); err != nil {
			return err
		}
	}
	if finished == 0 {
		return nil
	}
	_, err := b.w.st.countDown.ExecContext(context.Background(), int64(t.o.Message), finished)
	return err
}

// change deletes or reschedules one row, if the lease holds it and it is the
// message's.
func (t *settlement) change(b *batch, r store.RowOutcome) (held bool, err error) {
	if r.Lease == 0 || !b.claim(r.Row, r.Lease) {
		return false, nil
	}
	ctx, st := context.Background(), &b.w.st
	var n int64
	if r.Final {
		n, err = affected(st.deleteRow.ExecContext(ctx, int64(r.Row), int64(t.o.Message), t.o.DomainID))
	} else {
		n, err = affected(st.deferRow.ExecContext(ctx, int64(r.Row), int64(t.o.Message), t.o.DomainID,
			micros(r.Due), r.Attempt, r.LastReply))
	}
	if err == nil && n == 0 {
		b.unclaim()
	}
	return n > 0, err
}

// fillIn completes the caller's events.
func (t *settlement) fillIn() {
	for i, r := range t.rows {
		if t.given[i] != 0 {
			r.Event.ID, r.Event.Time = t.given[i], t.time
			r.Event.Message, r.Event.DomainID = t.o.Message, t.o.DomainID
		}
	}
}

// affected returns the rows a statement changed.
func affected(res interface{ RowsAffected() (int64, error) }, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Cancel deletes matching rows that are not leased and writes a permanent failure
// for each. Once it has begun it goes to the end, whatever ctx says: its effect is
// spread over transactions, and half of it would be worse.
func (s *Store) Cancel(ctx context.Context, q store.RowQuery, data event.Data) (n int, err error) {
	text, err := encodeData(data)
	if err != nil {
		return 0, fmt.Errorf("cancel rows: %w", err)
	}
	n, _, err = s.changeRows(ctx, q, func(rows []store.Row) *change {
		c := &change{rows: rows}
		c.each = func(b *batch, r store.Row) (bool, error) {
			n, err := affected(b.w.st.deleteRow.ExecContext(context.Background(), int64(r.ID), int64(r.Message), r.DomainID))
			if err != nil || n == 0 {
				return false, err
			}
			e := event.Record{Type: event.FailedPermanent, DomainID: r.DomainID, Message: r.Message, Recipient: r.Recipient.String()}
			if err := b.insertEvent(b.eventID(), &e, text); err != nil {
				return false, err
			}
			_, err = b.w.st.countDown.ExecContext(context.Background(), int64(r.Message), 1)
			return true, err
		}
		return c
	})
	if err != nil {
		return n, fmt.Errorf("cancel rows: %w", err)
	}
	return n, nil
}

// Reschedule makes matching rows that are not leased due at the given time.
func (s *Store) Reschedule(ctx context.Context, q store.RowQuery, due time.Time) (n int, nextHops []string, err error) {
	n, nextHops, err = s.changeRows(ctx, q, func(rows []store.Row) *change {
		return &change{rows: rows, each: func(b *batch, r store.Row) (bool, error) {
			n, err := affected(b.w.st.rescheduleRow.ExecContext(context.Background(), int64(r.ID), micros(due)))
			return n > 0, err
		}}
	})
	if err != nil {
		return n, nextHops, fmt.Errorf("reschedule rows: %w", err)
	}
	return n, nextHops, nil
}

// SetHeld holds or releases matching rows that are not leased.
func (s *Store) SetHeld(ctx context.Context, q store.RowQuery, held bool) (n int, nextHops []string, err error) {
	n, nextHops, err = s.changeRows(ctx, q, func(rows []store.Row) *change {
		return &change{rows: rows, each: func(b *batch, r store.Row) (bool, error) {
			n, err := affected(b.w.st.holdRow.ExecContext(context.Background(), int64(r.ID), held))
			return n > 0, err
		}}
	})
	if err != nil {
		return n, nextHops, fmt.Errorf("hold rows: %w", err)
	}
	return n, nextHops, nil
}

// A change is an operation on rows of one day that nobody holds.
type change struct {
	rows []store.Row
	each func(b *batch, r store.Row) (changed bool, err error)

	changed int // of the last apply
	hops    map[string]struct{}
}

func (c *change) apply(b *batch) error {
	c.changed, c.hops = 0, map[string]struct{}{}
	for _, r := range c.rows {
		if !b.claim(r.ID, 0) {
			continue
		}
		ok, err := c.each(b, r)
		if err != nil {
			return err
		}
		if ok {
			c.changed++
			c.hops[r.NextHop] = struct{}{}
		}
	}
	return nil
}

// changeRows applies a change to everything that q matches, day by day and
// message by message, so that no transaction grows with the queue.
func (s *Store) changeRows(ctx context.Context, q store.RowQuery, to func([]store.Row) *change) (n int, nextHops []string, err error) {
	if err := s.enter(); err != nil {
		return 0, nil, err
	}
	defer s.leave()
	if err := errors.Join(ctx.Err(), s.Err()); err != nil {
		return 0, nil, err
	}
	ctx = context.WithoutCancel(ctx)
	hops := map[string]struct{}{}
	err = s.eachMatching(ctx, q, func(d *day) error {
		w, err := d.writer()
		if err != nil {
			return err
		}
		for rows, err := range s.pages(ctx, d, q) {
			if err != nil {
				return err
			}
			changes, err := w.changeAll(ctx, rows, to)
			for _, c := range changes {
				n += c.changed
				for hop := range c.hops {
					hops[hop] = struct{}{}
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	for hop := range hops {
		nextHops = append(nextHops, hop)
	}
	slices.Sort(nextHops)
	return n, nextHops, err
}

// changeAll submits one change per message and waits for all; they share
// transactions with each other and with the mail that passes meanwhile. It returns
// the changes that were made.
func (w *writer) changeAll(ctx context.Context, rows []store.Row, to func([]store.Row) *change) ([]*change, error) {
	var changes []*change
	var ops []*op
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Message == rows[0].Message {
			n++
		}
		c := to(rows[:n])
		o := &op{apply: c.apply, outcome: true}
		w.submit(ctx, o)
		changes, ops, rows = append(changes, c), append(ops, o), rows[n:]
	}
	var errs []error
	made := changes[:0]
	for i, o := range ops {
		if err := o.wait(ctx); err != nil {
			errs = append(errs, err)
		} else {
			made = append(made, changes[i])
		}
	}
	return made, errors.Join(errs...)
}
