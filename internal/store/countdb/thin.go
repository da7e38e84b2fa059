package countdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// thinSeries is how many series are made coarser in one transaction: counting waits
// meanwhile.
const thinSeries = 2000

// ThinCounts makes counters coarser, a day and a month at a time, each noted when it is done.
func (db *DB) ThinCounts(ctx context.Context, t store.Thinning) error {
	if err := db.forgetOld(ctx, t); err != nil {
		return fmt.Errorf("forget counters: %w", err)
	}
	next := func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }
	first := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	if err := db.thin(ctx, "days_until", t.Days, first, next); err != nil {
		return fmt.Errorf("make hours into days: %w", err)
	}
	next = func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }
	first = func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }
	if err := db.thin(ctx, "months_until", t.Months, first, next); err != nil {
		return fmt.Errorf("make days into months: %w", err)
	}
	return nil
}

// thin folds every span that ended before a moment and was not folded yet.
func (db *DB) thin(ctx context.Context, column string, before time.Time, first, next func(time.Time) time.Time) error {
	if before.IsZero() {
		return nil
	}
	var from int64
	err := db.read.QueryRowContext(ctx, `SELECT COALESCE((SELECT NULLIF(`+column+`, 0) FROM thinned WHERE only_row = 1),
		(SELECT MIN(first_seen) FROM series), 0)`).Scan(&from)
	if err != nil || from == 0 {
		return err
	}
	for start := first(time.Unix(from, 0).UTC()); !next(start).After(before); start = next(start) {
		if err := db.fold(ctx, store.HourOf(start), store.HourOf(next(start))); err != nil {
			return err
		}
		err := db.change(ctx, func(ctx context.Context, q Queryer) error {
			_, err := q.ExecContext(ctx, `UPDATE thinned SET `+column+` = $1 WHERE only_row = 1`, next(start).Unix())
			return err
		}, func() {})
		if err != nil {
			return err
		}
	}
	return nil
}

// fold moves what was counted from lo to hi into the hour lo, some series at a time. Done
// twice it does no harm.
func (db *DB) fold(ctx context.Context, lo, hi int64) error {
	for after, last := int64(0), int64(0); ; after = last {
		err := db.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM (SELECT id FROM series WHERE id > $1 ORDER BY id LIMIT $2) some`,
			after, thinSeries).Scan(&last)
		if err != nil || last == 0 {
			return err
		}
		const which = `series_id IN (SELECT id FROM series WHERE id > $1 AND id <= $2 AND last_seen >= $3) AND hour > $4 AND hour < $5`
		args := []any{after, last, lo * 3600, lo, hi}
		err = db.change(ctx, func(ctx context.Context, q Queryer) error {
			if _, err := q.ExecContext(ctx, `INSERT INTO counter (series_id, hour, counter, n)
				SELECT series_id, $4, counter, SUM(n) FROM counter WHERE `+which+` GROUP BY series_id, counter
				ON CONFLICT (series_id, hour, counter) DO UPDATE SET n = counter.n + excluded.n`, args...); err != nil {
				return err
			}
			_, err := q.ExecContext(ctx, `DELETE FROM counter WHERE `+which, args...)
			return err
		}, func() {})
		if err != nil {
			return err
		}
	}
}

// forgetOld drops what no question is about any more.
func (db *DB) forgetOld(ctx context.Context, t store.Thinning) error {
	gone, err := db.goneDomains(ctx, t.Domains)
	if err != nil {
		return err
	}
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		if _, err := q.ExecContext(ctx, `DELETE FROM counted_once WHERE message_id < $1`, int64(mail.FirstID(t.Messages))); err != nil {
			return err
		}
		for _, id := range gone {
			if _, err := q.ExecContext(ctx, `DELETE FROM counter WHERE series_id IN (SELECT id FROM series WHERE domain_id = $1)`, id); err != nil {
				return err
			}
			if _, err := q.ExecContext(ctx, `DELETE FROM series WHERE domain_id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		if len(gone) > 0 {
			db.forget()
		}
	})
}

// goneDomains returns the domains that have series and do not exist. Ids grow, so that
// one above all that exist may have come to be since the list was made.
func (db *DB) goneDomains(ctx context.Context, exist []int64) ([]int64, error) {
	if len(exist) == 0 {
		return nil, nil
	}
	newest := slices.Max(exist)
	var gone []int64
	for after := int64(0); ; {
		var id int64
		err := db.read.QueryRowContext(ctx, `SELECT domain_id FROM series WHERE domain_id > $1 ORDER BY domain_id LIMIT 1`, after).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) || err == nil && id > newest {
			return gone, nil
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(exist, id) {
			gone = append(gone, id)
		}
		after = id
	}
}
