package sqlite

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// manyEvents stores a message with so many deliveries.
func manyEvents(t *testing.T, s *Store, n int) *store.NewMessage {
	t.Helper()
	m := newMessage(s.NewID(), "x", someDay)
	for range n {
		m.Events = append(m.Events, event.Record{Type: event.Delivered, DomainID: m.DomainID, Message: m.ID, Recipient: "ann@example.net"})
	}
	if err := s.Accept(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// A read whose time is over before it found anything says so. It never says that there is nothing.
func TestReadWithoutTimeIsSlow(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	m := manyEvents(t, s, 5)
	d, err := s.enterDay(t.Context(), m.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.leave()
	query, _ := eventSQL(store.EventQuery{DomainID: m.DomainID}, nil)
	items, more, err := d.readRows(t.Context(), -time.Second, 10, query, m.DomainID, int64(0), int64(d.end), 10)
	if !errors.Is(err, store.ErrSlow) || more || len(items) != 0 {
		t.Errorf("%d items, more %v, %v", len(items), more, err)
	}
}

// A read that ends early is gone on with behind what it found.
func TestMergeGoesOnBehindPartOfARead(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	m := manyEvents(t, s, 5)
	for _, ascending := range []bool{true, false} {
		q := store.EventQuery{DomainID: m.DomainID, Limit: 100, Ascending: ascending}
		all, err := s.Events(t.Context(), q)
		if err != nil || len(all.Items) != 6 {
			t.Fatalf("%d events, %v", len(all.Items), err)
		}
		parts := s.newMerge(bounds{ascending: ascending}, 100, func(ctx context.Context, d *day, lo, hi mail.ID, _ int) ([]store.EventItem, bool, error) {
			return d.readEvents(ctx, q, lo, hi, 2)
		})
		for i := range all.Items {
			item, ok, err := parts.peek(t.Context())
			if err != nil || !ok || item.ID != all.Items[i].ID {
				t.Fatalf("event %d is %v, want %v; %v, %v", i, item.ID, all.Items[i].ID, ok, err)
			}
			parts.pop()
		}
		if _, ok, err := parts.peek(t.Context()); ok || err != nil {
			t.Errorf("there is more: %v, %v", ok, err)
		}
		parts.close()
	}
}

// A search that names a message or a recipient is answered out of indexes.
func TestSearchPlans(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	m := manyEvents(t, s, 1)
	d, err := s.enterDay(t.Context(), m.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.leave()
	for name, c := range map[string]struct {
		q    store.EventQuery
		tags []int64
		want []string
		sort bool // what is found is put in order
	}{
		"all":                 {store.EventQuery{}, nil, []string{"SEARCH e USING COVERING INDEX event_domain (domain=? AND type=? AND rowid>? AND rowid<?)"}, false},
		"type":                {store.EventQuery{Types: []event.Type{event.Delivered}}, nil, []string{"SEARCH e USING COVERING INDEX event_domain (domain=? AND type=? AND rowid>? AND rowid<?)"}, false},
		"tags":                {store.EventQuery{}, []int64{1, 2}, []string{"SEARCH t USING PRIMARY KEY (tag=? AND type=? AND event>? AND event<?)", "SEARCH o EXISTS USING PRIMARY KEY (tag=? AND type=? AND event=?)"}, false},
		"message id":          {store.EventQuery{MessageID: "x"}, nil, []string{"SEARCH m USING COVERING INDEX message_mid (domain=? AND mid=? AND rowid<?)", "SEARCH e USING COVERING INDEX event_msg (msg=?)"}, true},
		"message id and type": {store.EventQuery{MessageID: "x", Types: []event.Type{event.Delivered}}, nil, []string{"SEARCH e USING COVERING INDEX event_msg (msg=? AND type=?"}, true},
		"recipient":           {store.EventQuery{Recipient: "a@b.example"}, nil, []string{"SEARCH r USING PRIMARY KEY (domain=? AND rcpt=? AND msg<?)", "SEARCH e USING INDEX event_msg (msg=?)"}, true},
	} {
		for _, ascending := range []bool{true, false} {
			c.q.Ascending = ascending
			query, args := eventSQL(c.q, c.tags)
			plan := explain(t, d, query, append([]any{m.DomainID, int64(0), int64(d.end), 300}, args...)...)
			for _, want := range c.want {
				if !strings.Contains(plan, want) {
					t.Errorf("%s: no %q in the plan:\n%s", name, want, plan)
				}
			}
			// SQLite does not see that the outer statement has its order from the inner one: one sort of a page.
			if sorts := strings.Count(plan, "USE TEMP B-TREE"); sorts > 1 && !c.sort {
				t.Errorf("%s: all that is found is sorted:\n%s", name, plan)
			}
		}
	}
}

func explain(t *testing.T, d *day, query string, args ...any) string {
	t.Helper()
	rows, err := d.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(step + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
