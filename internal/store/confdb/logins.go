package confdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// PutCredential creates or replaces a login and sets its CreatedAt; created says
// which. ErrNotFound if its domain does not exist, ErrExists if the login belongs
// to another domain.
func (db *DB) PutCredential(ctx context.Context, c store.Credential) (created bool, err error) {
	if c.Login == "" || c.Login != strings.ToLower(c.Login) {
		return false, fmt.Errorf("put credential %q: a login is a lower-case address", c.Login)
	}
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		d, err := db.DomainByID(ctx, c.DomainID)
		if err != nil {
			return err
		}
		old, err := db.Credential(ctx, c.Login)
		created = err != nil
		if !created && old.DomainID != c.DomainID {
			return store.ErrExists
		}
		c.CreatedAt = now()
		_, err = q.ExecContext(ctx, `INSERT INTO credential (login, domain_id, password_hash, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (login) DO UPDATE SET password_hash = excluded.password_hash, created_at = excluded.created_at`,
			c.Login, c.DomainID, c.PasswordHash, c.CreatedAt.UnixMicro())
		if err != nil {
			return err
		}
		action := store.AuditUpdate
		if created {
			action = store.AuditCreate
		}
		return db.note(ctx, q, store.CredentialEntry(action, c.Login, d.Name))
	}, func() { db.credentials[c.Login] = c })
	if err != nil {
		return false, fmt.Errorf("put credential %q: %w", c.Login, err)
	}
	return created, nil
}

// Credential returns the login of that name, from memory.
func (db *DB) Credential(ctx context.Context, login string) (store.Credential, error) {
	if err := ctx.Err(); err != nil {
		return store.Credential{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if c, ok := db.credentials[login]; ok {
		return c, nil
	}
	return store.Credential{}, fmt.Errorf("credential %q: %w", login, store.ErrNotFound)
}

// ListCredentials returns a domain's logins by name. A domain that does not exist
// has none.
func (db *DB) ListCredentials(ctx context.Context, domainID int64) ([]store.Credential, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	var list []store.Credential
	for _, c := range db.credentials {
		if c.DomainID == domainID {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b store.Credential) int { return strings.Compare(a.Login, b.Login) })
	return list, nil
}

// DeleteCredential removes a login of the domain.
func (db *DB) DeleteCredential(ctx context.Context, domainID int64, login string) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		var kept string
		err := q.QueryRowContext(ctx, `DELETE FROM credential WHERE domain_id = $1 AND login = $2 RETURNING login`, domainID, login).Scan(&kept)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		d, err := db.DomainByID(ctx, domainID)
		if err != nil {
			return err
		}
		return db.note(ctx, q, store.CredentialEntry(store.AuditDelete, login, d.Name))
	}, func() { delete(db.credentials, login) })
	if err != nil {
		return fmt.Errorf("delete credential %q: %w", login, err)
	}
	return nil
}
