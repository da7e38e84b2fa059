package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// pruneBatch is how many contents go in one transaction, so that mail hardly
// waits for it.
const pruneBatch = 128

// Prune unlinks the files of days that are over for good and drops old contents
// of finished messages from the others.
func (s *Store) Prune(ctx context.Context, r store.Retention) error {
	if err := s.prune(ctx, r); err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}

func (s *Store) prune(ctx context.Context, r store.Retention) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	for _, d := range s.allDays() {
		if err := errors.Join(ctx.Err(), s.Err()); err != nil {
			return err
		}
		gone, err := s.pruneDay(ctx, d, r.Events)
		if err != nil {
			return err
		}
		if gone || d.bare.Load() || d.first >= mail.FirstID(r.Content) {
			continue
		}
		err = s.withDay(ctx, d, func(d *day) error { return s.pruneContents(ctx, d, r.Content) })
		if err != nil {
			return err
		}
	}
	return s.forgetLost(ctx, r.Events)
}

// over reports whether a day ended before t, has no event since, and nothing is
// queued in it.
func (d *day) over(t time.Time) bool {
	limit := mail.FirstID(t)
	return d.end <= limit && mail.ID(d.newest.Load()) < limit && !d.hasQueue()
}

// pruneDay removes a day with all that is in it, if it is over and nobody uses it
// now; else the next call will.
func (s *Store) pruneDay(ctx context.Context, d *day, before time.Time) (gone bool, err error) {
	if d.end > mail.FirstID(before) {
		return false, nil
	}
	if d.hasQueue() { // or had: ask the file
		if err := s.withDay(ctx, d, func(d *day) error { return d.noteDrained(ctx, d.filled.Load()) }); err != nil {
			return false, err
		}
	}
	s.creating.Lock() // nobody may make the day anew while its file goes
	defer s.creating.Unlock()
	if !s.retire(d, before) {
		return false, nil
	}
	// Nobody can reach it any more. The list first: a file that is not listed is
	// taken up again at the next start, one that is listed and not there is a loss.
	ctx = context.WithoutCancel(ctx)
	if err := s.config.unlist(ctx, d.name); err != nil {
		return true, err
	}
	if err := removeDatabase(d.path); err != nil {
		return true, fmt.Errorf("day %s: %w", d.name, err)
	}
	return true, errors.Join(s.dropFiles(d), syncDir(s.dir))
}

// retire closes a day that is over and takes it off the days. It does nothing if
// somebody uses the day.
func (s *Store) retire(d *day, before time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users > 0 || d.damaged != nil || !d.over(before) {
		return false
	}
	if err := d.shut(); err != nil {
		s.log.Error("a day file that is to go does not close", "error", err)
	}
	d.gone = true
	s.mu.Lock()
	delete(s.days, d.name)
	s.mu.Unlock()
	return true
}

// dropFiles removes the big contents of a day.
func (s *Store) dropFiles(d *day) error {
	var errs []error
	ids, err := s.bigFiles()
	for _, id := range ids {
		if id >= d.first && id < d.end {
			errs = append(errs, s.dropFile(id))
		}
	}
	return errors.Join(append(errs, err)...)
}

// pruneContents drops the contents of a day's finished messages accepted before t.
func (s *Store) pruneContents(ctx context.Context, d *day, before time.Time) error {
	limit := min(mail.FirstID(before), d.end)
	for after := mail.ID(0); ; {
		ids, last, err := d.droppable(ctx, after, limit)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		after = last
		if err := s.dropContents(ctx, d, ids); err != nil {
			return err
		}
	}
	if limit < d.end || d.end > s.ids.Next() { // more may come
		return nil
	}
	var any bool
	if err := d.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM body)`).Scan(&any); err != nil {
		return err
	}
	d.bare.Store(!any)
	return nil
}

// A stored content that may go.
type droppable struct {
	id    mail.ID
	codec int
	base  mail.ID // of a delta
}

func (d *day) droppable(ctx context.Context, after, limit mail.ID) (list []droppable, last mail.ID, err error) {
	base := `b.base`
	if d.version < versionBases {
		base = `0`
	}
	rows, err := d.read.QueryContext(ctx, `SELECT b.id, b.codec, `+base+` FROM body b CROSS JOIN message m ON m.id = b.id
		WHERE b.id > $1 AND b.id < $2 AND m.pending = 0 ORDER BY b.id LIMIT $3`, int64(after), int64(limit), pruneBatch)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var c droppable
		if err := rows.Scan(&id, &c.codec, &c.base); err != nil {
			return nil, 0, err
		}
		c.id = mail.ID(id)
		list, last = append(list, c), c.id
	}
	return list, last, rows.Err()
}

// dropContents deletes rows first: a file without a row is swept at the next start,
// a row without its file would look like damage.
func (s *Store) dropContents(ctx context.Context, d *day, list []droppable) error {
	w, err := d.writer()
	if err != nil {
		return err
	}
	var gone []droppable
	err = w.do(ctx, &op{outcome: true, apply: func(b *batch) error {
		gone = gone[:0]
		for _, c := range list {
			n, err := affected(b.w.st.deleteBody.ExecContext(context.Background(), int64(c.id)))
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			gone = append(gone, c)
			if c.base == 0 {
				continue
			}
			unused, err := b.dropReference(c.base)
			if err != nil {
				return err
			}
			if unused {
				gone = append(gone, droppable{c.base, codecFile, 0}) // where it has none, there is none to remove
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range gone {
		if c.codec == codecFile {
			errs = append(errs, s.dropFile(c.id))
		}
	}
	return errors.Join(errs...)
}

// dropReference counts one delta less for a base, and deletes it after the last.
func (b *batch) dropReference(base mail.ID) (unused bool, err error) {
	ctx := context.Background()
	if _, err := b.w.st.unreferBase.ExecContext(ctx, int64(base)); err != nil {
		return false, err
	}
	n, err := affected(b.w.st.deleteUnusedBase.ExecContext(ctx, int64(base)))
	return n > 0, err
}

// forgetLost takes days off the list that had no file at start, once their events
// would be gone anyway. Until then each start reports them.
func (s *Store) forgetLost(ctx context.Context, before time.Time) error {
	listed, err := s.config.days(ctx)
	if err != nil {
		return err
	}
	for name := range listed {
		if exists(filepath.Join(s.dir, name+daySuffix)) {
			continue
		}
		end, err := time.Parse(time.DateOnly, name)
		if err == nil && end.AddDate(0, 0, 1).After(before) {
			continue
		}
		if err := s.config.unlist(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
