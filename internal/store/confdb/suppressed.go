package confdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// suppressing remembers which domains suppress nobody, so that their mail is not looked up
// recipient by recipient. What is not remembered is asked of the table. The zero value remembers
// nothing.
type suppressing struct {
	mu      sync.Mutex
	any     map[int64]bool
	changes int64 // counts calls of forget: what was read before one must not be remembered after it
}

// known returns what is remembered of a domain, and the state to which an answer from the
// table belongs that is read from now on.
func (s *suppressing) known(domainID int64) (some, known bool, state int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	some, known = s.any[domainID]
	return some, known, s.changes
}

// remember keeps an answer of the table, unless a change came between.
func (s *suppressing) remember(domainID int64, some bool, state int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes != state {
		return
	}
	if s.any == nil {
		s.any = map[int64]bool{}
	}
	s.any[domainID] = some
}

// forget drops what is remembered of domains whose lists were changed. It is called after the
// change is on disk.
func (s *suppressing) forget(domainIDs []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range domainIDs {
		s.changes++
		delete(s.any, id)
	}
}

// Suppressed returns for each address the list because of which it gets no mail.
func (db *DB) Suppressed(ctx context.Context, domainID int64, to []mail.Address, tags []string) ([]store.SuppressionList, error) {
	some, err := db.suppresses(ctx, domainID)
	if err != nil || !some {
		return nil, err
	}
	places := make(map[string][]int, len(to))
	keys := make([]string, 0, len(to))
	for i, a := range to {
		k := a.Key()
		if places[k] == nil {
			keys = append(keys, k)
		}
		places[k] = append(places[k], i)
	}
	slices.Sort(keys)
	var found []store.SuppressionList
	for chunk := range slices.Chunk(keys, suppressionsTogether) {
		err := db.findSuppressed(ctx, domainID, chunk, func(key string, list store.SuppressionList, entryTags string) error {
			if list == store.Unsubscribes {
				if applies, err := wantsNone(entryTags, tags); err != nil || !applies {
					return err
				}
			}
			if found == nil {
				found = make([]store.SuppressionList, len(to))
			}
			for _, i := range places[key] {
				found[i] = graver(found[i], list)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for suppressed recipients: %w", err)
		}
	}
	return found, nil
}

// suppresses reports whether the domain has any entry that keeps mail back.
func (db *DB) suppresses(ctx context.Context, domainID int64) (bool, error) {
	some, known, state := db.suppressing.known(domainID)
	if known {
		return some, nil
	}
	var n int
	err := db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM suppression WHERE domain_id = $1 AND list IN (1, 2, 3))`, domainID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for suppressions of domain %d: %w", domainID, err)
	}
	db.suppressing.remember(domainID, n == 1, state)
	return n == 1, nil
}

// findSuppressed calls each for every entry of the three lists that has one of the keys.
func (db *DB) findSuppressed(ctx context.Context, domainID int64, keys []string, each func(key string, list store.SuppressionList, tags string) error) error {
	args := make([]any, 1, 1+len(keys))
	args[0] = domainID
	for _, k := range keys {
		args = append(args, k)
	}
	r, err := db.read.QueryContext(ctx, `SELECT key, list, tags FROM suppression WHERE domain_id = $1 AND list IN (1, 2, 3) AND key IN `+placeholders(2, len(keys)), args...)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		var key, tags string
		var list uint8
		if err := r.Scan(&key, &list, &tags); err != nil {
			return err
		}
		if err := each(key, store.SuppressionList(list), tags); err != nil {
			return err
		}
	}
	return r.Err()
}

// wantsNone reports whether who unsubscribed from the entry's tags gets no mail with the message's.
func wantsNone(entryTags string, tags []string) (bool, error) {
	from, err := decodeTags(entryTags)
	if err != nil {
		return false, err
	}
	for _, t := range from {
		if t == store.AllTags || slices.ContainsFunc(tags, func(tag string) bool { return strings.EqualFold(t, tag) }) {
			return true, nil
		}
	}
	return false, nil
}

// graver returns which of two lists is named when an address is on both.
func graver(a, b store.SuppressionList) store.SuppressionList {
	for _, l := range [...]store.SuppressionList{store.Bounces, store.Complaints, store.Unsubscribes} {
		if a == l || b == l {
			return l
		}
	}
	return store.NoList
}
