package confdb

import (
	"context"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

var _ store.STSPolicies = (*DB)(nil)

// LoadSTSPolicies returns the policies that expire after now. It reads the table: it is
// asked for once, at start.
func (db *DB) LoadSTSPolicies(ctx context.Context, now time.Time) ([]store.STSPolicy, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT domain, policy_id, body, fetched_at, expires_at, used_at
		FROM sts_policy WHERE expires_at > $1 ORDER BY domain`, now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read MTA-STS policies: %w", err)
	}
	defer rows.Close()
	var list []store.STSPolicy
	for rows.Next() {
		var p store.STSPolicy
		var fetched, expires, used int64
		if err := rows.Scan(&p.Domain, &p.ID, &p.Text, &fetched, &expires, &used); err != nil {
			return nil, fmt.Errorf("read MTA-STS policies: %w", err)
		}
		p.Fetched, p.Expires, p.Used = time.UnixMicro(fetched).UTC(), time.UnixMicro(expires).UTC(), time.UnixMicro(used).UTC()
		list = append(list, p)
	}
	return list, rows.Err()
}

// PutSTSPolicies stores policies in one transaction.
func (db *DB) PutSTSPolicies(ctx context.Context, policies []store.STSPolicy) error {
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, p := range policies {
			if _, err := q.ExecContext(ctx, `INSERT INTO sts_policy (domain, policy_id, body, fetched_at, expires_at, used_at)
				VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (domain) DO UPDATE SET policy_id = excluded.policy_id, body = excluded.body,
				fetched_at = excluded.fetched_at, expires_at = excluded.expires_at, used_at = excluded.used_at`,
				p.Domain, p.ID, p.Text, p.Fetched.UnixMicro(), p.Expires.UnixMicro(), p.Used.UnixMicro()); err != nil {
				return fmt.Errorf("write MTA-STS policy: %w", err)
			}
		}
		return nil
	}, func() {})
}

// ForgetSTSPolicies removes policies in one transaction.
func (db *DB) ForgetSTSPolicies(ctx context.Context, domains []string, expiredBefore time.Time) error {
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, domain := range domains {
			if _, err := q.ExecContext(ctx, `DELETE FROM sts_policy WHERE domain = $1`, domain); err != nil {
				return fmt.Errorf("forget MTA-STS policy: %w", err)
			}
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM sts_policy WHERE expires_at < $1`, expiredBefore.UnixMicro()); err != nil {
			return fmt.Errorf("forget expired MTA-STS policies: %w", err)
		}
		return nil
	}, func() {})
}
