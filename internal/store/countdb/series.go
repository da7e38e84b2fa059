package countdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// Series returns series by name.
func (db *DB) Series(ctx context.Context, q store.SeriesQuery) ([]store.Series, error) {
	if q.Limit < 1 {
		return nil, fmt.Errorf("list series: a limit of %d is less than 1", q.Limit)
	}
	where, args := `domain_id = $1 AND view = $2`, []any{q.DomainID, int64(q.View)}
	and := func(condition, value string) {
		args = append(args, value)
		where += fmt.Sprintf(" AND "+condition, len(args))
	}
	if q.Name != "" {
		and(`name = $%d`, q.Name)
	}
	if q.After != "" {
		and(`name > $%d`, q.After)
	}
	if q.Before != "" {
		and(`name < $%d`, q.Before)
	}
	if q.Prefix != "" {
		and(`name >= $%d`, q.Prefix)
		args = append(args, len(q.Prefix), q.Prefix)
		where += fmt.Sprintf(` AND substr(name, 1, $%d) = $%d`, len(args)-1, len(args))
	}
	order := "ASC"
	backward := q.Last || q.Before != "" && q.After == ""
	if backward {
		order = "DESC"
	}
	rows, err := db.read.QueryContext(ctx, `SELECT name, second_name, shown, description, first_seen, last_seen FROM series
		WHERE `+where+fmt.Sprintf(` ORDER BY name %s, second_name %s LIMIT %d`, order, order, q.Limit), args...)
	if err != nil {
		return nil, fmt.Errorf("list series: %w", err)
	}
	defer rows.Close()
	var list []store.Series
	for rows.Next() {
		s, err := scanSeries(rows, q)
		if err != nil {
			return nil, fmt.Errorf("list series: %w", err)
		}
		list = append(list, s)
	}
	if backward {
		slices.Reverse(list)
	}
	return list, rows.Err()
}

func scanSeries(rows *sql.Rows, q store.SeriesQuery) (store.Series, error) {
	s := store.Series{SeriesKey: store.SeriesKey{DomainID: q.DomainID, View: q.View}}
	var first, last int64
	err := rows.Scan(&s.Name, &s.Second, &s.Shown, &s.Description, &first, &last)
	s.FirstSeen, s.LastSeen = time.Unix(first, 0).UTC(), time.Unix(last, 0).UTC()
	return s, err
}

// CountSeries returns how many series of the view the domain has.
func (db *DB) CountSeries(ctx context.Context, domainID int64, v store.View) (n int, err error) {
	if err := db.read.QueryRowContext(ctx, countSQL, domainID, int64(v)).Scan(&n); err != nil {
		return 0, fmt.Errorf("count series: %w", err)
	}
	return n, nil
}

// DescribeSeries changes a description.
func (db *DB) DescribeSeries(ctx context.Context, key store.SeriesKey, description string) error {
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		r, err := q.ExecContext(ctx, `UPDATE series SET description = $1 WHERE domain_id = $2 AND view = $3 AND name = $4 AND second_name = $5`,
			description, key.DomainID, int64(key.View), key.Name, key.Second)
		return found(r, err, "describe series")
	}, func() {})
}

// found turns a change of no row into an error.
func found(r sql.Result, err error, what string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return fmt.Errorf("%s: %w", what, store.ErrNotFound)
}

// DeleteSeries forgets a series and its pairs.
func (db *DB) DeleteSeries(ctx context.Context, domainID int64, v store.View, name string) error {
	views := []string{fmt.Sprint(uint8(v))}
	for _, p := range v.Pairs() {
		views = append(views, fmt.Sprint(uint8(p)))
	}
	which := `domain_id = $1 AND name = $2 AND view IN (` + strings.Join(views, ", ") + `)`
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		if _, err := q.ExecContext(ctx, `DELETE FROM counter WHERE series_id IN (SELECT id FROM series WHERE `+which+`)`, domainID, name); err != nil {
			return fmt.Errorf("forget counters: %w", err)
		}
		r, err := q.ExecContext(ctx, `DELETE FROM series WHERE `+which, domainID, name)
		return found(r, err, "forget series")
	}, db.forget)
}
