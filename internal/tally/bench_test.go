package tally_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

// mixed returns a page as busy servers have them: 20 sending domains, 3 tags each, half of the
// recipients at 3 providers and the rest all over.
func mixed(n int, base time.Time) []store.EventItem {
	rnd := rand.New(rand.NewPCG(1, uint64(base.Unix())))
	items := make([]store.EventItem, n)
	for i := range items {
		d := rnd.Int64N(20) + 1
		rcpt := fmt.Sprintf("u%d@%s", rnd.IntN(1e6), []string{"gmail.com", "outlook.com", "web.de", fmt.Sprintf("d%d.example", rnd.IntN(2000))}[min(rnd.IntN(6), 3)])
		typ := []event.Type{event.Accepted, event.Delivered, event.Opened, event.Clicked, event.FailedTemporary}[[]int{0, 0, 0, 1, 1, 1, 2, 2, 3, 4}[rnd.IntN(10)]]
		r := newEvent(d, mail.ID(rnd.Int64N(1e9)+1), rcpt, typ)
		r.Time = base
		items[i] = store.EventItem{Record: r, Meta: event.Meta{Tags: []string{"newsletter", fmt.Sprint("issue-", d), fmt.Sprint("segment-", rnd.IntN(10))}}}
	}
	return items
}

// cpu returns the seconds that this process has computed. Unlike the time on the wall it means
// something while others use the machine.
func cpu() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// How many events a second are counted and stored: the cost of counting without that of reading
// the log, which is shared by all followers.
func BenchmarkCount(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "data"))
	base := time.Now()
	pages := make([][]store.EventItem, 20)
	for i := range pages {
		pages[i] = mixed(1000, base.Add(time.Duration(i)*time.Second))
	}
	b.ReportAllocs()
	for i, page := range pages { // a server that has seen these names before
		if err := s.AddCounts(b.Context(), tally.Tally(page, mail.ID(i))); err != nil {
			b.Fatal(err)
		}
	}
	n, began := 0, cpu()
	for b.Loop() {
		page := pages[n%len(pages)]
		n++
		if err := s.AddCounts(b.Context(), tally.Tally(page, mail.ID(n))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*1000/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((cpu()-began)/float64(n)/1000*1e6, "cpu-µs/event")
}

// The same for what is typical of a newsletter: one domain, one tag more than the text needs.
func BenchmarkCountNewsletter(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "data"))
	items := mixed(1000, time.Now())
	for i := range items {
		items[i].DomainID, items[i].Meta.Tags = 1, []string{"bulk-email", "ghost-email"}
	}
	n, began := 0, cpu()
	for b.Loop() {
		n++
		if err := s.AddCounts(b.Context(), tally.Tally(items, mail.ID(n))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*1000/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((cpu()-began)/float64(n)/1000*1e6, "cpu-µs/event")
}

// How long a question takes: 30 days by hour, of one domain, with 100 tags in it.
func BenchmarkRows(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "data"))
	now := time.Now()
	for h := range 30 * 24 {
		items := mixed(50, now.Add(-time.Duration(h)*time.Hour))
		for i := range items {
			items[i].DomainID, items[i].Meta.Tags = 1, []string{fmt.Sprint("t", i%100)}
		}
		if err := s.AddCounts(b.Context(), tally.Tally(items, 1)); err != nil {
			b.Fatal(err)
		}
	}
	book := tally.NewBook(s)
	for _, c := range []struct {
		name string
		dims []tally.Dimension
	}{{"time", []tally.Dimension{tally.Time}}, {"tag", []tally.Dimension{tally.Tag}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				q := tally.Query{Domains: []store.Domain{{ID: 1}}, Dimensions: c.dims, Window: tally.Window{Start: now.AddDate(0, 0, -30), End: now, Resolution: tally.Hour}}
				if _, err := book.Rows(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
