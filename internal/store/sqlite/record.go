package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Record appends an event to the log of a message, in the file of the message's day.
func (s *Store) Record(ctx context.Context, r *event.Record) error {
	if err := s.record(ctx, r); err != nil {
		return fmt.Errorf("record %v of message %v: %w", r.Type, r.Message, err)
	}
	return nil
}

func (s *Store) record(ctx context.Context, r *event.Record) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := errors.Join(ctx.Err(), s.Err()); err != nil {
		return err
	}
	data, err := encodeData(r.Data)
	if err != nil {
		return err
	}
	d, err := s.enterDay(ctx, r.Message, false)
	if err != nil {
		return err
	}
	defer d.leave()
	// Most that is asked for in vain is found out here, without a transaction.
	var known int
	err = d.read.QueryRowContext(ctx, `SELECT 1 FROM message WHERE id = $1 AND domain = $2`, int64(r.Message), r.DomainID).Scan(&known)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	if err != nil {
		return s.judge(d, err)
	}
	w, err := d.writer()
	if err != nil {
		return err
	}
	n := &notedEvent{record: r, data: data}
	if err := w.do(ctx, &op{apply: n.apply}); err != nil {
		return err
	}
	r.ID, r.Time = n.id, n.time
	return nil
}

// A notedEvent is an event on its way into the day file of its message. Messages are dropped
// with their whole file only, so the message is still there.
type notedEvent struct {
	record *event.Record
	data   string

	id   mail.ID // of the last apply
	time time.Time
}

func (n *notedEvent) apply(b *batch) error {
	n.id, n.time = b.eventID(), b.now
	return b.insertEvent(n.id, n.record, n.data)
}
