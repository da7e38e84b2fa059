package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// NewID gives an id for a message about to be accepted.
func (s *Store) NewID() mail.ID { return s.ids.Next() }

// Accept stores the message with its content, rows and events in one transaction.
// The content is read, compressed and, if it is big, written and synced by the
// caller's goroutine; only the finished rows go to the committer.
func (s *Store) Accept(ctx context.Context, m *store.NewMessage) error {
	if err := s.accept(ctx, m); err != nil {
		return fmt.Errorf("accept message %v: %w", m.ID, err)
	}
	return nil
}

func (s *Store) accept(ctx context.Context, m *store.NewMessage) error {
	if err := checkNewMessage(m); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := errors.Join(ctx.Err(), s.Err()); err != nil {
		return err
	}
	size := int64(0)
	if m.Content != nil {
		size = m.Content.Size
	}
	if err := s.space.check(size); err != nil {
		return err
	}
	d, err := s.enterDay(ctx, m.ID, true)
	if err != nil {
		return err
	}
	defer d.leave()
	w, err := d.writer()
	if err != nil {
		return err
	}
	a := acceptance{m: m, d: d}
	if err := a.encode(); err != nil {
		return err
	}
	if m.Content != nil {
		// An id is accepted once, so a file of that name is another message's.
		if size > inlineMax && exists(s.bigPath(m.ID)) {
			return store.ErrExists
		}
		if a.body, err = s.storeContent(ctx, m.ID, m.Content, inlineMax); err != nil {
			return err
		}
		a.size = a.body.size
	}
	a.rows = s.number(m)
	a.times = make([]time.Time, len(m.Events))
	a.ids = make([]mail.ID, len(m.Events))
	if err := w.do(ctx, &op{apply: a.apply, committed: a.committed}); err != nil {
		// After a failed sync nobody knows whether the row is on disk, so its file
		// stays; the next start sweeps it if it is nobody's.
		if a.body != nil && a.body.codec == codecFile && s.Err() == nil {
			err = errors.Join(err, s.dropFile(m.ID))
		}
		return err
	}
	a.fillIn()
	return nil
}

// checkNewMessage refuses what the contract does not allow.
func checkNewMessage(m *store.NewMessage) error {
	switch {
	case m.ID <= 0:
		return errors.New("it has no id")
	case len(m.Events) == 0:
		return errors.New("it has no event")
	case m.Content == nil && len(m.Rows) > 0:
		return errors.New("it has recipients and no content")
	}
	if !readable(m.Envelope.ReversePath) {
		return fmt.Errorf("its reverse-path %q is not an address", m.Envelope.ReversePath)
	}
	for _, e := range m.Events {
		if e.Message != m.ID || e.DomainID != m.DomainID {
			return errors.New("an event of it belongs to another message")
		}
	}
	for _, r := range m.Rows {
		switch {
		case r.Message != m.ID || r.DomainID != m.DomainID:
			return errors.New("a row of it belongs to another message")
		case r.NextHop == "" || r.Recipient.IsZero():
			return errors.New("a row of it has no recipient")
		case !readable(r.Recipient):
			return fmt.Errorf("its recipient %q is not an address", r.Recipient)
		case m.Leased && r.Held:
			return errors.New("a held row cannot be leased")
		}
	}
	return nil
}

// readable reports whether an address can be read back from its text.
func readable(a mail.Address) bool {
	var back mail.Address
	return back.UnmarshalText([]byte(a.String())) == nil && back == a
}

// number returns the message's rows with consecutive ids and, where asked for, a
// lease. The caller's rows stay as they are until the message is stored.
func (s *Store) number(m *store.NewMessage) []store.Row {
	rows := make([]store.Row, len(m.Rows))
	if len(rows) == 0 {
		return rows
	}
	first := s.ids.Reserve(len(rows))
	var token int64
	if m.Leased {
		token = s.newToken()
	}
	for i, r := range m.Rows {
		rows[i] = r
		rows[i].ID = first + mail.ID(i)
		rows[i].Lease = token
	}
	return rows
}

// newToken gives a fencing token that no process ever gave before.
func (s *Store) newToken() int64 { return int64(s.ids.Next()) }

// An acceptance is a message on its way into its day file.
type acceptance struct {
	m              *store.NewMessage
	d              *day
	body           *body // nil: it has none, or it is on disk already
	size           int64 // of the content
	envelope, meta string
	data           []string // of the events
	rows           []store.Row
	ids            []mail.ID // given to the events by the last apply
	times          []time.Time
}

func (a *acceptance) encode() error {
	envelope, err := json.Marshal(a.m.Envelope)
	if err != nil {
		return fmt.Errorf("encode envelope: %w", err)
	}
	meta, err := json.Marshal(a.m.Meta)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	a.envelope, a.meta = string(envelope), string(meta)
	for _, e := range a.m.Events {
		data, err := encodeData(e.Data)
		if err != nil {
			return err
		}
		a.data = append(a.data, data)
	}
	return nil
}

func encodeData(d event.Data) (string, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encode event: %w", err)
	}
	return string(data), nil
}

func (a *acceptance) apply(b *batch) error {
	ctx, st := context.Background(), &b.w.st
	m, firstRow := a.m, mail.ID(0)
	if len(a.rows) > 0 {
		firstRow = a.rows[0].ID
	}
	if _, err := st.insertMessage.ExecContext(ctx, int64(m.ID), m.DomainID, int64(firstRow), len(a.rows), a.size,
		m.Meta.MessageID, a.envelope, a.meta); isConflict(err) {
		return store.ErrExists
	} else if err != nil {
		return err
	}
	if a.body != nil {
		if err := b.insertBody(m.ID, a.body); err != nil {
			return err
		}
	}
	if err := b.insertTags(m); err != nil {
		return err
	}
	addresses := make(map[string]struct{}, len(a.rows))
	for _, r := range a.rows {
		if _, err := st.insertRow.ExecContext(ctx, int64(r.ID), int64(r.Message), r.DomainID, r.NextHop, r.Recipient.String(),
			micros(r.Due), micros(r.Expires), r.Attempt, r.Held, r.LastReply); err != nil {
			return err
		}
		if r.Lease != 0 {
			b.grant(r.ID, r.NextHop, r.Lease)
		}
		addresses[r.Recipient.Key()] = struct{}{}
	}
	for i, e := range m.Events {
		a.ids[i], a.times[i] = b.eventID(), b.now
		if err := b.insertEvent(a.ids[i], &e, a.data[i]); err != nil {
			return err
		}
		if e.Recipient != "" {
			addresses[addressKey(e.Recipient)] = struct{}{}
		}
	}
	for address := range addresses {
		if _, err := st.insertRecipient.ExecContext(ctx, m.DomainID, address, int64(m.ID)); err != nil {
			return err
		}
	}
	return nil
}

// insertBody writes a content.
func (b *batch) insertBody(id mail.ID, c *body) error {
	args := []any{int64(id), c.codec, c.size, c.sum[:], c.data}
	if b.w.day.version >= versionBases {
		args = append(args, int64(c.base))
	}
	_, err := b.w.st.insertBody.ExecContext(context.Background(), args...)
	return err
}

// insertEvent writes an event whose data is encoded already.
func (b *batch) insertEvent(id mail.ID, e *event.Record, data string) error {
	key := addressKey(e.Recipient)
	var raw any
	if key != e.Recipient {
		raw = e.Recipient
	}
	if _, err := b.w.st.insertEvent.ExecContext(context.Background(), int64(id), b.now.UnixMicro(), e.DomainID, int64(e.Type), int64(e.Message), key, raw, data); err != nil {
		return err
	}
	return b.indexTags(id, e)
}

// committed runs when the message is on disk, before anybody is told.
func (a *acceptance) committed() {
	if len(a.rows) > 0 {
		a.d.filled.Add(1)
	}
	if a.body != nil {
		a.d.bare.Store(false)
	}
}

// fillIn tells the caller what was given.
func (a *acceptance) fillIn() {
	for i := range a.rows {
		a.m.Rows[i].ID, a.m.Rows[i].Lease = a.rows[i].ID, a.rows[i].Lease
	}
	for i := range a.ids {
		a.m.Events[i].ID, a.m.Events[i].Time = a.ids[i], a.times[i]
	}
}

// micros is a moment as the files keep it: microseconds since 1970, 0 for the zero
// time. Moments before 1970 are kept as the first one after it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixMicro(), 1)
}

// moment is the inverse of micros.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
