// Package confdb keeps an installation's configuration: accounts, sending domains, API keys,
// submission logins, pools of addresses and overrides. They are few, change rarely and are asked for with every
// message, so the package holds all of them in memory and writes through to
// SQL tables. The audit log is another one: every change of the others is noted there, in the
// transaction that makes it. Beside them are tables of what rooms remember: which MX hosts
// gave TLS, what MTA-STS policies recipient domains have, the statistics for TLS reports,
// how far the followers of the event log have come, who gets no mail of a domain.
//
// Its statements are written once in the SQL that SQLite and PostgreSQL both
// accept as it stands ($1 placeholders, RETURNING, ON CONFLICT). Which database
// that is, how its tables come to be and how a transaction is run there is left to
// the engine that opens it.
package confdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A Queryer runs statements: a *sql.DB, *sql.Conn or *sql.Tx.
type Queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A Transactor runs f in one durable transaction: when it returns nil, what f
// wrote is on disk; else nothing is. It does not retry.
type Transactor func(ctx context.Context, f func(q Queryer) error) error

var (
	_ store.Domains     = (*DB)(nil)
	_ store.Keys        = (*DB)(nil)
	_ store.Credentials = (*DB)(nil)
	_ store.Accounts    = (*DB)(nil)
	_ store.Pools       = (*DB)(nil)
	_ store.Overrides   = (*DB)(nil)
	_ store.Audit       = (*DB)(nil)
)

// A DB answers for domains, keys, credentials and overrides. It assumes that nobody else
// writes to the tables. It is safe for concurrent use.
type DB struct {
	read    Queryer
	write   Transactor
	writing chan struct{} // holds one token while a change is under way

	suppressing suppressing

	mu          sync.RWMutex
	domains     map[int64]*store.Domain
	names       map[string]int64
	keys        map[[32]byte]store.Key
	credentials map[string]store.Credential
	accounts    map[int64]store.Account
	pools       map[string]store.Pool
	overrides   map[int64]override
	hooks       hookCache
	versions    versions
	targets     map[target][]mail.Override // by what they count for, those that may be active
}

// Open reads all configuration through q. Changes go through write.
func Open(ctx context.Context, q Queryer, write Transactor) (*DB, error) {
	db := &DB{
		read:        q,
		write:       write,
		writing:     make(chan struct{}, 1),
		domains:     map[int64]*store.Domain{},
		names:       map[string]int64{},
		keys:        map[[32]byte]store.Key{},
		credentials: map[string]store.Credential{},
		accounts:    map[int64]store.Account{},
		pools:       map[string]store.Pool{},
		overrides:   map[int64]override{},
		versions:    versions{kept: map[versionKey]store.TemplateVersion{}},
	}
	if err := db.loadDomains(ctx, q); err != nil {
		return nil, fmt.Errorf("read domains: %w", err)
	}
	if err := db.loadKeys(ctx, q); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if err := db.loadCredentials(ctx, q); err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	if err := db.loadAccounts(ctx, q); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	if err := db.loadPools(ctx, q); err != nil {
		return nil, fmt.Errorf("read pools: %w", err)
	}
	if err := db.loadOverrides(ctx, q); err != nil {
		return nil, fmt.Errorf("read overrides: %w", err)
	}
	if err := db.loadWebhooks(ctx, q); err != nil {
		return nil, fmt.Errorf("read webhooks: %w", err)
	}
	if err := db.clearOrphans(ctx); err != nil {
		return nil, err
	}
	return db, nil
}

// change runs f in a transaction of its own, one change at a time, and then
// remember with the cache locked. Once begun it is not interrupted: a cancelled
// COMMIT would leave us not knowing what the tables hold.
func (db *DB) change(ctx context.Context, f func(ctx context.Context, q Queryer) error, remember func()) error {
	select {
	case db.writing <- struct{}{}:
		defer func() { <-db.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := db.write(ctx, func(q Queryer) error { return f(ctx, q) }); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	remember()
	return nil
}

// cloneDomain returns a copy that shares nothing with d.
func cloneDomain(d *store.Domain) store.Domain {
	c := *d
	c.Delivery.Retry = slices.Clone(d.Delivery.Retry)
	c.DKIM = slices.Clone(d.DKIM)
	c.Settings.IPs = slices.Clone(d.Settings.IPs)
	c.Checks = slices.Clone(d.Checks)
	for i := range c.Checks {
		c.Checks[i].Seen = slices.Clone(c.Checks[i].Seen)
	}
	return c
}

// domainColumns are the columns of a domain, in the order of domainValues.
const domainColumns = `name, created_at, state, require_tls, skip_verification, delivery, dkim, settings, checks, account_id`

// domainValues returns the columns' values.
func domainValues(d *store.Domain) ([]any, error) {
	delivery, err := json.Marshal(d.Delivery)
	if err != nil {
		return nil, fmt.Errorf("encode delivery settings: %w", err)
	}
	settings, err := json.Marshal(d.Settings)
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	checks, err := json.Marshal(d.Checks)
	if err != nil {
		return nil, fmt.Errorf("encode checks: %w", err)
	}
	dkim, err := json.Marshal(d.DKIM)
	if err != nil {
		return nil, fmt.Errorf("encode DKIM keys: %w", err)
	}
	return []any{d.Name, d.CreatedAt.UnixMicro(), string(d.State), int64(d.TLS.RequireTLS), int64(d.TLS.SkipVerification), string(delivery),
		string(dkim), string(settings), string(checks), d.AccountID}, nil
}

func (db *DB) loadDomains(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, `SELECT id, `+domainColumns+` FROM domain`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var d store.Domain
		var created, require, skip int64
		var state, delivery, dkim, settings, checks string
		err := rows.Scan(&d.ID, &d.Name, &created, &state, &require, &skip, &delivery,
			&dkim, &settings, &checks, &d.AccountID)
		if err != nil {
			return err
		}
		d.CreatedAt = time.UnixMicro(created).UTC()
		d.State = store.DomainState(state)
		d.TLS = mail.TLSFlags{RequireTLS: mail.Tri(require), SkipVerification: mail.Tri(skip)}
		if err := json.Unmarshal([]byte(delivery), &d.Delivery); err != nil {
			return fmt.Errorf("domain %s: delivery settings: %w", d.Name, err)
		}
		if err := json.Unmarshal([]byte(dkim), &d.DKIM); err != nil {
			return fmt.Errorf("domain %s: DKIM keys: %w", d.Name, err)
		}
		if err := json.Unmarshal([]byte(settings), &d.Settings); err != nil {
			return fmt.Errorf("domain %s: settings: %w", d.Name, err)
		}
		if err := json.Unmarshal([]byte(checks), &d.Checks); err != nil {
			return fmt.Errorf("domain %s: checks: %w", d.Name, err)
		}
		db.domains[d.ID] = &d
		db.names[d.Name] = d.ID
	}
	return rows.Err()
}

func (db *DB) loadCredentials(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, `SELECT login, domain_id, password_hash, created_at FROM credential`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c store.Credential
		var created int64
		if err := rows.Scan(&c.Login, &c.DomainID, &c.PasswordHash, &created); err != nil {
			return err
		}
		c.CreatedAt = time.UnixMicro(created).UTC()
		db.credentials[c.Login] = c
	}
	return rows.Err()
}

// now is the clock of CreatedAt.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
