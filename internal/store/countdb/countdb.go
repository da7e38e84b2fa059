package countdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A Queryer runs statements: a *sql.DB or *sql.Tx.
type Queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A Transactor runs f in one durable transaction: when it returns nil, what f
// wrote is on disk; else nothing is. It does not retry.
type Transactor func(ctx context.Context, f func(q Queryer) error) error

// maxKnown bounds the series that are held in memory.
const maxKnown = 200_000

var _ store.Numbers = (*DB)(nil)

// A DB keeps counters. It assumes that nobody else writes to the tables. It is safe for
// concurrent use.
type DB struct {
	read    Queryer
	write   Transactor
	writing chan struct{} // holds one token while a change is under way

	// What follows is only touched by who writes.
	known map[store.SeriesKey]known
	sizes map[size]int // series of a view, of those asked for
}

// known is what is remembered of a series, so that adding to it needs no look-up.
type known struct {
	id   int64 // 0: it has no room
	last int64 // seconds since 1970
}

// size names a number of series.
type size struct {
	domain int64
	view   store.View
}

// New returns a DB that reads through q and changes through write.
func New(q Queryer, write Transactor) *DB {
	return &DB{read: q, write: write, writing: make(chan struct{}, 1), known: map[store.SeriesKey]known{}, sizes: map[size]int{}}
}

// change runs f in a transaction of its own, one at a time, and then remember, still alone.
// Once begun it is not interrupted: a cancelled COMMIT would leave us not knowing what the
// tables hold.
func (db *DB) change(ctx context.Context, f func(ctx context.Context, q Queryer) error, remember func()) error {
	select {
	case db.writing <- struct{}{}:
		defer func() { <-db.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := db.write(ctx, func(q Queryer) error { return f(ctx, q) }); err != nil {
		return err
	}
	remember()
	return nil
}

// forget drops what is remembered of series, after some of them went. The caller writes.
func (db *DB) forget() {
	clear(db.known)
	clear(db.sizes)
}

// Counted returns the position up to which events have been counted.
func (db *DB) Counted(ctx context.Context) (mail.ID, error) {
	var upTo int64
	err := db.read.QueryRowContext(ctx, `SELECT up_to FROM counted WHERE only_row = 1`).Scan(&upTo)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the position of the counters: %w", err)
	}
	return mail.ID(upTo), nil
}

// Sums reads domain by domain: each is a few ranges of an index.
func (db *DB) Sums(ctx context.Context, q store.SumQuery, yield func(store.Sum) error) error {
	query, args := sumSQL(q)
	var mine error
	for _, domain := range q.Domains {
		args[0] = domain
		if err := db.sumsOf(ctx, query, args, q, yield, &mine); err != nil {
			if mine != nil {
				return mine
			}
			return fmt.Errorf("sum counters: %w", err)
		}
	}
	return nil
}

func (db *DB) sumsOf(ctx context.Context, query string, args []any, q store.SumQuery, yield func(store.Sum) error, mine *error) error {
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		s := store.Sum{Key: store.SeriesKey{DomainID: args[0].(int64), View: q.View}}
		if err := rows.Scan(&s.Key.Name, &s.Key.Second, &s.Shown, &s.Hour, &s.Counter, &s.N); err != nil {
			return err
		}
		s.Hour *= q.Step
		if *mine = yield(s); *mine != nil {
			return *mine
		}
	}
	return rows.Err()
}

// sumSQL returns the statement for one domain, which is $1.
func sumSQL(q store.SumQuery) (string, []any) {
	args := []any{nil, int64(q.View), q.From * 3600, q.From, q.To}
	where := ""
	for _, f := range []struct {
		column string
		values []string
	}{{"s.name", q.Names}, {"s.second_name", q.Seconds}} {
		for i, v := range f.values {
			args = append(args, v)
			sep := ", "
			if i == 0 {
				sep = " AND " + f.column + " IN ("
			}
			where += fmt.Sprintf("%s$%d", sep, len(args))
		}
		if len(f.values) > 0 {
			where += ")"
		}
	}
	step := "0"
	if q.Step > 0 {
		step = fmt.Sprintf("c.hour / %d", q.Step)
	}
	return `SELECT s.name, s.second_name, s.shown, ` + step + ` AS step, c.counter, SUM(c.n)
		FROM series s JOIN counter c ON c.series_id = s.id
		WHERE s.domain_id = $1 AND s.view = $2 AND s.last_seen >= $3 AND c.hour >= $4 AND c.hour < $5` + where + `
		GROUP BY s.id, s.name, s.second_name, s.shown, step, c.counter`, args
}
