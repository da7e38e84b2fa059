package confdb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

var _ store.Suppressions = (*DB)(nil)

const (
	// suppressionsTogether is how many entries one statement writes or finds.
	suppressionsTogether = 100
	// clearTogether is how many entries one transaction removes: some 10 ms for the writer.
	clearTogether = 5000
	// lastRune is above everything that can follow a prefix.
	lastRune = "\U0010FFFF"
)

const suppressionColumns = `value, code, text, tags, created_at`

// PutSuppressions adds entries to a list in one transaction.
func (db *DB) PutSuppressions(ctx context.Context, domainID int64, list store.SuppressionList, entries []store.Suppression) error {
	err := db.changeSuppressions(ctx, func(ctx context.Context, q Queryer) ([]int64, error) {
		if !db.hasDomain(domainID) {
			return nil, store.ErrNotFound
		}
		return []int64{domainID}, putSuppressions(ctx, q, domainID, list, entries)
	})
	if err != nil {
		return fmt.Errorf("add to the %s of domain %d: %w", list, domainID, err)
	}
	return nil
}

// changeSuppressions is change for what adds or removes entries. f returns the domains
// of which it did.
func (db *DB) changeSuppressions(ctx context.Context, f func(ctx context.Context, q Queryer) ([]int64, error)) error {
	var touched []int64
	return db.change(ctx, func(ctx context.Context, q Queryer) (err error) {
		touched, err = f(ctx, q)
		return err
	}, func() { db.suppressing.forget(touched) })
}

// hasDomain reports whether the domain exists. Within a change it stays so until its end.
func (db *DB) hasDomain(id int64) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.domains[id] != nil
}

// putSuppressions writes entries, sorted and each key once: so that neighbours in the table
// are written together, and no statement meets a row twice.
func putSuppressions(ctx context.Context, q Queryer, domainID int64, list store.SuppressionList, entries []store.Suppression) error {
	if len(entries) > store.MaxSuppressions {
		return fmt.Errorf("%d entries at once, more than %d", len(entries), store.MaxSuppressions)
	}
	byKey := make(map[string]store.Suppression, len(entries))
	for _, e := range entries {
		if old, ok := byKey[e.Key()]; ok {
			e.Tags = mergeTags(old.Tags, e.Tags)
		}
		byKey[e.Key()] = e
	}
	keys := make([]string, 0, len(byKey))
	for k := range byKey {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for chunk := range slices.Chunk(keys, suppressionsTogether) {
		if list == store.Unsubscribes {
			old, err := storedTags(ctx, q, domainID, chunk)
			if err != nil {
				return err
			}
			for k, tags := range old {
				e := byKey[k]
				e.Tags = mergeTags(tags, e.Tags)
				byKey[k] = e
			}
		}
		if err := insertSuppressions(ctx, q, domainID, list, chunk, byKey); err != nil {
			return err
		}
	}
	return nil
}

func insertSuppressions(ctx context.Context, q Queryer, domainID int64, list store.SuppressionList, keys []string, byKey map[string]store.Suppression) error {
	const columns = 8
	args := make([]any, 0, columns*len(keys))
	for _, k := range keys {
		e := byKey[k]
		tags := ""
		if list == store.Unsubscribes {
			b, err := json.Marshal(e.Tags)
			if err != nil {
				return fmt.Errorf("encode tags: %w", err)
			}
			tags = string(b)
		}
		args = append(args, domainID, int64(list), k, e.Value, e.Code, e.Text, tags, e.Created.UnixMicro())
	}
	_, err := q.ExecContext(ctx, `INSERT INTO suppression (domain_id, list, key, `+suppressionColumns+`) VALUES `+rows(len(keys), columns)+`
		ON CONFLICT (domain_id, list, key) DO UPDATE SET value = excluded.value, code = excluded.code, text = excluded.text,
		tags = excluded.tags, created_at = excluded.created_at`, args...)
	return err
}

// rows returns the placeholders of a VALUES clause: ($1, $2), ($3, $4).
func rows(n, columns int) string {
	var b strings.Builder
	for i := range n * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteByte(')')
	return b.String()
}

// storedTags returns the tags of those unsubscribes that are there.
func storedTags(ctx context.Context, q Queryer, domainID int64, keys []string) (map[string][]string, error) {
	args := []any{domainID, int64(store.Unsubscribes)}
	for _, k := range keys {
		args = append(args, k)
	}
	r, err := q.QueryContext(ctx, `SELECT key, tags FROM suppression WHERE domain_id = $1 AND list = $2 AND key IN `+placeholders(3, len(keys)), args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	found := map[string][]string{}
	for r.Next() {
		var key, text string
		if err := r.Scan(&key, &text); err != nil {
			return nil, err
		}
		tags, err := decodeTags(text)
		if err != nil {
			return nil, err
		}
		found[key] = tags
	}
	return found, r.Err()
}

// placeholders returns ($first, …), n of them.
func placeholders(first, n int) string {
	var b strings.Builder
	b.WriteByte('(')
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	b.WriteByte(')')
	return b.String()
}

func decodeTags(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var tags []string
	if err := json.Unmarshal([]byte(text), &tags); err != nil {
		return nil, fmt.Errorf("tags of a suppression: %w", err)
	}
	return tags, nil
}

// mergeTags returns the tags of both, each once in whatever letter case. See [store.ManyTags].
func mergeTags(old, more []string) []string {
	known := make(map[string]bool, len(old)+len(more))
	var all []string
	for _, t := range slices.Concat(old, more) {
		if k := strings.ToLower(t); !known[k] {
			known[k] = true
			all = append(all, t)
		}
	}
	if len(all) > store.ManyTags {
		return []string{store.AllTags}
	}
	return all
}

// Suppression returns one entry.
func (db *DB) Suppression(ctx context.Context, domainID int64, list store.SuppressionList, value string) (store.Suppression, error) {
	found, err := db.readSuppressions(ctx, `SELECT `+suppressionColumns+` FROM suppression WHERE domain_id = $1 AND list = $2 AND key = $3`,
		domainID, int64(list), store.SuppressionKey(value))
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Suppression{}, fmt.Errorf("read from the %s of domain %d: %w", list, domainID, err)
	}
	return found[0], nil
}

// ListSuppressions returns a page of a list.
func (db *DB) ListSuppressions(ctx context.Context, q store.SuppressionQuery) ([]store.Suppression, error) {
	after, before := store.SuppressionKey(q.After), cmp.Or(store.SuppressionKey(q.Before), lastRune)
	lowest, order := store.SuppressionKey(q.Prefix), ""
	if q.FromEnd {
		order = " DESC"
	}
	list, err := db.readSuppressions(ctx, `SELECT `+suppressionColumns+` FROM suppression WHERE domain_id = $1 AND list = $2
		AND key > $3 AND key < $4 AND key >= $5 ORDER BY key`+order+` LIMIT $6`,
		q.DomainID, int64(q.List), after, min(before, lowest+lastRune), lowest, min(max(q.Limit, 1), 1000))
	if err != nil {
		return nil, fmt.Errorf("read the %s of domain %d: %w", q.List, q.DomainID, err)
	}
	if q.FromEnd {
		slices.Reverse(list)
	}
	return list, nil
}

func (db *DB) readSuppressions(ctx context.Context, query string, args ...any) ([]store.Suppression, error) {
	r, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var list []store.Suppression
	for r.Next() {
		var s store.Suppression
		var tags string
		var created int64
		if err := r.Scan(&s.Value, &s.Code, &s.Text, &tags, &created); err != nil {
			return nil, err
		}
		if s.Tags, err = decodeTags(tags); err != nil {
			return nil, err
		}
		s.Created = time.UnixMicro(created).UTC()
		list = append(list, s)
	}
	return list, r.Err()
}

// DeleteSuppression removes an entry, or one tag of it.
func (db *DB) DeleteSuppression(ctx context.Context, domainID int64, list store.SuppressionList, value, tag string) error {
	key := store.SuppressionKey(value)
	err := db.changeSuppressions(ctx, func(ctx context.Context, q Queryer) ([]int64, error) {
		if tag != "" && list == store.Unsubscribes {
			if last, err := deleteTag(ctx, q, domainID, key, tag); err != nil || !last {
				return nil, err
			}
		}
		res, err := q.ExecContext(ctx, `DELETE FROM suppression WHERE domain_id = $1 AND list = $2 AND key = $3`, domainID, int64(list), key)
		if err != nil {
			return nil, err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return []int64{domainID}, err
	})
	if err != nil {
		return fmt.Errorf("remove from the %s of domain %d: %w", list, domainID, err)
	}
	return nil
}

// deleteTag removes a tag. Last says that it is the only one, and was left.
func deleteTag(ctx context.Context, q Queryer, domainID int64, key, tag string) (last bool, err error) {
	stored, err := storedTags(ctx, q, domainID, []string{key})
	if err != nil {
		return false, err
	}
	tags := stored[key]
	rest := slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return strings.EqualFold(t, tag) })
	switch len(rest) {
	case len(tags):
		return false, store.ErrNotFound
	case 0:
		return true, nil
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return false, fmt.Errorf("encode tags: %w", err)
	}
	_, err = q.ExecContext(ctx, `UPDATE suppression SET tags = $1 WHERE domain_id = $2 AND list = $3 AND key = $4`,
		string(text), domainID, int64(store.Unsubscribes), key)
	return false, err
}

// ClearSuppressions removes all entries of a list, up to the one that is the last now.
func (db *DB) ClearSuppressions(ctx context.Context, domainID int64, list store.SuppressionList) error {
	end, err := db.ListSuppressions(ctx, store.SuppressionQuery{DomainID: domainID, List: list, FromEnd: true, Limit: 1})
	for more := err == nil && len(end) > 0; more && err == nil; {
		err = db.changeSuppressions(ctx, func(ctx context.Context, q Queryer) (_ []int64, err error) {
			more, err = clearSome(ctx, q, domainID, list, end[0].Key())
			return []int64{domainID}, err
		})
	}
	if err != nil {
		return fmt.Errorf("clear the %s of domain %d: %w", list, domainID, err)
	}
	return nil
}

// clearSome removes the first entries of a list, none after last. More says that some may be left.
func clearSome(ctx context.Context, q Queryer, domainID int64, list store.SuppressionList, last string) (more bool, err error) {
	res, err := q.ExecContext(ctx, `DELETE FROM suppression WHERE domain_id = $1 AND list = $2 AND key <= $3 AND key IN
		(SELECT key FROM suppression WHERE domain_id = $1 AND list = $2 AND key <= $3 ORDER BY key LIMIT $4)`,
		domainID, int64(list), last, clearTogether)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == clearTogether, err
}

// clearDomain removes all lists of a domain that does not exist any more.
func (db *DB) clearDomain(ctx context.Context, domainID int64) error {
	var errs []error
	for list := store.Bounces; list <= store.Allowlist; list++ {
		errs = append(errs, db.ClearSuppressions(ctx, domainID, list))
	}
	return errors.Join(errs...)
}

// clearOrphans removes the lists of domains whose deletion was cut short.
func (db *DB) clearOrphans(ctx context.Context) error {
	for after := int64(0); ; {
		var next int64
		err := db.read.QueryRowContext(ctx, `SELECT COALESCE(MIN(domain_id), 0) FROM suppression WHERE domain_id > $1`, after).Scan(&next)
		if err != nil {
			return fmt.Errorf("read suppressions: %w", err)
		}
		if next == 0 {
			return nil
		}
		if !db.hasDomain(next) {
			if err := db.clearDomain(ctx, next); err != nil {
				return err
			}
		}
		after = next
	}
}

// PutBounces adds what a follower of the event log found, and keeps its position.
func (db *DB) PutBounces(ctx context.Context, bounces []store.Bounce, follower string, upTo mail.ID) (int, error) {
	added := 0
	err := db.changeSuppressions(ctx, func(ctx context.Context, q Queryer) ([]int64, error) {
		added = 0
		byDomain := map[int64][]store.Suppression{}
		var domains []int64
		for _, b := range bounces {
			if !db.hasDomain(b.DomainID) {
				continue
			}
			allowed, err := isAllowed(ctx, q, b.DomainID, b.Address)
			if err != nil {
				return nil, err
			}
			if allowed {
				continue
			}
			if byDomain[b.DomainID] == nil {
				domains = append(domains, b.DomainID)
			}
			byDomain[b.DomainID] = append(byDomain[b.DomainID], b.Suppression)
			added++
		}
		for _, id := range domains {
			if err := putSuppressions(ctx, q, id, store.Bounces, byDomain[id]); err != nil {
				return nil, err
			}
		}
		return domains, setCursor(ctx, q, follower, upTo)
	})
	if err != nil {
		return 0, fmt.Errorf("add bounces: %w", err)
	}
	return added, nil
}

// isAllowed reports whether the allowlist has the address or its domain.
func isAllowed(ctx context.Context, q Queryer, domainID int64, a mail.Address) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM suppression WHERE domain_id = $1 AND list = $2 AND key IN ($3, $4)`,
		domainID, int64(store.Allowlist), a.Key(), a.Domain).Scan(&n)
	return n > 0, err
}
