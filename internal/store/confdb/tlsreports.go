package confdb

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

var _ store.TLSReports = (*DB)(nil)

// policyText is a policy as a column holds it; the domain has a column of its own.
type policyText struct {
	Type    tlsresult.PolicyType `json:"type"`
	Strings []string             `json:"strings,omitempty"`
	MXHosts []string             `json:"mx,omitempty"`
}

// encodePolicy returns a policy's text and the hash by which its rows find each other.
func encodePolicy(p tlsresult.Policy) (hash, text string, err error) {
	b, err := json.Marshal(policyText{p.Type, p.Strings, p.MXHosts})
	if err != nil {
		return "", "", fmt.Errorf("encode policy: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), string(b), nil
}

// AddTLSCounts adds to the stored counts in one transaction.
func (db *DB) AddTLSCounts(ctx context.Context, counts []store.TLSCount) error {
	if len(counts) == 0 {
		return nil
	}
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, c := range counts {
			if err := addCount(ctx, q, c); err != nil {
				return fmt.Errorf("add TLS counts of %s: %w", c.Policy.Domain, err)
			}
		}
		return nil
	}, func() {})
}

func addCount(ctx context.Context, q Queryer, c store.TLSCount) error {
	hash, text, err := encodePolicy(c.Policy)
	if err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, `INSERT INTO tls_policy (day, domain, hash, policy, successes, failures) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (day, domain, hash) DO UPDATE SET successes = tls_policy.successes + excluded.successes, failures = tls_policy.failures + excluded.failures`,
		c.Day, c.Policy.Domain, hash, text, c.Successes, c.Failures); err != nil {
		return err
	}
	for _, f := range c.Details {
		if _, err := q.ExecContext(ctx, `INSERT INTO tls_failure (day, domain, hash, result, reason, mx_host, receiving_ip, sending_ip, sessions)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (day, domain, hash, result, reason, mx_host, receiving_ip, sending_ip) DO UPDATE SET sessions = tls_failure.sessions + excluded.sessions`,
			c.Day, c.Policy.Domain, hash, string(f.Type), f.Reason, f.MXHost, f.ReceivingIP, f.SendingIP, f.Sessions); err != nil {
			return err
		}
	}
	return nil
}

// TLSCounts returns what was counted on a day.
func (db *DB) TLSCounts(ctx context.Context, day, domain string) ([]store.TLSCount, error) {
	counts, at, err := db.policyCounts(ctx, day, domain)
	if err != nil {
		return nil, fmt.Errorf("read TLS counts: %w", err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT domain, hash, result, reason, mx_host, receiving_ip, sending_ip, sessions FROM tls_failure
		WHERE day = $1 AND ($2 = '' OR domain = $2)`, day, domain)
	if err != nil {
		return nil, fmt.Errorf("read TLS failures: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k countKey
		var f store.TLSFailure
		var result string
		if err := rows.Scan(&k.domain, &k.hash, &result, &f.Reason, &f.MXHost, &f.ReceivingIP, &f.SendingIP, &f.Sessions); err != nil {
			return nil, fmt.Errorf("read TLS failures: %w", err)
		}
		f.Type = tlsresult.Type(result)
		if i, ok := at[k]; ok { // counted between the two queries: next time
			counts[i].Details = append(counts[i].Details, f)
		}
	}
	for _, c := range counts {
		slices.SortFunc(c.Details, compareFailures)
	}
	return counts, rows.Err()
}

// A countKey names a row of tls_policy within its day.
type countKey struct{ domain, hash string }

// policyCounts reads the counts without details, and where each of them is.
func (db *DB) policyCounts(ctx context.Context, day, domain string) ([]store.TLSCount, map[countKey]int, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT domain, hash, policy, successes, failures FROM tls_policy
		WHERE day = $1 AND ($2 = '' OR domain = $2) ORDER BY domain, policy`, day, domain)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	var counts []store.TLSCount
	at := map[countKey]int{}
	for rows.Next() {
		c := store.TLSCount{Day: day}
		var k countKey
		var text string
		if err := rows.Scan(&k.domain, &k.hash, &text, &c.Successes, &c.Failures); err != nil {
			return nil, nil, err
		}
		var p policyText
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return nil, nil, fmt.Errorf("policy of %s: %w", k.domain, err)
		}
		c.Policy = tlsresult.Policy{Type: p.Type, Domain: k.domain, Strings: p.Strings, MXHosts: p.MXHosts}
		at[k] = len(counts)
		counts = append(counts, c)
	}
	return counts, at, rows.Err()
}

// compareFailures puts the most frequent first, and keeps the order of equals stable.
func compareFailures(a, b store.TLSFailure) int {
	return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Type, b.Type), cmp.Compare(a.MXHost, b.MXHost),
		cmp.Compare(a.ReceivingIP, b.ReceivingIP), cmp.Compare(a.SendingIP, b.SendingIP), cmp.Compare(a.Reason, b.Reason))
}

// UnplannedTLSReports returns domains with counts and without a report.
func (db *DB) UnplannedTLSReports(ctx context.Context, before string, limit int) ([]store.TLSReport, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT DISTINCT p.day, p.domain FROM tls_policy p
		WHERE p.day < $1 AND NOT EXISTS (SELECT 1 FROM tls_report r WHERE r.day = p.day AND r.domain = p.domain)
		ORDER BY p.day, p.domain LIMIT $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read days without TLS reports: %w", err)
	}
	defer rows.Close()
	var list []store.TLSReport
	for rows.Next() {
		var r store.TLSReport
		if err := rows.Scan(&r.Day, &r.Domain); err != nil {
			return nil, fmt.Errorf("read days without TLS reports: %w", err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// PutTLSReports creates or replaces reports in one transaction.
func (db *DB) PutTLSReports(ctx context.Context, reports []store.TLSReport) error {
	if len(reports) == 0 {
		return nil
	}
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, r := range reports {
			destinations, err := json.Marshal(r.Destinations)
			if err != nil {
				return fmt.Errorf("encode destinations: %w", err)
			}
			if _, err := q.ExecContext(ctx, `INSERT INTO tls_report (day, domain, report_id, state, due, give_up, attempts, note, destinations)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
				ON CONFLICT (day, domain) DO UPDATE SET report_id = excluded.report_id, state = excluded.state, due = excluded.due,
					give_up = excluded.give_up, attempts = excluded.attempts, note = excluded.note, destinations = excluded.destinations`,
				r.Day, r.Domain, r.ID, string(r.State), r.Due.UnixMicro(), r.GiveUp.UnixMicro(), r.Attempts, r.Note, string(destinations)); err != nil {
				return fmt.Errorf("write TLS report to %s: %w", r.Domain, err)
			}
		}
		return nil
	}, func() {})
}

const reportColumns = `day, domain, report_id, state, due, give_up, attempts, note, destinations`

// DueTLSReports returns waiting reports that are due.
func (db *DB) DueTLSReports(ctx context.Context, now time.Time, limit int) ([]store.TLSReport, error) {
	return db.reports(ctx, `SELECT `+reportColumns+` FROM tls_report WHERE state = 'waiting' AND due <= $1 ORDER BY due, domain LIMIT $2`,
		now.UnixMicro(), limit)
}

// TLSReports returns matching reports, latest day first.
func (db *DB) TLSReports(ctx context.Context, q store.TLSReportQuery) ([]store.TLSReport, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	return db.reports(ctx, `SELECT `+reportColumns+` FROM tls_report WHERE ($1 = '' OR day = $1) AND ($2 = '' OR domain = $2)
		ORDER BY day DESC, domain LIMIT $3`, q.Day, q.Domain, min(q.Limit, 1000))
}

func (db *DB) reports(ctx context.Context, query string, args ...any) ([]store.TLSReport, error) {
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read TLS reports: %w", err)
	}
	defer rows.Close()
	var list []store.TLSReport
	for rows.Next() {
		var r store.TLSReport
		var state, destinations string
		var due, giveUp int64
		if err := rows.Scan(&r.Day, &r.Domain, &r.ID, &state, &due, &giveUp, &r.Attempts, &r.Note, &destinations); err != nil {
			return nil, fmt.Errorf("read TLS reports: %w", err)
		}
		r.State = store.TLSReportState(state)
		r.Due, r.GiveUp = time.UnixMicro(due).UTC(), time.UnixMicro(giveUp).UTC()
		if err := json.Unmarshal([]byte(destinations), &r.Destinations); err != nil {
			return nil, fmt.Errorf("TLS report to %s: destinations: %w", r.Domain, err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// ForgetTLSReport drops counts and report of a day and domain.
func (db *DB) ForgetTLSReport(ctx context.Context, day, domain string) error {
	return db.forgetReports(ctx, `day = $1 AND domain = $2`, day, domain)
}

// PruneTLSReports drops counts and reports of earlier days.
func (db *DB) PruneTLSReports(ctx context.Context, before string) error {
	return db.forgetReports(ctx, `day < $1`, before)
}

func (db *DB) forgetReports(ctx context.Context, where string, args ...any) error {
	return db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, table := range []string{"tls_failure", "tls_policy", "tls_report"} {
			if _, err := q.ExecContext(ctx, `DELETE FROM `+table+` WHERE `+where, args...); err != nil {
				return fmt.Errorf("forget TLS reports: %w", err)
			}
		}
		return nil
	}, func() {})
}
