package confdb

import (
	"context"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.LinkKeys = (*DB)(nil)

// LinkKeys returns all keys, newest first. They are read from the table: they are asked for
// at start.
func (db *DB) LinkKeys(ctx context.Context) ([]store.LinkKey, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT id, secret, created_at FROM link_key ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("read link keys: %w", err)
	}
	defer rows.Close()
	var list []store.LinkKey
	for rows.Next() {
		var k store.LinkKey
		var created int64
		if err := rows.Scan(&k.ID, &k.Secret, &created); err != nil {
			return nil, fmt.Errorf("read link keys: %w", err)
		}
		k.CreatedAt = time.UnixMicro(created).UTC()
		list = append(list, k)
	}
	return list, rows.Err()
}

// AddLinkKey stores k as the newest key.
func (db *DB) AddLinkKey(ctx context.Context, k *store.LinkKey) error {
	if len(k.Secret) != store.LinkSecretSize {
		return fmt.Errorf("add link key: its secret has %d octets instead of %d", len(k.Secret), store.LinkSecretSize)
	}
	var id int64
	created := now()
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		return q.QueryRowContext(ctx, `INSERT INTO link_key (id, secret, created_at)
			SELECT COALESCE(MAX(id), 0) + 1, $1, $2 FROM link_key RETURNING id`, k.Secret, created.UnixMicro()).Scan(&id)
	}, func() { k.ID, k.CreatedAt = id, created })
	if err != nil {
		return fmt.Errorf("add link key: %w", err)
	}
	return nil
}
