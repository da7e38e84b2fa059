package confdb

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

// CreateDomain stores d and fills in its ID and CreatedAt, and its State if it is
// empty: unverified. ErrExists if the name is taken, ErrNotFound if there is no such account.
func (db *DB) CreateDomain(ctx context.Context, d *store.Domain) error {
	if d.Name == "" {
		return errors.New("create domain: it has no name")
	}
	n := cloneDomain(d)
	n.CreatedAt = now()
	n.State = cmp.Or(n.State, store.DomainUnverified)
	n.AccountID = cmp.Or(n.AccountID, store.PrimaryAccount)
	values, err := domainValues(&n)
	if err != nil {
		return fmt.Errorf("create domain %s: %w", d.Name, err)
	}
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		if _, err := db.Account(ctx, n.AccountID); err != nil {
			return err
		}
		err := q.QueryRowContext(ctx, `INSERT INTO domain (`+domainColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (name) DO NOTHING RETURNING id`, values...).Scan(&n.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrExists
		}
		if err != nil {
			return err
		}
		entry, _ := store.DomainEntry(nil, &n)
		return db.note(ctx, q, entry)
	}, func() {
		db.domains[n.ID] = &n
		db.names[n.Name] = n.ID
		*d = db.view(&n)
	})
	if err != nil {
		return fmt.Errorf("create domain %s: %w", d.Name, err)
	}
	return nil
}

// view returns a copy with what the domain has of its account. Called with mu held.
func (db *DB) view(d *store.Domain) store.Domain {
	c := cloneDomain(d)
	a := db.accounts[c.AccountID]
	c.AccountDisabled = !a.MaySend()
	return c
}

// Domain returns the domain of that name, from memory.
func (db *DB) Domain(ctx context.Context, name string) (store.Domain, error) {
	if err := ctx.Err(); err != nil {
		return store.Domain{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if d, ok := db.domains[db.names[name]]; ok {
		return db.view(d), nil
	}
	return store.Domain{}, fmt.Errorf("domain %q: %w", name, store.ErrNotFound)
}

// DomainByID returns the domain with that id, from memory.
func (db *DB) DomainByID(ctx context.Context, id int64) (store.Domain, error) {
	if err := ctx.Err(); err != nil {
		return store.Domain{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if d, ok := db.domains[id]; ok {
		return db.view(d), nil
	}
	return store.Domain{}, fmt.Errorf("domain %d: %w", id, store.ErrNotFound)
}

// ListDomains returns all domains, newest first.
func (db *DB) ListDomains(ctx context.Context) ([]store.Domain, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	ids := slices.Sorted(maps.Keys(db.domains))
	list := make([]store.Domain, 0, len(ids))
	for _, id := range slices.Backward(ids) {
		list = append(list, db.view(db.domains[id]))
	}
	return list, nil
}

// UpdateDomain calls change with the stored domain and stores what it leaves
// behind. Changes of ID, Name and CreatedAt are ignored. change must not call back
// into what changes configuration: one change is made at a time.
func (db *DB) UpdateDomain(ctx context.Context, name string, change func(*store.Domain) error) (store.Domain, error) {
	var n store.Domain
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		// The cache is the table: nobody else writes, and db.writing is ours.
		old, err := db.Domain(ctx, name)
		if err != nil {
			return store.ErrNotFound
		}
		given := cloneDomain(&old)
		if err := change(&given); err != nil {
			return err
		}
		n = cloneDomain(&given) // change may have kept the pointer
		n.ID, n.AccountID, n.Name, n.CreatedAt, n.AccountDisabled = old.ID, old.AccountID, old.Name, old.CreatedAt, old.AccountDisabled
		values, err := domainValues(&n)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE domain SET name = $1, created_at = $2, state = $3, require_tls = $4, skip_verification = $5,
			delivery = $6, dkim = $7, settings = $8, checks = $9, account_id = $10
			WHERE id = $11`, append(values, n.ID)...)
		if err != nil {
			return err
		}
		entry, changed := store.DomainEntry(&old, &n)
		if !changed {
			return nil
		}
		return db.note(ctx, q, entry)
	}, func() {
		kept := cloneDomain(&n)
		db.domains[n.ID] = &kept
	})
	if err != nil {
		return store.Domain{}, fmt.Errorf("update domain %q: %w", name, err)
	}
	return n, nil
}

// DeleteDomain removes the domain with its credentials and keys, each with an
// entry in the audit log.
func (db *DB) DeleteDomain(ctx context.Context, name string) error {
	var id int64
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		d, err := db.Domain(ctx, name)
		if err != nil {
			return store.ErrNotFound
		}
		id = d.ID
		alone := store.ChangeOf(ctx)
		alone.Details = nil // they are about the domain
		for _, e := range db.belongings(&d) {
			if err := db.note(store.WithChange(ctx, &alone), q, e); err != nil {
				return err
			}
		}
		if err := db.dropDomainWebhooks(ctx, q, id); err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM credential WHERE domain_id = $1`,
			`DELETE FROM api_key WHERE domain_id = $1`,
			`DELETE FROM suppression_import WHERE domain_id = $1`,
			`DELETE FROM domain WHERE id = $1`,
		} {
			if _, err := q.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		entry, _ := store.DomainEntry(&d, nil)
		return db.note(ctx, q, entry)
	}, func() {
		delete(db.domains, id)
		delete(db.names, name)
		db.forgetDomainWebhooks(id)
		db.versions.forget() // its templates went with it
		maps.DeleteFunc(db.keys, func(_ [32]byte, k store.Key) bool { return k.DomainID == id })
		maps.DeleteFunc(db.credentials, func(_ string, c store.Credential) bool { return c.DomainID == id })
	})
	if err != nil {
		return fmt.Errorf("delete domain %q: %w", name, err)
	}
	// Its lists may be long, so they are removed in steps. The domain is gone already, and
	// nobody can ask for them any more: what an error leaves, the next start removes.
	_ = db.clearDomain(context.WithoutCancel(ctx), id)
	return nil
}

// belongings returns the entries for the keys and logins that go with a domain, in
// an order that does not depend on a map.
func (db *DB) belongings(d *store.Domain) []store.AuditEntry {
	db.mu.RLock()
	defer db.mu.RUnlock()
	var list []store.AuditEntry
	for _, k := range db.keys {
		if k.DomainID == d.ID {
			list = append(list, store.KeyEntry(store.AuditDelete, &k, d.Name))
		}
	}
	for _, c := range db.credentials {
		if c.DomainID == d.ID {
			list = append(list, store.CredentialEntry(store.AuditDelete, c.Login, d.Name))
		}
	}
	sortEntries(list)
	return list
}

func sortEntries(list []store.AuditEntry) {
	slices.SortFunc(list, func(a, b store.AuditEntry) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Object, b.Object))
	})
}
