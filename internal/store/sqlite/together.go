package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// chunkOctets and chunkRows bound what of a batch's contents is in memory, and in one
	// transaction, at a time.
	chunkOctets = 1 << 20
	chunkRows   = 128
)

// NewIDs gives n ids, which are of one millisecond and so of one day.
func (s *Store) NewIDs(n int) mail.ID { return s.ids.Reserve(n) }

// AcceptAll stores several messages or none.
//
// The contents come first, a few at a time, in transactions that they share with the mail that
// passes meanwhile: like the files of big contents they mean nothing as long as no message names
// them. Then one transaction makes all messages, rows and events, without their octets. What a
// failure or a crash leaves of contents is deleted, at once or by the next start.
func (s *Store) AcceptAll(ctx context.Context, all []*store.NewMessage) error {
	if len(all) == 0 {
		return nil
	}
	if err := s.acceptAll(ctx, all); err != nil {
		return fmt.Errorf("accept %d messages from %v on: %w", len(all), all[0].ID, err)
	}
	return nil
}

func (s *Store) acceptAll(ctx context.Context, all []*store.NewMessage) error {
	var size int64
	for _, m := range all {
		if err := checkNewMessage(m); err != nil {
			return err
		}
		if m.ID.Day() != all[0].ID.Day() {
			return errors.New("they are of several days")
		}
		if m.Content == nil {
			continue
		}
		size += m.Content.Size
		if own, ok := sharing(m.Content); ok {
			size += own - m.Content.Size
		}
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := errors.Join(ctx.Err(), s.Err(), s.space.check(size)); err != nil {
		return err
	}
	d, err := s.enterDay(ctx, all[0].ID, true)
	if err != nil {
		return err
	}
	defer d.leave()
	w, err := d.writer()
	if err != nil {
		return err
	}
	t := &together{s: s, d: d, w: w}
	defer t.close()
	if err = t.storeContents(ctx, all); err == nil {
		err = t.storeMessages(ctx)
	}
	if err != nil && s.Err() == nil { // see accept: after a failed sync nobody knows
		err = errors.Join(err, t.undo())
	}
	return err
}

// together is a batch on its way into its day file.
type together struct {
	s *Store
	d *day
	w *writer

	base   *store.Content // of those that are deltas
	baseID mail.ID        // under which it is kept: the id of the first of them
	refs   int            // deltas
	octets io.ReaderAt    // of the base
	file   *os.File       // the same, if it is a file

	accepts []*acceptance
	stored  []droppable // contents on disk, before their messages are
}

// storeContents brings all contents to disk.
func (t *together) storeContents(ctx context.Context, all []*store.NewMessage) error {
	var chunk contentChunk
	for _, m := range all {
		a := &acceptance{m: m, d: t.d}
		if err := a.encode(); err != nil {
			return err
		}
		t.accepts = append(t.accepts, a)
		if m.Content == nil {
			continue
		}
		b, err := t.content(ctx, m, &chunk)
		if err != nil {
			return err
		}
		a.size = b.size
		if b.codec == codecFile {
			t.stored = append(t.stored, droppable{m.ID, codecFile, 0}) // its file is there already
		}
		chunk.add(m.ID, b)
		if chunk.octets >= chunkOctets || len(chunk.ids) == chunkRows {
			if err := t.flush(ctx, &chunk); err != nil {
				return err
			}
		}
	}
	return t.flush(ctx, &chunk)
}

// content brings one content into the form in which its row keeps it; the base of a batch
// goes to the chunk before the first that refers to it.
func (t *together) content(ctx context.Context, m *store.NewMessage, chunk *contentChunk) (*body, error) {
	c := m.Content
	_, delta := sharing(c)
	if delta && t.base == nil && t.d.version >= versionBases {
		if err := t.storeBase(ctx, m, chunk); err != nil {
			return nil, err
		}
	}
	// A file under the id of the base is the base's.
	if delta && t.base == c.Base {
		b, err := storeDelta(ctx, c, t.baseID, t.octets)
		if err == nil {
			t.refs++
		}
		if err == nil || !errors.Is(err, errUntrue) || m.ID == t.baseID {
			return b, err
		}
	}
	if c.Size > inlineMax && exists(t.s.bigPath(m.ID)) {
		return nil, store.ErrExists
	}
	return t.s.storeContent(ctx, m.ID, c, inlineMax)
}

// storeBase stores the base of the batch under the id of the first message that has it.
func (t *together) storeBase(ctx context.Context, m *store.NewMessage, chunk *contentChunk) error {
	base := m.Content.Base
	if base.Size > baseInline && exists(t.s.bigPath(m.ID)) {
		return store.ErrExists
	}
	b, err := t.s.storeContent(ctx, m.ID, base, baseInline)
	if err != nil {
		return err
	}
	t.base, t.baseID, chunk.base = base, m.ID, b
	if b.codec != codecFile {
		octets, err := b.octets()
		t.octets = bytes.NewReader(octets)
		return err
	}
	t.stored = append(t.stored, droppable{m.ID, codecFile, 0})
	f, err := os.Open(t.s.bigPath(m.ID))
	if err != nil {
		return err
	}
	t.octets, t.file = f, f
	return nil
}

// close gives back what the batch holds.
func (t *together) close() {
	if t.file != nil {
		t.file.Close()
	}
}

// A contentChunk are contents that are written in one transaction.
type contentChunk struct {
	base   *body // of the batch; nil if it is on disk
	ids    []mail.ID
	bodies []*body
	octets int
}

func (c *contentChunk) add(id mail.ID, b *body) {
	c.ids, c.bodies = append(c.ids, id), append(c.bodies, b)
	c.octets += len(b.data)
}

// flush writes a chunk and empties it.
func (t *together) flush(ctx context.Context, c *contentChunk) error {
	if len(c.ids) == 0 {
		return nil
	}
	err := t.w.do(ctx, &op{apply: func(b *batch) error {
		if c.base != nil {
			if _, err := b.w.st.insertBase.ExecContext(context.Background(), int64(t.baseID), c.base.codec, c.base.size, c.base.sum[:], c.base.data); err != nil {
				return conflict(err)
			}
		}
		for i, id := range c.ids {
			if err := b.insertBody(id, c.bodies[i]); err != nil {
				return conflict(err)
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	for i, id := range c.ids {
		t.stored = append(t.stored, droppable{id, c.bodies[i].codec, c.bodies[i].base})
	}
	*c = contentChunk{ids: c.ids[:0], bodies: c.bodies[:0]}
	return nil
}

// conflict says what a row that is there already means.
func conflict(err error) error {
	if isConflict(err) {
		return store.ErrExists
	}
	return err
}

// storeMessages makes the messages in one transaction.
func (t *together) storeMessages(ctx context.Context) error {
	for _, a := range t.accepts {
		a.rows = t.s.number(a.m)
		a.times = make([]time.Time, len(a.m.Events))
		a.ids = make([]mail.ID, len(a.m.Events))
	}
	err := t.w.do(ctx, &op{
		apply: func(b *batch) error {
			if t.refs > 0 {
				if _, err := b.w.st.referBase.ExecContext(context.Background(), int64(t.baseID), t.refs); err != nil {
					return err
				}
			}
			for _, a := range t.accepts {
				if err := a.apply(b); err != nil {
					return err
				}
			}
			return nil
		},
		committed: func() {
			for _, a := range t.accepts {
				a.committed()
			}
			t.d.bare.Store(false)
		},
	})
	if err != nil {
		return err
	}
	for _, a := range t.accepts {
		a.fillIn()
	}
	return nil
}

// undo deletes contents whose messages were not made.
func (t *together) undo() error {
	if len(t.stored) == 0 {
		return nil
	}
	err := t.w.do(context.Background(), &op{outcome: true, apply: func(b *batch) error {
		ctx := context.Background()
		for _, c := range t.stored {
			if _, err := b.w.st.deleteOrphan.ExecContext(ctx, int64(c.id)); err != nil {
				return err
			}
		}
		if t.base == nil {
			return nil
		}
		_, err := b.w.st.deleteUnusedBase.ExecContext(ctx, int64(t.baseID))
		return err
	}})
	if err != nil {
		return err // the next start finds them
	}
	var errs []error
	for _, c := range slices.Compact(slices.SortedFunc(slices.Values(t.stored), byID)) {
		if c.codec == codecFile {
			errs = append(errs, t.s.dropFile(c.id))
		}
	}
	return errors.Join(errs...)
}

func byID(a, b droppable) int { return int(min(max(a.id-b.id, -1), 1)) }
