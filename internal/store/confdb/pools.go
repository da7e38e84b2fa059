package confdb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

func (db *DB) loadPools(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, `SELECT id, account_id, name, description, ips, created_at FROM ip_pool`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p store.Pool
		var ips string
		var created int64
		if err := rows.Scan(&p.ID, &p.AccountID, &p.Name, &p.Description, &ips, &created); err != nil {
			return err
		}
		p.CreatedAt = time.UnixMicro(created).UTC()
		if err := json.Unmarshal([]byte(ips), &p.IPs); err != nil {
			return fmt.Errorf("pool %s: addresses: %w", p.ID, err)
		}
		db.pools[p.ID] = p
	}
	return rows.Err()
}

// clonePool returns a copy that shares nothing with p.
func clonePool(p store.Pool) store.Pool {
	p.IPs = slices.Clone(p.IPs)
	return p
}

// CreatePool stores p and fills in its ID and CreatedAt.
func (db *DB) CreatePool(ctx context.Context, p *store.Pool) error {
	if p.Name == "" {
		return errors.New("create pool: it has no name")
	}
	n := clonePool(*p)
	n.ID, n.CreatedAt = newRef(), now()
	n.AccountID = cmp.Or(n.AccountID, store.PrimaryAccount)
	ips, err := json.Marshal(n.IPs)
	if err != nil {
		return fmt.Errorf("create pool: %w", err)
	}
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		if _, err := db.Account(ctx, n.AccountID); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `INSERT INTO ip_pool (id, account_id, name, description, ips, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			n.ID, n.AccountID, n.Name, n.Description, string(ips), n.CreatedAt.UnixMicro())
		if err != nil {
			return err
		}
		e, _ := store.PoolEntry(nil, &n)
		return db.note(ctx, q, e)
	}, func() {
		db.pools[n.ID] = n
		*p = clonePool(n)
	})
	if err != nil {
		return fmt.Errorf("create pool: %w", err)
	}
	return nil
}

// Pool returns a pool of the account, from memory.
func (db *DB) Pool(ctx context.Context, accountID int64, id string) (store.Pool, error) {
	if err := ctx.Err(); err != nil {
		return store.Pool{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if p, ok := db.pools[id]; ok && p.AccountID == accountID {
		return clonePool(p), nil
	}
	return store.Pool{}, fmt.Errorf("pool %q: %w", id, store.ErrNotFound)
}

// ListPools returns the account's pools, oldest first; of every account for 0.
func (db *DB) ListPools(ctx context.Context, accountID int64) ([]store.Pool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	var list []store.Pool
	for _, p := range db.pools {
		if accountID == 0 || p.AccountID == accountID {
			list = append(list, clonePool(p))
		}
	}
	slices.SortFunc(list, func(a, b store.Pool) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// UpdatePool calls change with the stored pool and stores what it leaves behind. change must
// not call back into what changes configuration: one change is made at a time.
func (db *DB) UpdatePool(ctx context.Context, accountID int64, id string, change func(*store.Pool) error) (store.Pool, error) {
	var n store.Pool
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		old, err := db.Pool(ctx, accountID, id)
		if err != nil {
			return store.ErrNotFound
		}
		given := clonePool(old)
		if err := change(&given); err != nil {
			return err
		}
		n = clonePool(given)
		n.ID, n.AccountID, n.CreatedAt = old.ID, old.AccountID, old.CreatedAt
		ips, err := json.Marshal(n.IPs)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE ip_pool SET name = $1, description = $2, ips = $3 WHERE id = $4`, n.Name, n.Description, string(ips), n.ID)
		if err != nil {
			return err
		}
		e, changed := store.PoolEntry(&old, &n)
		if !changed {
			return nil
		}
		return db.note(ctx, q, e)
	}, func() { db.pools[n.ID] = clonePool(n) })
	if err != nil {
		return store.Pool{}, fmt.Errorf("update pool %q: %w", id, err)
	}
	return n, nil
}

// DeletePool removes a pool of the account.
func (db *DB) DeletePool(ctx context.Context, accountID int64, id string) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		p, err := db.Pool(ctx, accountID, id)
		if err != nil {
			return store.ErrNotFound
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM ip_pool WHERE id = $1`, id); err != nil {
			return err
		}
		e, _ := store.PoolEntry(&p, nil)
		return db.note(ctx, q, e)
	}, func() { delete(db.pools, id) })
	if err != nil {
		return fmt.Errorf("delete pool %q: %w", id, err)
	}
	return nil
}
