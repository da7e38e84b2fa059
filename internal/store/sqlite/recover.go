package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// maxCheck is the size up to which a file is read through after an unclean stop.
// The log has checksums of its own and kill -9 harms nothing, so this is only a
// search for damage that would show itself later anyway; it must not keep a busy
// disk from mail for minutes.
const maxCheck = 1 << 30

// removeUnfinished removes files that were being written when the process before
// us ended. No row names them.
func (s *Store) removeUnfinished() error {
	for _, dir := range []string{s.dir, filepath.Join(s.dir, bigName)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("look for unfinished files: %w", err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), newSuffix) {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove unfinished file: %w", err)
			}
		}
	}
	return nil
}

// recover looks after the days that the process before us left open, while mail
// passes: files whose content was never committed are removed, and the day files
// are checked (REL-44).
func (s *Store) recover(ctx context.Context) {
	for _, d := range s.unclean {
		err := s.withDay(ctx, d, func(d *day) error {
			return errors.Join(s.sweepRows(ctx, d), s.sweep(ctx, d), d.check(ctx))
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.Error("a day file was not looked through after an unclean stop", "day", d.name, "error", err)
		}
	}
}

// sweepRows deletes the contents of batches whose messages were never made.
func (s *Store) sweepRows(ctx context.Context, d *day) error {
	if d.version < versionBases {
		return nil // nor were there batches
	}
	const orphans = `FROM body WHERE id < $1 AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = body.id)`
	var any bool
	err := d.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 `+orphans+`) OR EXISTS (SELECT 1 FROM base WHERE refs = 0 AND id < $1)`, int64(s.born)).Scan(&any)
	if err != nil || !any {
		return err
	}
	w, err := d.writer()
	if err != nil {
		return err
	}
	return w.do(ctx, &op{outcome: true, apply: func(b *batch) error {
		if _, err := b.w.conn.ExecContext(context.Background(), `DELETE `+orphans, int64(s.born)); err != nil {
			return err
		}
		_, err := b.w.conn.ExecContext(context.Background(), `DELETE FROM base WHERE refs = 0 AND id < $1`, int64(s.born))
		return err
	}})
}

// sweep removes big contents of a day that no row names. Those of messages that
// are being accepted now have ids from born on.
func (s *Store) sweep(ctx context.Context, d *day) error {
	ids, err := s.bigFiles()
	if err != nil {
		return err
	}
	names := `SELECT 1 FROM body WHERE id = $1`
	if d.version >= versionBases {
		names += ` UNION ALL SELECT 1 FROM base WHERE id = $1`
	}
	for _, id := range ids {
		if id < d.first || id >= d.end || id >= s.born {
			continue
		}
		var named int
		err := d.read.QueryRowContext(ctx, names, int64(id)).Scan(&named)
		if errors.Is(err, sql.ErrNoRows) {
			err = s.dropFile(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check reads a day file through and reports what is wrong with it.
func (d *day) check(ctx context.Context) error {
	info, err := os.Stat(d.path)
	if err != nil || info.Size() > maxCheck {
		return err
	}
	var verdict string
	if err := d.read.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		d.s.report(Damage{Day: d.name, Err: fmt.Errorf("%w in places: %s", errDamaged, verdict)})
	}
	return nil
}

// bigFiles returns the ids that have a file of their own.
func (s *Store) bigFiles() ([]mail.ID, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, bigName))
	if err != nil {
		return nil, fmt.Errorf("read folder of big contents: %w", err)
	}
	var ids []mail.ID
	for _, e := range entries {
		if id, err := mail.ParseID(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
