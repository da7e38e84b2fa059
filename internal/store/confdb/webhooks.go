package confdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.Webhooks = (*DB)(nil)

// A hookScope is a domain of an account, or with domain 0 the account itself.
type hookScope struct{ account, domain int64 }

// hookCache is what is asked for with every event.
type hookCache struct {
	hooks   map[hookScope][]store.Webhook
	keys    map[int64]store.SigningKey // by account
	version int64
}

func (db *DB) loadWebhooks(ctx context.Context, q Queryer) error {
	db.hooks = hookCache{hooks: map[hookScope][]store.Webhook{}, keys: map[int64]store.SigningKey{}, version: 1}
	rows, err := q.QueryContext(ctx, `SELECT id, account_id, domain_id, url, kinds, description, created_at FROM webhook ORDER BY account_id, domain_id, seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var h store.Webhook
		var kinds string
		var created int64
		if err := rows.Scan(&h.ID, &h.AccountID, &h.DomainID, &h.URL, &kinds, &h.Description, &created); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(kinds), &h.Kinds); err != nil {
			return fmt.Errorf("webhook %s: %w", h.ID, err)
		}
		h.CreatedAt = time.UnixMicro(created).UTC()
		s := hookScope{h.AccountID, h.DomainID}
		db.hooks.hooks[s] = append(db.hooks.hooks[s], h)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return db.loadSigningKeys(ctx, q)
}

func (db *DB) loadSigningKeys(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, `SELECT account_id, secret, previous, signs_from, created_at FROM signing_key`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var account, from, created int64
		var k store.SigningKey
		if err := rows.Scan(&account, &k.Key, &k.Previous, &from, &created); err != nil {
			return err
		}
		k.SignsFrom, k.CreatedAt = optionalTime(from), time.UnixMicro(created).UTC()
		db.hooks.keys[account] = k
	}
	return rows.Err()
}

// optionalTime reads a time that may be zero.
func optionalTime(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// optionalMicros writes a time that may be zero.
func optionalMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// cloneHooks returns copies that share nothing with the list.
func cloneHooks(list []store.Webhook) []store.Webhook {
	c := slices.Clone(list)
	for i := range c {
		c[i].Kinds = slices.Clone(c[i].Kinds)
	}
	return c
}

// WebhooksOf returns the webhooks of a domain or account, from memory.
func (db *DB) WebhooksOf(ctx context.Context, accountID, domainID int64) ([]store.Webhook, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	return cloneHooks(db.hooks.hooks[hookScope{accountID, domainID}]), nil
}

// AllWebhooks returns all webhooks, from memory.
func (db *DB) AllWebhooks(ctx context.Context) ([]store.Webhook, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	var all []store.Webhook
	for _, list := range db.hooks.hooks {
		all = append(all, cloneHooks(list)...)
	}
	return all, db.hooks.version, nil
}

// WebhookVersion returns a number that grows with every change.
func (db *DB) WebhookVersion() int64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.hooks.version
}

// ChangeWebhooks replaces the webhooks of a domain or account. change must not call back
// into what changes configuration.
func (db *DB) ChangeWebhooks(ctx context.Context, accountID, domainID int64, change func([]store.Webhook) ([]store.Webhook, error)) ([]store.Webhook, error) {
	scope := hookScope{accountID, domainID}
	var list []store.Webhook
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		domain, err := db.hookDomain(ctx, scope)
		if err != nil {
			return err
		}
		old, err := db.WebhooksOf(ctx, accountID, domainID)
		if err != nil {
			return err
		}
		given, err := change(cloneHooks(old))
		if err != nil {
			return err
		}
		list = complete(given, scope)
		if err := writeHooks(ctx, q, scope, list); err != nil {
			return err
		}
		if err := writeTargets(ctx, q, scope, list); err != nil {
			return err
		}
		for _, e := range store.WebhookEntries(old, list, domain) {
			if err := db.note(ctx, q, e); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		db.hooks.version++
		db.hooks.hooks[scope] = cloneHooks(list)
		if len(list) == 0 {
			delete(db.hooks.hooks, scope)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("change webhooks: %w", err)
	}
	return list, nil
}

// hookDomain returns the name of the scope's domain; empty for an account's.
func (db *DB) hookDomain(ctx context.Context, scope hookScope) (string, error) {
	if scope.domain == 0 {
		return "", nil
	}
	d, err := db.DomainByID(ctx, scope.domain)
	if err == nil && d.AccountID != scope.account {
		err = store.ErrNotFound
	}
	return d.Name, err
}

// complete fills in what new webhooks do not have yet.
func complete(given []store.Webhook, scope hookScope) []store.Webhook {
	list := cloneHooks(given)
	for i := range list {
		h := &list[i]
		h.AccountID, h.DomainID = scope.account, scope.domain
		if h.ID == "" {
			var random [12]byte
			rand.Read(random[:]) // never fails
			h.ID, h.CreatedAt = hex.EncodeToString(random[:]), now()
		}
	}
	return list
}

func writeHooks(ctx context.Context, q Queryer, scope hookScope, list []store.Webhook) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM webhook WHERE account_id = $1 AND domain_id = $2`, scope.account, scope.domain); err != nil {
		return err
	}
	for i, h := range list {
		kinds, err := json.Marshal(h.Kinds)
		if err != nil {
			return fmt.Errorf("encode kinds: %w", err)
		}
		if _, err := q.ExecContext(ctx, `INSERT INTO webhook (id, account_id, domain_id, seq, url, kinds, description, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, h.ID, h.AccountID, h.DomainID, i, h.URL, string(kinds), h.Description, h.CreatedAt.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// writeTargets makes targets of new URLs, and drops those that nobody names any more.
func writeTargets(ctx context.Context, q Queryer, scope hookScope, list []store.Webhook) error {
	named := map[string]bool{}
	for _, h := range list {
		named[h.URL] = true
	}
	have, err := targetsOf(ctx, q, scope)
	if err != nil {
		return err
	}
	for url, id := range have {
		if !named[url] {
			if err := dropTargets(ctx, q, `id = $1`, id); err != nil {
				return err
			}
		}
	}
	for _, url := range slices.Sorted(maps.Keys(named)) {
		if _, known := have[url]; known {
			continue
		}
		if _, err := q.ExecContext(ctx, `INSERT INTO webhook_target (account_id, domain_id, url, position, failing_since, disabled_at, last_error)
			VALUES ($1, $2, $3, 0, 0, 0, '')`, scope.account, scope.domain, url); err != nil {
			return err
		}
	}
	return nil
}

// targetsOf returns the ids of a scope's targets by URL.
func targetsOf(ctx context.Context, q Queryer, scope hookScope) (map[string]int64, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, url FROM webhook_target WHERE account_id = $1 AND domain_id = $2`, scope.account, scope.domain)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := map[string]int64{}
	for rows.Next() {
		var id int64
		var url string
		if err := rows.Scan(&id, &url); err != nil {
			return nil, err
		}
		have[url] = id
	}
	return have, rows.Err()
}

// dropTargets forgets targets with all that is about them.
func dropTargets(ctx context.Context, q Queryer, where string, arg any) error {
	for _, statement := range []string{
		`DELETE FROM webhook_call WHERE target_id IN (SELECT id FROM webhook_target WHERE ` + where + `)`,
		`DELETE FROM webhook_attempt WHERE target_id IN (SELECT id FROM webhook_target WHERE ` + where + `)`,
		`DELETE FROM webhook_target WHERE ` + where,
	} {
		if _, err := q.ExecContext(ctx, statement, arg); err != nil {
			return err
		}
	}
	return nil
}

// dropDomainWebhooks is a domain's end.
func (db *DB) dropDomainWebhooks(ctx context.Context, q Queryer, domainID int64) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM webhook WHERE domain_id = $1`, domainID); err != nil {
		return err
	}
	return dropTargets(ctx, q, `domain_id = $1`, domainID)
}

// forgetDomainWebhooks is dropDomainWebhooks for the cache, which is locked.
func (db *DB) forgetDomainWebhooks(domainID int64) {
	db.hooks.version++
	maps.DeleteFunc(db.hooks.hooks, func(s hookScope, _ []store.Webhook) bool { return s.domain == domainID })
}

// dropAccountWebhooks is an account's end.
func (db *DB) dropAccountWebhooks(ctx context.Context, q Queryer, account int64) error {
	for _, statement := range []string{`DELETE FROM webhook WHERE account_id = $1`, `DELETE FROM signing_key WHERE account_id = $1`} {
		if _, err := q.ExecContext(ctx, statement, account); err != nil {
			return err
		}
	}
	return dropTargets(ctx, q, `account_id = $1`, account)
}

// forgetAccountWebhooks is dropAccountWebhooks for the cache, which is locked.
func (db *DB) forgetAccountWebhooks(account int64) {
	db.hooks.version++
	maps.DeleteFunc(db.hooks.hooks, func(s hookScope, _ []store.Webhook) bool { return s.account == account })
	delete(db.hooks.keys, account)
}

// newSigningKey makes a key of 192 random bits, in the look that clients know.
func newSigningKey() string {
	var b [24]byte
	rand.Read(b[:]) // never fails
	return "key-" + hex.EncodeToString(b[:])
}

// SigningKey returns the account's key, from memory. The first call makes one.
func (db *DB) SigningKey(ctx context.Context, accountID int64) (store.SigningKey, error) {
	if err := ctx.Err(); err != nil {
		return store.SigningKey{}, err
	}
	db.mu.RLock()
	k, ok := db.hooks.keys[accountID]
	db.mu.RUnlock()
	if ok {
		return k, nil
	}
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		k = store.SigningKey{Key: newSigningKey(), CreatedAt: now()}
		_, err := q.ExecContext(ctx, `INSERT INTO signing_key (account_id, secret, previous, signs_from, created_at) VALUES ($1, $2, '', 0, $3)
			ON CONFLICT (account_id) DO NOTHING`, accountID, k.Key, k.CreatedAt.UnixMicro())
		if err != nil {
			return err
		}
		// Somebody else may have been first.
		var created, from int64
		if err := q.QueryRowContext(ctx, `SELECT secret, previous, signs_from, created_at FROM signing_key WHERE account_id = $1`, accountID).
			Scan(&k.Key, &k.Previous, &from, &created); err != nil {
			return err
		}
		k.SignsFrom, k.CreatedAt = optionalTime(from), time.UnixMicro(created).UTC()
		return nil
	}, func() { db.hooks.keys[accountID] = k })
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("make a signing key: %w", err)
	}
	return k, nil
}

// RotateSigningKey makes a new key for the account.
func (db *DB) RotateSigningKey(ctx context.Context, accountID int64, until time.Time) (store.SigningKey, error) {
	var k store.SigningKey
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		var secret, previous string
		var from int64
		err := q.QueryRowContext(ctx, `SELECT secret, previous, signs_from FROM signing_key WHERE account_id = $1`, accountID).Scan(&secret, &previous, &from)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		k = store.SigningKey{Key: newSigningKey(), CreatedAt: now()}
		signing := store.SigningKey{Key: secret, Previous: previous, SignsFrom: optionalTime(from)}.At(k.CreatedAt)
		if signing != "" && until.After(k.CreatedAt) {
			k.Previous, k.SignsFrom = signing, until.UTC().Truncate(time.Microsecond)
		}
		if _, err := q.ExecContext(ctx, `INSERT INTO signing_key (account_id, secret, previous, signs_from, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account_id) DO UPDATE SET secret = excluded.secret, previous = excluded.previous,
				signs_from = excluded.signs_from, created_at = excluded.created_at`,
			accountID, k.Key, k.Previous, optionalMicros(k.SignsFrom), k.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		return db.note(ctx, q, store.SigningKeyEntry(accountID, k))
	}, func() { db.hooks.keys[accountID] = k })
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("rotate the signing key: %w", err)
	}
	return k, nil
}
