package countdb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// seenEvery is how many seconds pass before a tag is noted as seen again. Every series is with
// a new hour: questions pass over those that were not seen since their first hour.
const seenEvery = 60

// stale reports whether a series that is noted as seen at last should be noted again. Both
// are seconds since 1970.
func stale(v store.View, last, now int64) bool {
	return now/3600 > last/3600 || v == store.ViewTag && now >= last+seenEvery
}

// AddCounts adds to counters and keeps the position.
func (db *DB) AddCounts(ctx context.Context, c *store.Counts) error {
	var a *adding
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		a = &adding{db: db, q: q, learned: map[store.SeriesKey]known{}, grown: map[size]int{}, cells: map[cell]int64{}, stmts: map[string]*sql.Stmt{}}
		defer a.close()
		return a.run(ctx, c)
	}, func() { a.remember() })
	if err != nil {
		return fmt.Errorf("add to counters: %w", err)
	}
	return nil
}

// A cell is a row of the table of counters.
type cell struct {
	series int64
	at     store.CounterHour
}

// adding is one transaction of AddCounts. What it learns is remembered when it is over.
type adding struct {
	db      *DB
	q       Queryer
	learned map[store.SeriesKey]known
	grown   map[size]int
	cells   map[cell]int64
	stmts   map[string]*sql.Stmt
}

// prepared returns the statement, which is prepared once.
func (a *adding) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := a.stmts[query]; ok {
		return s, nil
	}
	s, err := a.q.PrepareContext(ctx, query)
	if err == nil {
		a.stmts[query] = s
	}
	return s, err
}

func (a *adding) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := a.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// scan reads the one row of a query.
func (a *adding) scan(ctx context.Context, query string, args []any, into ...any) error {
	s, err := a.prepared(ctx, query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(ctx, args...).Scan(into...)
}

func (a *adding) close() {
	for _, s := range a.stmts {
		_ = s.Close() // the transaction says what went wrong
	}
}

// remember keeps what a transaction learned that is now on disk.
func (a *adding) remember() {
	if len(a.db.known)+len(a.learned) > maxKnown {
		clear(a.db.known)
	}
	maps.Copy(a.db.known, a.learned)
	for s, n := range a.grown {
		if _, ok := a.db.sizes[s]; ok {
			a.db.sizes[s] += n
		}
	}
}

func (a *adding) run(ctx context.Context, c *store.Counts) error {
	for _, key := range slices.SortedFunc(maps.Keys(c.Series), compareKeys) {
		add := c.Series[key]
		id, err := a.find(ctx, key, add)
		if err != nil {
			return fmt.Errorf("series %d of domain %d: %w", key.View, key.DomainID, err)
		}
		if id == 0 {
			continue
		}
		for at, n := range add.Counts {
			a.cells[cell{id, at}] += n
		}
	}
	if err := a.once(ctx, c.Once); err != nil {
		return err
	}
	if err := a.put(ctx); err != nil {
		return err
	}
	_, err := a.q.ExecContext(ctx, `INSERT INTO counted (only_row, up_to) VALUES (1, $1)
		ON CONFLICT (only_row) DO UPDATE SET up_to = excluded.up_to`, int64(c.UpTo))
	return err
}

func compareKeys(a, b store.SeriesKey) int {
	return cmp.Or(cmp.Compare(a.DomainID, b.DomainID), cmp.Compare(a.View, b.View), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Second, b.Second))
}

// find returns the id of a series, which comes to be if there is room for it; 0: there is none.
func (a *adding) find(ctx context.Context, key store.SeriesKey, add *store.Addition) (int64, error) {
	k, ok := a.remembered(key)
	if !ok {
		var err error
		if k, err = a.lookUp(ctx, key, add); err != nil {
			return 0, err
		}
	}
	if last := add.Last.Unix(); k.id != 0 && stale(key.View, k.last, last) {
		if _, err := a.exec(ctx, `UPDATE series SET last_seen = $1 WHERE id = $2 AND last_seen < $1`, last, k.id); err != nil {
			return 0, err
		}
		k.last = last
	}
	a.learned[key] = k
	return k.id, nil
}

func (a *adding) remembered(key store.SeriesKey) (known, bool) {
	if k, ok := a.learned[key]; ok {
		return k, true
	}
	k, ok := a.db.known[key]
	return k, ok
}

func (a *adding) lookUp(ctx context.Context, key store.SeriesKey, add *store.Addition) (known, error) {
	var k known
	err := a.scan(ctx, `SELECT id, last_seen FROM series WHERE domain_id = $1 AND view = $2 AND name = $3 AND second_name = $4`,
		[]any{key.DomainID, int64(key.View), key.Name, key.Second}, &k.id, &k.last)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return k, err
	}
	if key.Name != store.OtherName || !key.View.Overflows() { // which always has room
		room, err := a.room(ctx, key)
		if err != nil {
			return k, err
		}
		if !room {
			return a.overflow(ctx, key, add)
		}
	}
	k.last = add.Last.Unix()
	err = a.scan(ctx, `INSERT INTO series (domain_id, view, name, second_name, shown, description, first_seen, last_seen)
		VALUES ($1, $2, $3, $4, $5, '', $6, $7) RETURNING id`,
		[]any{key.DomainID, int64(key.View), key.Name, key.Second, cmp.Or(add.Shown, key.Name), add.First.Unix(), k.last}, &k.id)
	a.grown[size{key.DomainID, key.View}]++
	return k, err
}

// overflow finds the series that counts for one that has no room.
func (a *adding) overflow(ctx context.Context, key store.SeriesKey, add *store.Addition) (known, error) {
	if !key.View.Overflows() {
		return known{}, nil
	}
	other := store.SeriesKey{DomainID: key.DomainID, View: key.View, Name: store.OtherName}
	if _, err := a.find(ctx, other, &store.Addition{First: add.First, Last: add.Last}); err != nil {
		return known{}, err
	}
	return a.learned[other], nil
}

// room reports whether the view has room for one more series.
func (a *adding) room(ctx context.Context, key store.SeriesKey) (bool, error) {
	s := size{key.DomainID, key.View}
	n, ok := a.db.sizes[s]
	if !ok {
		// What this transaction added is counted by the statement.
		if err := a.q.QueryRowContext(ctx, countSQL, s.domain, int64(s.view)).Scan(&n); err != nil {
			return false, err
		}
		n -= a.grown[s]
		a.db.sizes[s] = n // the others count from here: true whether or not this commits
	}
	return n+a.grown[s] < key.View.Limit(), nil
}

const countSQL = `SELECT COUNT(*) FROM series WHERE domain_id = $1 AND view = $2`

// once counts what is the first of its kind.
func (a *adding) once(ctx context.Context, list []store.OnceCount) error {
	for _, o := range list {
		r, err := a.exec(ctx, `INSERT INTO counted_once (message_id, recipient, counter) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, int64(o.Message), o.Recipient, int64(o.At.Counter))
		if err != nil {
			return fmt.Errorf("note what counts once: %w", err)
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return err
			}
			continue
		}
		for _, key := range o.Series {
			if k, _ := a.remembered(key); k.id != 0 {
				a.cells[cell{k.id, o.At}]++
			}
		}
	}
	return nil
}

// putRows is how many counters one statement writes.
const putRows = 50

// put writes the counters, in the order of their key, several with one statement.
func (a *adding) put(ctx context.Context) error {
	cells := slices.SortedFunc(maps.Keys(a.cells), func(x, y cell) int {
		return cmp.Or(cmp.Compare(x.series, y.series), cmp.Compare(x.at.Hour, y.at.Hour), cmp.Compare(x.at.Counter, y.at.Counter))
	})
	full, one := putSQL(putRows), putSQL(1)
	args := make([]any, 0, 4*putRows)
	for len(cells) > 0 {
		n, query := putRows, full
		if len(cells) < putRows {
			n, query = 1, one
		}
		args = args[:0]
		for _, c := range cells[:n] {
			args = append(args, c.series, c.at.Hour, int64(c.at.Counter), a.cells[c])
		}
		if _, err := a.exec(ctx, query, args...); err != nil {
			return fmt.Errorf("add to a counter: %w", err)
		}
		cells = cells[n:]
	}
	return nil
}

// putSQL returns the statement that adds to n counters.
func putSQL(n int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO counter (series_id, hour, counter, n) VALUES `)
	for i := range n {
		if i > 0 {
			b.WriteString(`, `)
		}
		fmt.Fprintf(&b, `($%d, $%d, $%d, $%d)`, 4*i+1, 4*i+2, 4*i+3, 4*i+4)
	}
	b.WriteString(` ON CONFLICT (series_id, hour, counter) DO UPDATE SET n = counter.n + excluded.n`)
	return b.String()
}
