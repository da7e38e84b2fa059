package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// mailID returns an id of a day.
func mailID(day string) mail.ID {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err) // a mistake in the test
	}
	return mail.FirstID(t.Add(time.Hour)) + 1
}

func TestOperationsShareSyncs(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	accept(t, s, "x", false) // makes the day
	d := s.days[s.NewID().Day()]
	before := s.commits.Load()
	// The committer waits while the first operation is applied, so all others wait for
	// the next transaction.
	const n = 300
	entered, gate := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		d.w.do(context.Background(), &op{apply: func(*batch) error { close(entered); <-gate; return nil }})
	})
	<-entered
	var ops []*op
	for range n {
		o := &op{apply: func(*batch) error { return nil }}
		d.w.submit(context.Background(), o)
		ops = append(ops, o)
	}
	close(gate)
	for _, o := range ops {
		if err := o.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if got := s.commits.Load() - before; got != 2 {
		t.Errorf("%d operations took %d commits, want 2", n+1, got)
	}
}

func TestWithdrawnOperationIsNotDone(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	accept(t, s, "x", false)
	d := s.days[s.NewID().Day()]
	entered, gate := make(chan struct{}), make(chan struct{})
	first := &op{apply: func(*batch) error { close(entered); <-gate; return nil }}
	d.w.submit(context.Background(), first)
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	done := false
	second := &op{apply: func(*batch) error { done = true; return nil }}
	d.w.submit(ctx, second)
	cancel()
	wantError(t, second.wait(ctx), context.Canceled)
	close(gate)
	third := &op{apply: func(*batch) error { return nil }}
	d.w.submit(context.Background(), third)
	if err := third.wait(context.Background()); err != nil || first.wait(context.Background()) != nil {
		t.Error(err)
	}
	if done {
		t.Error("an operation was done after its caller was told it was not")
	}
}

// An event is invisible while one with a smaller id is under way in another file.
func TestReadersWaitForOlderCommits(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	old := newMessage(mailID("2026-11-22"), "x", someDay)
	if err := s.Accept(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	d := s.days["2026-11-22"]
	entered, gate := make(chan struct{}), make(chan struct{})
	slow := &op{apply: func(b *batch) error {
		e := old.Events[0]
		err := b.insertEvent(b.eventID(), &e, "{}")
		close(entered)
		<-gate
		return err
	}}
	d.w.submit(context.Background(), slow)
	<-entered
	accept(t, s, "fast", false)
	if n := countEvents(t, s); n != 1 {
		t.Errorf("%d events are seen while an older one is under way, want 1", n)
	}
	close(gate)
	if err := slow.wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := countEvents(t, s); n != 3 {
		t.Errorf("%d events are seen, want 3", n)
	}
}

// REL-27, REL-28: days follow the ids, whatever happens around midnight.
func TestDaysRollOver(t *testing.T) {
	dir := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)))
		s := openTest(t, Options{Dir: dir})
		late := newMessage(s.NewID(), "late", someDay)
		evening := accept(t, s, "evening", true)
		time.Sleep(2 * time.Minute)
		morning := accept(t, s, "morning", false)
		if err := s.Accept(t.Context(), late); err != nil { // its id is yesterday's
			t.Fatal(err)
		}
		settle(t, s, evening)
		for day, want := range map[string]int{"2026-11-23": 2, "2026-11-24": 1} {
			var n int
			if err := s.days[day].read.QueryRowContext(t.Context(), `SELECT count(*) FROM message`).Scan(&n); err != nil || n != want {
				t.Errorf("%s has %d messages, want %d (%v)", day, n, want, err)
			}
		}
		if evening.ID.Day() != "2026-11-23" || morning.ID.Day() != "2026-11-24" {
			t.Errorf("days %s and %s", evening.ID.Day(), morning.ID.Day())
		}
		p, err := s.Events(t.Context(), store.EventQuery{DomainID: testDomain, Limit: 10, Ascending: true})
		if err != nil || len(p.Items) != 4 || p.Items[1].Message != morning.ID || p.Items[2].Message != late.ID || p.Items[3].Message != evening.ID {
			t.Errorf("events %+v, %v", p.Items, err)
		}
		s.Close()
	})
}

func TestIdleDaysAreClosed(t *testing.T) {
	dir := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(someDay))
		s := openTest(t, Options{Dir: dir})
		done := accept(t, s, "x", true)
		settle(t, s, done)
		time.Sleep(24 * time.Hour)
		queued := accept(t, s, "x", false)
		if _, err := s.NextHops(t.Context()); err != nil { // sees that the first day is drained
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if d := s.days[done.ID.Day()]; d.read != nil || d.w != nil {
			t.Error("a day that nobody uses is open")
		}
		if d := s.days[queued.ID.Day()]; d.read == nil {
			t.Error("a day with mail in its queue was closed")
		}
		if _, err := readContent(s, done); err != nil {
			t.Errorf("a closed day does not open again: %v", err)
		}
		s.Close()
	})
}

func TestPruneRemovesFiles(t *testing.T) {
	dir := testDir(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(someDay))
		s := openTest(t, Options{Dir: dir})
		old := accept(t, s, strings.Repeat("x", inlineMax+1), true)
		retried := accept(t, s, "y", false)
		time.Sleep(24 * time.Hour)
		next := accept(t, s, strings.Repeat("z", inlineMax+1), true)
		settle(t, s, old)
		settle(t, s, next)
		prune := func() {
			midnight := time.Now().Truncate(24 * time.Hour)
			if err := s.Prune(t.Context(), store.Retention{Events: midnight, Content: midnight}); err != nil {
				t.Fatal(err)
			}
		}
		prune()
		if exists(s.bigPath(old.ID)) || !exists(s.bigPath(next.ID)) {
			t.Error("the wrong contents were dropped")
		}
		if !exists(filepath.Join(dir, "2026-11-23.db")) {
			t.Fatal("a day with mail in its queue is gone")
		}
		if n := countEvents(t, s); n != 5 {
			t.Errorf("%d events, want 5", n)
		}

		// The last row of the old day ends a day later. Its event keeps the file alive.
		time.Sleep(24 * time.Hour)
		l, err := s.Lease(t.Context(), store.LeaseRequest{NextHop: "one.example", Now: someDay, Limit: 10})
		if err != nil || len(l.Rows) != 1 {
			t.Fatal(l, err)
		}
		retried.Rows[0] = l.Rows[0]
		settle(t, s, retried)
		prune()
		if !exists(filepath.Join(dir, "2026-11-23.db")) {
			t.Fatal("a day with a recent event is gone")
		}
		if exists(filepath.Join(dir, "2026-11-24.db")) || exists(s.bigPath(next.ID)) {
			t.Error("a day that is over is still there")
		}
		time.Sleep(24 * time.Hour)
		prune()
		if names, err := dayNames(dir); err != nil || len(names) != 0 {
			t.Errorf("left are %v, %v", names, err)
		}
		s.Close()
		s = openTest(t, Options{Dir: dir})
		if len(s.Damages()) > 0 {
			t.Errorf("what was pruned counts as damage: %+v", s.Damages())
		}
		s.Close()
	})
}

// The log must not grow without end while mail never pauses.
func TestLogStartsAgain(t *testing.T) {
	dir := testDir(t)
	s := openTest(t, Options{Dir: dir})
	s.logPages = 200
	var wg sync.WaitGroup
	var day string
	noise := make([]byte, 60<<10)
	for i := range noise {
		noise[i] = byte(i * i >> 7)
	}
	for w := range 4 {
		wg.Go(func() {
			for i := range 60 {
				m := newMessage(s.NewID(), fmt.Sprintf("%d %d %s", w, i, noise), someDay)
				if err := s.Accept(t.Context(), m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	day = s.NewID().Day()
	wg.Wait()
	info, err := os.Stat(filepath.Join(dir, day+daySuffix+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	main, err := os.Stat(filepath.Join(dir, day+daySuffix))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("log %d KiB, file %d KiB", info.Size()>>10, main.Size()>>10)
	if info.Size() > 8<<20 {
		t.Errorf("the log has %d octets", info.Size())
	}
}

// Each query of events must be answered by its index.
func TestEventQueriesUseTheirIndex(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	m := accept(t, s, "x", false)
	d := s.days[m.ID.Day()]
	for name, q := range map[string]store.EventQuery{
		"domain": {}, "types": {Types: allTypes[2:4]}, "message": {Message: 1}, "Message-ID": {MessageID: "x"}, "recipient": {Recipient: "a@one.example"},
		"tags": {Tags: []string{"a", "b"}}, "tags and types": {Tags: []string{"a", "b"}, Types: allTypes[2:4]},
	} {
		for _, q.Ascending = range []bool{false, true} {
			var tags []int64
			for i := range q.Tags {
				tags = append(tags, int64(i+1))
			}
			query, args := eventSQL(q, tags)
			rows, err := d.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, append([]any{1, 2, 3, 4}, args...)...)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(detail, "SCAN") && !strings.HasPrefix(detail, "SCAN found") {
					t.Errorf("%s: %s", name, detail)
				}
				if (name == "domain" || name == "types" || len(tags) > 0) && strings.Contains(detail, "TEMP B-TREE") && parent != 0 {
					t.Errorf("%s: %s", name, detail)
				}
				t.Logf("%s: %d %d %s", name, id, parent, detail)
			}
			rows.Close()
		}
	}
}
