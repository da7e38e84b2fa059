package confdb

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var _ store.WebhookDeliveries = (*DB)(nil)

// WebhookTargets returns all targets by id.
func (db *DB) WebhookTargets(ctx context.Context) ([]store.WebhookTarget, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT t.id, t.account_id, t.domain_id, t.url, t.position, t.failing_since, t.disabled_at, t.last_error,
			COALESCE(SUM(1 - c.given_up), 0), COALESCE(SUM(c.given_up), 0), COALESCE(MIN(CASE c.given_up WHEN 0 THEN c.event_id END), 0)
		FROM webhook_target t LEFT JOIN webhook_call c ON c.target_id = t.id
		GROUP BY t.id, t.account_id, t.domain_id, t.url, t.position, t.failing_since, t.disabled_at, t.last_error ORDER BY t.id`)
	if err != nil {
		return nil, fmt.Errorf("read webhook targets: %w", err)
	}
	defer rows.Close()
	var list []store.WebhookTarget
	for rows.Next() {
		var t store.WebhookTarget
		var position, failing, disabled, oldest int64
		if err := rows.Scan(&t.ID, &t.AccountID, &t.DomainID, &t.URL, &position, &failing, &disabled, &t.LastError, &t.Waiting, &t.Failed, &oldest); err != nil {
			return nil, fmt.Errorf("read webhook targets: %w", err)
		}
		t.Position, t.OldestEvent = mail.ID(position), mail.ID(oldest)
		t.FailingSince, t.DisabledAt = optionalTime(failing), optionalTime(disabled)
		list = append(list, t)
	}
	return list, rows.Err()
}

// SaveWebhooks stores progress in one transaction.
func (db *DB) SaveWebhooks(ctx context.Context, p store.WebhookProgress) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, save := range []func(context.Context, Queryer, store.WebhookProgress) error{saveTargets, saveCalls, saveAttempts} {
			if err := save(ctx, q, p); err != nil {
				return err
			}
		}
		if p.Cursor == "" {
			return nil
		}
		_, err := q.ExecContext(ctx, `INSERT INTO cursor (name, position) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET position = excluded.position`, p.Cursor, int64(p.Position))
		return err
	}, func() {})
	if err != nil {
		return fmt.Errorf("save webhook deliveries: %w", err)
	}
	return nil
}

func saveTargets(ctx context.Context, q Queryer, p store.WebhookProgress) error {
	for _, t := range p.Targets {
		if _, err := q.ExecContext(ctx, `UPDATE webhook_target SET position = $1, failing_since = $2, disabled_at = $3, last_error = $4 WHERE id = $5`,
			int64(t.Position), optionalMicros(t.FailingSince), optionalMicros(t.DisabledAt), t.LastError, t.ID); err != nil {
			return err
		}
	}
	return nil
}

func saveCalls(ctx context.Context, q Queryer, p store.WebhookProgress) error {
	for _, c := range p.Done {
		if _, err := q.ExecContext(ctx, `DELETE FROM webhook_call WHERE target_id = $1 AND event_id = $2`, c.Target, int64(c.Event)); err != nil {
			return err
		}
	}
	for _, c := range p.Calls {
		if err := saveCall(ctx, q, c); err != nil {
			return err
		}
	}
	if p.Forget == 0 {
		return nil
	}
	_, err := q.ExecContext(ctx, `DELETE FROM webhook_call WHERE given_up = 1 AND event_id < $1`, int64(p.Forget))
	return err
}

// saveCall writes a call, unless its target has ceased.
func saveCall(ctx context.Context, q Queryer, c store.WebhookCall) error {
	givenUp := 0
	if c.GivenUp {
		givenUp = 1
	}
	_, err := q.ExecContext(ctx, `INSERT INTO webhook_call (target_id, event_id, domain_id, attempts, due, given_up)
		SELECT id, $2, $3, $4, $5, $6 FROM webhook_target WHERE id = $1
		ON CONFLICT (target_id, event_id) DO UPDATE SET attempts = excluded.attempts, due = excluded.due, given_up = excluded.given_up`,
		c.Target, int64(c.Event), c.DomainID, c.Attempts, c.Due.UnixMicro(), givenUp)
	return err
}

// saveAttempts writes attempts, and drops the oldest of their targets.
func saveAttempts(ctx context.Context, q Queryer, p store.WebhookProgress) error {
	touched := map[int64]bool{}
	for _, a := range p.Attempts {
		touched[a.Target] = true
		if _, err := q.ExecContext(ctx, `INSERT INTO webhook_attempt (target_id, at, event_id, kind, attempt, outcome, status, latency, error, answer)
			SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM webhook_target WHERE id = $1`,
			a.Target, a.At.UnixMicro(), int64(a.Event), a.Kind, a.Attempt, a.Outcome, a.Status, a.Latency.Microseconds(), a.Error, a.Answer); err != nil {
			return err
		}
	}
	for target := range touched {
		if _, err := q.ExecContext(ctx, `DELETE FROM webhook_attempt WHERE target_id = $1 AND id <=
			(SELECT id FROM webhook_attempt WHERE target_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, target, p.Keep); err != nil {
			return err
		}
	}
	return nil
}

// DueWebhookCalls returns calls of a target that are due.
func (db *DB) DueWebhookCalls(ctx context.Context, target int64, now time.Time, limit int) ([]store.WebhookCall, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT event_id, domain_id, attempts, due FROM webhook_call
		WHERE target_id = $1 AND given_up = 0 AND due <= $2 ORDER BY due, event_id LIMIT $3`, target, now.UnixMicro(), limit)
	if err != nil {
		return nil, fmt.Errorf("read webhook calls: %w", err)
	}
	defer rows.Close()
	var list []store.WebhookCall
	for rows.Next() {
		c := store.WebhookCall{Target: target}
		var event, due int64
		if err := rows.Scan(&event, &c.DomainID, &c.Attempts, &due); err != nil {
			return nil, fmt.Errorf("read webhook calls: %w", err)
		}
		c.Event, c.Due = mail.ID(event), time.UnixMicro(due).UTC()
		list = append(list, c)
	}
	return list, rows.Err()
}

// NextWebhookCall returns when the first waiting call is due.
func (db *DB) NextWebhookCall(ctx context.Context, target int64) (time.Time, error) {
	var due sql.NullInt64
	if err := db.read.QueryRowContext(ctx, `SELECT MIN(due) FROM webhook_call WHERE target_id = $1 AND given_up = 0`, target).Scan(&due); err != nil {
		return time.Time{}, fmt.Errorf("read webhook calls: %w", err)
	}
	if !due.Valid {
		return time.Time{}, nil
	}
	return time.UnixMicro(due.Int64).UTC(), nil
}

// ReplayWebhookCalls makes calls wait in one transaction.
func (db *DB) ReplayWebhookCalls(ctx context.Context, calls []store.WebhookCall) error {
	err := db.change(ctx, func(ctx context.Context, q Queryer) error {
		for _, c := range calls {
			if err := saveCall(ctx, q, c); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
	if err != nil {
		return fmt.Errorf("replay webhook calls: %w", err)
	}
	return nil
}

// ReplayFailedWebhookCalls makes a target's calls wait that were given up.
func (db *DB) ReplayFailedWebhookCalls(ctx context.Context, target int64, now time.Time) (n int, err error) {
	err = db.change(ctx, func(ctx context.Context, q Queryer) error {
		result, err := q.ExecContext(ctx, `UPDATE webhook_call SET given_up = 0, attempts = 0, due = $1 WHERE target_id = $2 AND given_up = 1`, now.UnixMicro(), target)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		n = int(changed)
		return err
	}, func() {})
	if err != nil {
		return 0, fmt.Errorf("replay webhook calls: %w", err)
	}
	return n, nil
}

// WebhookAttempts returns attempts, newest first.
func (db *DB) WebhookAttempts(ctx context.Context, q store.WebhookAttemptQuery) ([]store.WebhookAttempt, error) {
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, fmt.Errorf("read webhook attempts: a limit of %d is not within 1 to 1000", q.Limit)
	}
	if len(q.Targets) == 0 {
		return nil, nil
	}
	args := []any{int64(q.Event), q.Limit}
	var marks []string
	for _, t := range q.Targets {
		args = append(args, t)
		marks = append(marks, "$"+strconv.Itoa(len(args)))
	}
	rows, err := db.read.QueryContext(ctx, `SELECT target_id, at, event_id, kind, attempt, outcome, status, latency, error, answer FROM webhook_attempt
		WHERE target_id IN (`+strings.Join(marks, ", ")+`) AND (event_id = $1 OR $1 = 0) ORDER BY id DESC LIMIT $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("read webhook attempts: %w", err)
	}
	defer rows.Close()
	var list []store.WebhookAttempt
	for rows.Next() {
		var a store.WebhookAttempt
		var at, event, latency int64
		if err := rows.Scan(&a.Target, &at, &event, &a.Kind, &a.Attempt, &a.Outcome, &a.Status, &latency, &a.Error, &a.Answer); err != nil {
			return nil, fmt.Errorf("read webhook attempts: %w", err)
		}
		a.At, a.Event, a.Latency = time.UnixMicro(at).UTC(), mail.ID(event), time.Duration(latency)*time.Microsecond
		list = append(list, a)
	}
	return list, rows.Err()
}
