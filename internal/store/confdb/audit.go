package confdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// maxAuditPage is how many entries one call returns at most.
const maxAuditPage = 1000

// note writes an entry in the transaction of the change that it is about. Who, why and
// the details come from the context.
func (db *DB) note(ctx context.Context, q Queryer, e store.AuditEntry) error {
	c := store.ChangeOf(ctx)
	if c.Reason == "" {
		c.Reason = e.Reason
	}
	before, err := encode(e.Before, len(e.Before))
	if err != nil {
		return err
	}
	after, err := encode(e.After, len(e.After))
	if err != nil {
		return err
	}
	details, err := encode(c.Details, len(c.Details))
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO audit (at, actor, action, kind, object, domain, before, after, reason, details)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		now().UnixMicro(), c.Actor, string(e.Action), string(e.Kind), e.Object, e.Domain, before, after, c.Reason, details)
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// NoteChange writes an entry in a transaction of its own.
func (db *DB) NoteChange(ctx context.Context, e store.AuditEntry) error {
	return db.change(ctx, func(ctx context.Context, q Queryer) error { return db.note(ctx, q, e) }, func() {})
}

// encode returns JSON, or the empty string for nothing.
func encode(v any, size int) (string, error) {
	if size == 0 {
		return "", nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode an entry of the audit log: %w", err)
	}
	return string(b), nil
}

// decode reads what encode wrote.
func decode(text string, into any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

// auditWhere returns the condition of a query with its arguments. A page
// begins where the last one ended, so that it is found by index.
func auditWhere(q store.AuditQuery) (string, []any) {
	var where []string
	var args []any
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, condition+" $"+strconv.Itoa(len(args)))
	}
	if q.Before != 0 {
		add("id <", q.Before)
	}
	if q.Domain != "" {
		add("domain =", q.Domain)
	}
	if q.Kind != "" {
		add("kind =", string(q.Kind))
	}
	if !q.Since.IsZero() {
		add("at >=", q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		add("at <", q.Until.UnixMicro())
	}
	if len(where) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(where, " AND "), args
}

// AuditLog returns entries, newest first, from the table.
func (db *DB) AuditLog(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	if q.Limit < 0 || q.Limit > maxAuditPage {
		return nil, fmt.Errorf("read the audit log: a limit of %d is not within 1 to %d", q.Limit, maxAuditPage)
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	where, args := auditWhere(q)
	rows, err := db.read.QueryContext(ctx, `SELECT id, at, actor, action, kind, object, domain, before, after, reason, details FROM audit
		`+where+` ORDER BY id DESC LIMIT `+strconv.Itoa(q.Limit), args...)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer rows.Close()
	var list []store.AuditEntry
	for rows.Next() {
		var e store.AuditEntry
		var at int64
		var action, kind, before, after, details string
		if err := rows.Scan(&e.ID, &at, &e.Actor, &action, &kind, &e.Object, &e.Domain, &before, &after, &e.Reason, &details); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		e.Time, e.Action, e.Kind = time.UnixMicro(at).UTC(), store.AuditAction(action), store.AuditKind(kind)
		if err := errors.Join(decode(before, &e.Before), decode(after, &e.After), decode(details, &e.Details)); err != nil {
			return nil, fmt.Errorf("read entry %d of the audit log: %w", e.ID, err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}
