package confdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var _ store.Cursors = (*DB)(nil)

// Cursor returns the position kept under the name. Like peers it is read from the
// table: it is asked for at start.
func (db *DB) Cursor(ctx context.Context, name string) (mail.ID, error) {
	var position int64
	err := db.read.QueryRowContext(ctx, `SELECT position FROM cursor WHERE name = $1`, name).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read cursor %s: %w", name, err)
	}
	return mail.ID(position), nil
}

// LastCursor returns the highest position that is kept; zero if there is none.
func (db *DB) LastCursor(ctx context.Context) (mail.ID, error) {
	var position int64
	if err := db.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(position), 0) FROM cursor`).Scan(&position); err != nil {
		return 0, fmt.Errorf("read cursors: %w", err)
	}
	return mail.ID(position), nil
}

// SetCursor keeps the position under the name.
func (db *DB) SetCursor(ctx context.Context, name string, position mail.ID) error {
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		return setCursor(ctx, q, name, position)
	}, func() {})
}

// setCursor keeps a position in the transaction of what it stands for.
func setCursor(ctx context.Context, q Queryer, name string, position mail.ID) error {
	if _, err := q.ExecContext(ctx, `INSERT INTO cursor (name, position) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET position = excluded.position`, name, int64(position)); err != nil {
		return fmt.Errorf("write cursor %s: %w", name, err)
	}
	return nil
}
