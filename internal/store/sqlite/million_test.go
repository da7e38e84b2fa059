package sqlite

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// BenchmarkEventPages reads pages of 300 events where five million are stored, all of one
// day, which is the worst case: days that cannot add to a page are not opened. It reports the
// median and the 99th percentile of each kind of query. SEALPOST_BENCH_EVENTS sets another number of events;
// SEALPOST_BENCH_STORE names a folder where they are kept, and read again the next time.
func BenchmarkEventPages(b *testing.B) {
	total := 5_000_000
	if n, err := strconv.Atoi(os.Getenv("SEALPOST_BENCH_EVENTS")); err == nil {
		total = n
	}
	dir := os.Getenv("SEALPOST_BENCH_STORE")
	if dir == "" {
		dir = testDir(b)
	}
	s := openTest(b, Options{Dir: dir, MinFree: -1})
	first, last := ends(b, s)
	if first == 0 {
		start, before := time.Now(), cpuTime(b)
		first, last = fillEvents(b, s, total)
		b.Logf("stored %d events in %v, %v of CPU each", total, time.Since(start), (cpuTime(b)-before)/time.Duration(total))
	}
	middle := first + (last-first)/2
	bulk := tagged("bulk-email", "ghost-email")
	everything := []event.Type{event.Delivered, event.Opened, event.FailedTemporary, event.FailedPermanent, event.Unsubscribed, event.Complained}
	for _, c := range []struct {
		name string
		q    store.EventQuery
	}{
		{"newest", store.EventQuery{}},
		{"newest failures", store.EventQuery{Types: []event.Type{event.FailedTemporary, event.FailedPermanent}}},
		{"range, ascending", store.EventQuery{After: middle, Ascending: true}},
		{"range and type", store.EventQuery{After: middle, Before: middle + (last-first)/100, Ascending: true, Types: []event.Type{event.Delivered}}},
		{"rare type in a range", store.EventQuery{After: middle, Ascending: true, Types: []event.Type{event.Complained}}},
		{"recipient", store.EventQuery{Recipient: "u777@d77.example"}},
		{"recipient and type", store.EventQuery{Recipient: "u777@d77.example", Types: []event.Type{event.Delivered}}},
		{"recipient whom nobody wrote", store.EventQuery{Recipient: "nobody@d77.example"}},
		{"message id and type", store.EventQuery{MessageID: "batch-40@sender.example", Types: []event.Type{event.Delivered}}},
		{"filter without an index (subject)", store.EventQuery{Match: func(_ *event.Record, m *event.Meta) bool { return m.Subject != "none" }}},
		{"message id", store.EventQuery{MessageID: "batch-40@sender.example", Ascending: true}},
		{"tags that most have (Ghost)", store.EventQuery{After: middle, Ascending: true, Types: everything, Match: bulk, Tags: []string{"bulk-email", "ghost-email"}}},
		{"tag that one in 1,000 has", store.EventQuery{After: middle, Ascending: true, Match: tagged("rare"), Tags: []string{"rare"}}},
		{"tag that nobody has", store.EventQuery{After: middle, Ascending: true, Match: tagged("none"), Tags: []string{"none"}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.q.DomainID, c.q.Limit = testDomain, 300
			var took []time.Duration
			shown, before := 0, cpuTime(b)
			for b.Loop() {
				start := time.Now()
				p, err := s.Events(context.Background(), c.q)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
				shown = len(p.Items)
			}
			// On a machine that does other things too, this is what can be compared.
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(len(took)), "cpu-ms/page")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(shown), "events")
		})
	}
}

// ends returns the ids of the oldest and the newest event, which are zero in an empty store.
func ends(b *testing.B, s *Store) (first, last mail.ID) {
	for _, ascending := range []bool{true, false} {
		p, err := s.Events(context.Background(), store.EventQuery{DomainID: testDomain, Limit: 1, Ascending: ascending})
		if err != nil {
			b.Fatal(err)
		}
		for i := range p.Items {
			if ascending {
				first = p.Items[i].ID
			} else {
				last = p.Items[i].ID
			}
		}
	}
	return first, last
}

// cpuTime is the user and system time of this process.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func tagged(tags ...string) func(*event.Record, *event.Meta) bool {
	return func(_ *event.Record, m *event.Meta) bool {
		for _, t := range tags {
			if !slices.Contains(m.Tags, t) {
				return false
			}
		}
		return true
	}
}

// fillEvents stores events as newsletters make them: batches of 1,000 copies with one Message-ID to
// 50,000 people in turn, five events a copy. It returns the ids of the first and last events.
func fillEvents(b *testing.B, s *Store, total int) (first, last mail.ID) {
	b.Helper()
	const copies, each = 1000, 5
	types := []event.Type{event.Accepted, event.Delivered, event.Opened, event.Opened, event.Clicked}
	for batch := range total / copies / each {
		all := make([]*store.NewMessage, copies)
		base := s.NewIDs(copies)
		for i := range all {
			m := newMessage(base+mail.ID(i), "x", someDay)
			recipient := fmt.Sprintf("u%d@d%d.example", batch%50*copies+i, i%100)
			m.Rows, m.Content, m.Events = nil, nil, nil
			m.Meta.MessageID, m.Meta.Recipients, m.Meta.To = fmt.Sprintf("batch-%d@sender.example", batch), []string{recipient}, recipient
			m.Meta.Tags = []string{"bulk-email", "ghost-email", "post-" + strconv.Itoa(batch/10)}
			if i == 500 {
				m.Meta.Tags = append(m.Meta.Tags, "rare")
			}
			m.Meta.Variables = map[string]string{"email-id": strings.Repeat("0123456789abcdef", 2)}
			for n, t := range types {
				switch {
				case n == 1 && i%50 == 0:
					t = event.FailedPermanent
				case n == 4 && i%500 == 0:
					t = event.Complained
				}
				m.Events = append(m.Events, event.Record{Type: t, DomainID: testDomain, Message: m.ID, Recipient: recipient,
					Data: event.Data{Status: &event.Status{Code: 250, Message: "2.0.0 OK queued as 1234567890", AttemptNo: 1}}})
			}
			all[i] = m
		}
		if err := s.AcceptAll(context.Background(), all); err != nil {
			b.Fatal(err)
		}
		if batch == 0 {
			first = all[0].Events[0].ID
		}
		last = all[copies-1].Events[each-1].ID
	}
	return first, last
}
