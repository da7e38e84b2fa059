package confdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// An override is an exception, and whether the audit log knows that it ended.
type override struct {
	mail.Override
	noted bool
}

// A target is what an override is for.
type target struct {
	name   string
	mxHost bool
}

const overrideColumns = `target, mx_host, dane, sts, requirement, min_tls, on_unverified, client_cert, author, reason, created_at, expires_at`

func (db *DB) loadOverrides(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, `SELECT id, noted, `+overrideColumns+` FROM override`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var o override
		var mxHost, noted int
		var dane, sts, minTLS, onUnverified string
		var created, expires int64
		err := rows.Scan(&o.ID, &noted, &o.Target, &mxHost, &dane, &sts, &o.Requirement, &minTLS, &onUnverified,
			&o.ClientCert, &o.Author, &o.Reason, &created, &expires)
		if err != nil {
			return err
		}
		o.MXHost, o.noted = mxHost == 1, noted == 1
		o.DANE, o.STS = mail.PolicyMode(dane), mail.PolicyMode(sts)
		o.MinTLS, o.OnUnverified = mail.TLSVersion(minTLS), mail.OnUnverified(onUnverified)
		o.Created = time.UnixMicro(created).UTC()
		if expires != 0 {
			o.Expires = time.UnixMicro(expires).UTC()
		}
		db.overrides[o.ID] = o
	}
	db.indexOverrides()
	return rows.Err()
}

// indexOverrides renews the index that Override reads. The slices in it are given out and
// never changed.
func (db *DB) indexOverrides() {
	db.targets = map[target][]mail.Override{}
	for _, o := range db.overrides {
		if !o.noted {
			t := target{o.Target, o.MXHost}
			// Of one target one is active. One that ended and is not noted yet may be beside it.
			db.targets[t] = append(db.targets[t], o.Override)
		}
	}
}

// Override returns what counts for mail to a domain by way of a host, from memory.
func (db *DB) Override(nextHop, mxHost string, now time.Time) []mail.Override {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if len(db.targets) == 0 {
		return nil
	}
	domain := activeOf(db.targets[target{nextHop, false}], now)
	host := activeOf(db.targets[target{mxHost, true}], now)
	switch {
	case len(host) == 0:
		return domain
	case len(domain) == 0:
		return host
	}
	return []mail.Override{domain[0], host[0]}
}

// activeOf returns the one that is active, as a slice that its reader may keep.
func activeOf(list []mail.Override, now time.Time) []mail.Override {
	for i, o := range list {
		if o.Active(now) {
			return list[i : i+1 : i+1]
		}
	}
	return nil
}

// CreateOverride stores o and fills in its ID and Created.
func (db *DB) CreateOverride(ctx context.Context, o *mail.Override, replace bool) error {
	n := override{Override: *o}
	n.Created = now()
	n.Expires = n.Expires.UTC().Truncate(time.Microsecond)
	var gone *mail.Override
	if err := storable(n.Override); err != nil {
		return fmt.Errorf("create override for %q: %w", o.Target, err)
	}
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		action := store.AuditCreate
		if old, ok := db.activeOverride(target{n.Target, n.MXHost}, n.Created); ok {
			if !replace {
				return store.ErrExists
			}
			if _, err := q.ExecContext(ctx, `DELETE FROM override WHERE id = $1`, old.ID); err != nil {
				return err
			}
			gone, action = &old, store.AuditReplace
		}
		expires := int64(0)
		if !n.Expires.IsZero() {
			expires = n.Expires.UnixMicro()
		}
		err := q.QueryRowContext(ctx, `INSERT INTO override (noted, `+overrideColumns+`)
			VALUES (0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
			n.Target, bit(n.MXHost), string(n.DANE), string(n.STS), n.Requirement, string(n.MinTLS), string(n.OnUnverified),
			n.ClientCert, n.Author, n.Reason, n.Created.UnixMicro(), expires).Scan(&n.ID)
		if err != nil {
			return err
		}
		return db.note(ctx, q, store.OverrideEntry(action, &n.Override, gone, overrideID(n.ID)))
	}, func() {
		if gone != nil {
			delete(db.overrides, gone.ID)
		}
		db.overrides[n.ID] = n
		db.indexOverrides()
		*o = n.Override
	})
	if err != nil {
		return fmt.Errorf("create override for %q: %w", o.Target, err)
	}
	return nil
}

// storable refuses what must never be in the table, whoever asks for it.
func storable(o mail.Override) error {
	switch {
	case o.Target == "":
		return errors.New("it has no target")
	case len(o.Sets()) == 0:
		return errors.New("it sets nothing")
	case o.Reason == "":
		return errors.New("it has no reason")
	case o.Lowers() && o.Expires.IsZero():
		return errors.New("it lowers security and has no end")
	case !o.Active(o.Created):
		return errors.New("it has ended already")
	}
	return nil
}

// activeOverride finds the override of a target that counts at the given moment.
func (db *DB) activeOverride(t target, now time.Time) (mail.Override, bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	list := activeOf(db.targets[t], now)
	if len(list) == 0 {
		return mail.Override{}, false
	}
	return list[0], true
}

// OverrideByID returns an override, from memory.
func (db *DB) OverrideByID(ctx context.Context, id int64) (mail.Override, error) {
	if err := ctx.Err(); err != nil {
		return mail.Override{}, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if o, ok := db.overrides[id]; ok {
		return o.Override, nil
	}
	return mail.Override{}, fmt.Errorf("override %d: %w", id, store.ErrNotFound)
}

// ListOverrides returns all overrides, newest first.
func (db *DB) ListOverrides(ctx context.Context) ([]mail.Override, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	ids := slices.Sorted(maps.Keys(db.overrides))
	list := make([]mail.Override, 0, len(ids))
	for _, id := range slices.Backward(ids) {
		list = append(list, db.overrides[id].Override)
	}
	return list, nil
}

// DeleteOverride removes an override.
func (db *DB) DeleteOverride(ctx context.Context, id int64) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		o, err := db.OverrideByID(ctx, id)
		if err != nil {
			return store.ErrNotFound
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM override WHERE id = $1`, id); err != nil {
			return err
		}
		return db.note(ctx, q, store.OverrideEntry(store.AuditDelete, &o, nil, overrideID(id)))
	}, func() {
		delete(db.overrides, id)
		db.indexOverrides()
	})
	if err != nil {
		return fmt.Errorf("delete override %d: %w", id, err)
	}
	return nil
}

// ExpireOverrides notes which overrides ended, and forgets old ones.
func (db *DB) ExpireOverrides(ctx context.Context, now time.Time) ([]mail.Override, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ended, old := db.endedOverrides(now)
	if len(ended)+len(old) == 0 {
		return nil, nil // nearly always: no transaction for nothing
	}
	var noted []mail.Override
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		ended, old = db.endedOverrides(now) // again, now that nobody else changes them
		noted = noted[:0]
		for _, o := range ended {
			if _, err := q.ExecContext(ctx, `UPDATE override SET noted = 1 WHERE id = $1`, o.ID); err != nil {
				return err
			}
			if err := db.note(ctx, q, store.OverrideEntry(store.AuditExpire, &o, nil, overrideID(o.ID))); err != nil {
				return err
			}
			noted = append(noted, o)
		}
		for _, o := range old {
			if _, err := q.ExecContext(ctx, `DELETE FROM override WHERE id = $1`, o.ID); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		for _, o := range ended {
			db.overrides[o.ID] = override{o, true}
		}
		for _, o := range old {
			delete(db.overrides, o.ID)
		}
		db.indexOverrides()
	})
	if err != nil {
		return nil, fmt.Errorf("expire overrides: %w", err)
	}
	return noted, nil
}

// endedOverrides returns those whose end is not noted yet, and those that ended so
// long ago that they are forgotten; by id. One may be both.
func (db *DB) endedOverrides(now time.Time) (ended, old []mail.Override) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(db.overrides)) {
		o := db.overrides[id]
		if o.Active(now) {
			continue
		}
		if !o.noted {
			ended = append(ended, o.Override)
		}
		if !now.Before(o.Expires.Add(store.KeepExpired)) {
			old = append(old, o.Override)
		}
	}
	return ended, old
}

// overrideID spells an id as people see it.
func overrideID(id int64) string { return strconv.FormatInt(id, 10) }

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
