package confdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// newRef makes the name by which clients know an account or a pool.
func newRef() string {
	var random [12]byte
	rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

func (db *DB) loadAccounts(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, `SELECT id, ref, name, disabled, created_at, updated_at, settings FROM account`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a store.Account
		var disabled, created, updated int64
		var settings string
		if err := rows.Scan(&a.ID, &a.Ref, &a.Name, &disabled, &created, &updated, &settings); err != nil {
			return err
		}
		a.Disabled = disabled != 0
		a.CreatedAt, a.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		if err := json.Unmarshal([]byte(settings), &a.Settings); err != nil {
			return fmt.Errorf("account %s: settings: %w", a.Ref, err)
		}
		db.accounts[a.ID] = a
	}
	return rows.Err()
}

// cloneAccount returns a copy that shares nothing with a.
func cloneAccount(a store.Account) store.Account {
	a.Settings.Allowed = slices.Clone(a.Settings.Allowed)
	return a
}

// CreateAccount stores a and fills in its ID, Ref and times.
func (db *DB) CreateAccount(ctx context.Context, a *store.Account) error {
	if a.Name == "" {
		return errors.New("create account: it has no name")
	}
	n := cloneAccount(*a)
	n.Ref, n.CreatedAt = newRef(), now()
	n.UpdatedAt = n.CreatedAt
	settings, err := json.Marshal(n.Settings)
	if err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		err := q.QueryRowContext(ctx, `INSERT INTO account (ref, name, disabled, created_at, updated_at, settings)
			VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
			n.Ref, n.Name, bit(n.Disabled), n.CreatedAt.UnixMicro(), n.UpdatedAt.UnixMicro(), string(settings)).Scan(&n.ID)
		if err != nil {
			return err
		}
		e, _ := store.AccountEntry(nil, &n)
		return db.note(ctx, q, e)
	}, func() {
		db.accounts[n.ID] = n
		*a = cloneAccount(n)
	})
	if err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	return nil
}

// Account returns the account with that id, from memory.
func (db *DB) Account(ctx context.Context, id int64) (store.Account, error) {
	if err := ctx.Err(); err != nil {
		return store.Account{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if a, ok := db.accounts[id]; ok {
		return cloneAccount(a), nil
	}
	return store.Account{}, fmt.Errorf("account %d: %w", id, store.ErrNotFound)
}

// AccountByRef returns the account that clients know by that name, from memory.
func (db *DB) AccountByRef(ctx context.Context, ref string) (store.Account, error) {
	list, err := db.ListAccounts(ctx)
	if err != nil {
		return store.Account{}, err
	}
	for _, a := range list {
		if a.Ref == ref {
			return a, nil
		}
	}
	return store.Account{}, fmt.Errorf("account %q: %w", ref, store.ErrNotFound)
}

// ListAccounts returns all accounts, oldest first.
func (db *DB) ListAccounts(ctx context.Context) ([]store.Account, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	list := make([]store.Account, 0, len(db.accounts))
	for _, id := range slices.Sorted(maps.Keys(db.accounts)) {
		list = append(list, cloneAccount(db.accounts[id]))
	}
	return list, nil
}

// UpdateAccount calls change with the stored account and stores what it leaves behind.
// change must not call back into what changes configuration: one change is made at a time.
func (db *DB) UpdateAccount(ctx context.Context, id int64, change func(*store.Account) error) (store.Account, error) {
	var n store.Account
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		old, err := db.Account(ctx, id)
		if err != nil {
			return store.ErrNotFound
		}
		given := cloneAccount(old)
		if err := change(&given); err != nil {
			return err
		}
		n = cloneAccount(given)
		n.ID, n.Ref, n.CreatedAt, n.UpdatedAt = old.ID, old.Ref, old.CreatedAt, now()
		settings, err := json.Marshal(n.Settings)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE account SET name = $1, disabled = $2, updated_at = $3, settings = $4 WHERE id = $5`,
			n.Name, bit(n.Disabled), n.UpdatedAt.UnixMicro(), string(settings), n.ID)
		if err != nil {
			return err
		}
		e, changed := store.AccountEntry(&old, &n)
		if !changed {
			return nil
		}
		return db.note(ctx, q, e)
	}, func() { db.accounts[n.ID] = cloneAccount(n) })
	if err != nil {
		return store.Account{}, fmt.Errorf("update account %d: %w", id, err)
	}
	return n, nil
}

// DeleteAccount removes a sub-account with its keys and pools, each with an entry in
// the audit log, and with its routes, webhooks and signing key. Mailing lists went with its domains.
func (db *DB) DeleteAccount(ctx context.Context, id int64) error {
	if id == store.PrimaryAccount {
		return errors.New("delete account: the primary account cannot be deleted")
	}
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		a, err := db.Account(ctx, id)
		if err != nil {
			return store.ErrNotFound
		}
		if db.ownsDomain(id) {
			return fmt.Errorf("it has domains: %w", store.ErrExists)
		}
		for _, e := range db.accountBelongings(id) {
			if err := db.note(ctx, q, e); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			`DELETE FROM api_key WHERE account_id = $1`,
			`DELETE FROM ip_pool WHERE account_id = $1`,
			`DELETE FROM route WHERE account_id = $1`,
			`DELETE FROM account WHERE id = $1`,
		} {
			if _, err := q.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		if err := db.dropAccountWebhooks(ctx, q, id); err != nil {
			return err
		}
		e, _ := store.AccountEntry(&a, nil)
		return db.note(ctx, q, e)
	}, func() {
		delete(db.accounts, id)
		db.forgetAccountWebhooks(id)
		maps.DeleteFunc(db.keys, func(_ [32]byte, k store.Key) bool { return k.AccountID == id })
		maps.DeleteFunc(db.pools, func(_ string, p store.Pool) bool { return p.AccountID == id })
	})
	if err != nil {
		return fmt.Errorf("delete account %d: %w", id, err)
	}
	return nil
}

func (db *DB) ownsDomain(account int64) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, d := range db.domains {
		if d.AccountID == account {
			return true
		}
	}
	return false
}

// accountBelongings returns the entries for the keys and pools that go with an account, in
// an order that does not depend on a map.
func (db *DB) accountBelongings(account int64) []store.AuditEntry {
	db.mu.RLock()
	defer db.mu.RUnlock()
	var list []store.AuditEntry
	for _, k := range db.keys {
		if k.AccountID == account {
			list = append(list, store.KeyEntry(store.AuditDelete, &k, ""))
		}
	}
	for _, p := range db.pools {
		if p.AccountID == account {
			e, _ := store.PoolEntry(&p, nil)
			list = append(list, e)
		}
	}
	sortEntries(list)
	return list
}
