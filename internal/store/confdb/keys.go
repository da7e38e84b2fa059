package confdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

func (db *DB) loadKeys(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, `SELECT id, hash, role, kind, account_id, domain_id, description, created_at, updated_at, expires_at, disabled, details,
		used_at, used_day, used_sends FROM api_key`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k store.Key
		var hash []byte
		var role, kind, details string
		var created, updated, expires, disabled, used int64
		if err := rows.Scan(&k.ID, &hash, &role, &kind, &k.AccountID, &k.DomainID, &k.Description, &created, &updated, &expires, &disabled, &details,
			&used, &k.Use.Day, &k.Use.Sends); err != nil {
			return err
		}
		if len(hash) != len(k.Hash) {
			return fmt.Errorf("key %s: its hash has %d octets", k.ID, len(hash))
		}
		copy(k.Hash[:], hash)
		k.Role, k.Kind = store.KeyRole(role), store.KeyKind(kind)
		k.CreatedAt, k.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		k.ExpiresAt, k.Use.LastUsed = timeOf(expires), timeOf(used)
		k.Disabled = disabled != 0
		if err := json.Unmarshal([]byte(details), &k.Details); err != nil {
			return fmt.Errorf("key %s: details: %w", k.ID, err)
		}
		db.keys[k.Hash] = k
	}
	return rows.Err()
}

// timeOf and microsOf keep the zero time as 0.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// cloneKey returns a copy that shares nothing with k.
func cloneKey(k store.Key) store.Key {
	k.Details.Addresses = slices.Clone(k.Details.Addresses)
	return k
}

// CreateKey stores k and fills in its ID and times. ErrExists if the hash is
// known, ErrNotFound if the key is for a domain that does not exist, or not in its account.
func (db *DB) CreateKey(ctx context.Context, k *store.Key) error {
	var random [8]byte
	rand.Read(random[:]) // never fails
	n := cloneKey(*k)
	n.ID, n.CreatedAt = hex.EncodeToString(random[:]), now()
	n.UpdatedAt, n.Use = n.CreatedAt, store.KeyUse{}
	n.ExpiresAt = n.ExpiresAt.Truncate(time.Microsecond)
	n.AccountID = cmp.Or(n.AccountID, store.PrimaryAccount)
	if n.Kind == "" {
		n.Kind = store.KindUser
		if n.DomainID != 0 {
			n.Kind = store.KindDomain
		}
	}
	details, err := json.Marshal(n.Details)
	if err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		domain, err := db.keyDomain(ctx, &n)
		if err != nil {
			return err
		}
		var id string
		err = q.QueryRowContext(ctx, `INSERT INTO api_key (id, hash, role, kind, account_id, domain_id, description, created_at, updated_at, expires_at,
			disabled, details, used_at, used_day, used_sends)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, '', 0) ON CONFLICT (hash) DO NOTHING RETURNING id`,
			n.ID, n.Hash[:], string(n.Role), string(n.Kind), n.AccountID, n.DomainID, n.Description, n.CreatedAt.UnixMicro(), n.UpdatedAt.UnixMicro(),
			microsOf(n.ExpiresAt), bit(n.Disabled), string(details)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrExists
		}
		if err != nil {
			return err
		}
		return db.note(ctx, q, store.KeyEntry(store.AuditCreate, &n, domain))
	}, func() {
		db.keys[n.Hash] = n
		*k = cloneKey(n)
	})
	if err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	return nil
}

// keyDomain returns the name of the domain that a key is bound to, which must be of the key's
// account; empty for none.
func (db *DB) keyDomain(ctx context.Context, k *store.Key) (string, error) {
	if _, err := db.Account(ctx, k.AccountID); err != nil {
		return "", err
	}
	if k.DomainID == 0 {
		return "", nil
	}
	d, err := db.DomainByID(ctx, k.DomainID)
	if err == nil && d.AccountID != k.AccountID {
		return "", fmt.Errorf("domain %d: %w", k.DomainID, store.ErrNotFound)
	}
	return d.Name, err
}

// KeyByHash finds a key, from memory.
func (db *DB) KeyByHash(ctx context.Context, hash [32]byte) (store.Key, error) {
	if err := ctx.Err(); err != nil {
		return store.Key{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if k, ok := db.keys[hash]; ok {
		return cloneKey(k), nil
	}
	return store.Key{}, fmt.Errorf("key: %w", store.ErrNotFound)
}

// ListKeys returns all keys, oldest first.
func (db *DB) ListKeys(ctx context.Context) ([]store.Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	list := make([]store.Key, 0, len(db.keys))
	for _, k := range db.keys {
		list = append(list, cloneKey(k))
	}
	slices.SortFunc(list, func(a, b store.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// keyByID finds a key, from memory.
func (db *DB) keyByID(id string) (store.Key, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, k := range db.keys {
		if k.ID == id {
			return cloneKey(k), nil
		}
	}
	return store.Key{}, store.ErrNotFound
}

// UpdateKey calls change with the stored key and stores what it leaves behind. change must
// not call back into what changes configuration: one change is made at a time.
func (db *DB) UpdateKey(ctx context.Context, id string, change func(*store.Key) error) (store.Key, error) {
	var n store.Key
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		old, err := db.keyByID(id)
		if err != nil {
			return err
		}
		given := cloneKey(old)
		if err := change(&given); err != nil {
			return err
		}
		n = cloneKey(given)
		n.ID, n.Hash, n.AccountID, n.DomainID, n.CreatedAt, n.Use = old.ID, old.Hash, old.AccountID, old.DomainID, old.CreatedAt, old.Use
		n.UpdatedAt, n.ExpiresAt = now(), n.ExpiresAt.Truncate(time.Microsecond)
		details, err := json.Marshal(n.Details)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE api_key SET role = $1, kind = $2, description = $3, updated_at = $4, expires_at = $5, disabled = $6, details = $7 WHERE id = $8`,
			string(n.Role), string(n.Kind), n.Description, n.UpdatedAt.UnixMicro(), microsOf(n.ExpiresAt), bit(n.Disabled), string(details), n.ID)
		if err != nil {
			return err
		}
		domain, err := db.keyDomain(ctx, &n)
		if err != nil {
			return err
		}
		return db.note(ctx, q, store.KeyChange(&old, &n, domain))
	}, func() {
		kept := cloneKey(n)
		kept.Use = db.keys[n.Hash].Use // noted meanwhile
		db.keys[n.Hash] = kept
	})
	if err != nil {
		return store.Key{}, fmt.Errorf("update key %q: %w", id, err)
	}
	return n, nil
}

// DeleteKey forgets a key.
func (db *DB) DeleteKey(ctx context.Context, id string) error {
	var k store.Key
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		var err error
		if k, err = db.keyByID(id); err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM api_key WHERE id = $1`, id); err != nil {
			return err
		}
		domain, err := db.keyDomain(ctx, &k)
		if err != nil {
			return err
		}
		return db.note(ctx, q, store.KeyEntry(store.AuditDelete, &k, domain))
	}, func() { delete(db.keys, k.Hash) })
	if err != nil {
		return fmt.Errorf("delete key %q: %w", id, err)
	}
	return nil
}

// NoteKeyUse stores when keys were used, all of them in one transaction. It is no change
// that the audit log tells of.
func (db *DB) NoteKeyUse(ctx context.Context, uses map[string]store.KeyUse) error {
	if len(uses) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(uses))
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, id := range ids {
			u := uses[id]
			if _, err := q.ExecContext(ctx, `UPDATE api_key SET used_at = $1, used_day = $2, used_sends = $3 WHERE id = $4`,
				microsOf(u.LastUsed), u.Day, u.Sends, id); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		for hash, k := range db.keys {
			if u, ok := uses[k.ID]; ok {
				k.Use = u
				k.Use.LastUsed = timeOf(microsOf(u.LastUsed))
				db.keys[hash] = k
			}
		}
	})
	if err != nil {
		return fmt.Errorf("note the use of keys: %w", err)
	}
	return nil
}
