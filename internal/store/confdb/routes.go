package confdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.Routes = (*DB)(nil)

// CreateRoute stores a route.
func (db *DB) CreateRoute(ctx context.Context, r *store.Route) error {
	var random [12]byte
	rand.Read(random[:]) // never fails
	n := *r
	n.ID, n.CreatedAt = hex.EncodeToString(random[:]), now()
	n.AccountID = cmp.Or(n.AccountID, store.PrimaryAccount)
	actions, err := json.Marshal(n.Actions)
	if err != nil {
		return fmt.Errorf("create route: encode actions: %w", err)
	}
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		if err := atMost(ctx, q, store.MaxRoutes-1, `SELECT count(*) FROM route WHERE account_id = $1`, n.AccountID); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `INSERT INTO route (id, account_id, priority, description, expression, actions, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, n.ID, n.AccountID, n.Priority, n.Description, n.Expression, string(actions), n.CreatedAt.UnixMicro())
		return err
	}, func() { *r = n })
	if err != nil {
		return fmt.Errorf("create route: %w", err)
	}
	return nil
}

// routeColumns are the columns of a route.
const routeColumns = `id, account_id, priority, description, expression, actions, created_at`

func scanRoute(scan func(...any) error) (r store.Route, err error) {
	var actions string
	var created int64
	if err := scan(&r.ID, &r.AccountID, &r.Priority, &r.Description, &r.Expression, &actions, &created); err != nil {
		return store.Route{}, missing(err)
	}
	r.CreatedAt = time.UnixMicro(created).UTC()
	if err := json.Unmarshal([]byte(actions), &r.Actions); err != nil {
		return r, fmt.Errorf("route %s: actions: %w", r.ID, err)
	}
	return r, nil
}

// Route returns a route.
func (db *DB) Route(ctx context.Context, accountID int64, id string) (store.Route, error) {
	r, err := readRoute(ctx, db.read, accountID, id)
	if err != nil {
		return r, fmt.Errorf("route %q: %w", id, err)
	}
	return r, nil
}

func readRoute(ctx context.Context, q Queryer, accountID int64, id string) (store.Route, error) {
	return scanRoute(q.QueryRowContext(ctx, `SELECT `+routeColumns+` FROM route WHERE id = $1 AND ($2 = 0 OR account_id = $2)`, id, accountID).Scan)
}

// ListRoutes returns routes.
func (db *DB) ListRoutes(ctx context.Context, accountID int64, skip, limit int) (list []store.Route, total int, err error) {
	if err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM route WHERE $1 = 0 OR account_id = $1`, accountID).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count routes: %w", err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT `+routeColumns+` FROM route WHERE $1 = 0 OR account_id = $1
		ORDER BY priority, created_at, id LIMIT $2 OFFSET $3`, accountID, limit, skip)
	if err != nil {
		return nil, 0, fmt.Errorf("list routes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRoute(rows.Scan)
		if err != nil {
			return nil, 0, fmt.Errorf("list routes: %w", err)
		}
		list = append(list, r)
	}
	return list, total, rows.Err()
}

// UpdateRoute changes a route.
func (db *DB) UpdateRoute(ctx context.Context, accountID int64, id string, change func(*store.Route) error) (store.Route, error) {
	var n store.Route
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		old, err := readRoute(ctx, q, accountID, id)
		if err != nil {
			return err
		}
		n = old
		if err := change(&n); err != nil {
			return err
		}
		n.ID, n.AccountID, n.CreatedAt = old.ID, old.AccountID, old.CreatedAt
		actions, err := json.Marshal(n.Actions)
		if err != nil {
			return fmt.Errorf("encode actions: %w", err)
		}
		return changeOne(ctx, q, `UPDATE route SET priority = $1, description = $2, expression = $3, actions = $4 WHERE id = $5`,
			n.Priority, n.Description, n.Expression, string(actions), n.ID)
	}, func() {})
	if err != nil {
		return store.Route{}, fmt.Errorf("update route %q: %w", id, err)
	}
	return n, nil
}

// DeleteRoute removes a route.
func (db *DB) DeleteRoute(ctx context.Context, accountID int64, id string) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		return changeOne(ctx, q, `DELETE FROM route WHERE id = $1 AND ($2 = 0 OR account_id = $2)`, id, accountID)
	}, func() {})
	if err != nil {
		return fmt.Errorf("delete route %q: %w", id, err)
	}
	return nil
}
