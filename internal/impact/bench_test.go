package impact

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// A generated log has events as a store returns them, decoded from JSON one by
// one, newest first: one in eight domains does not verify, one in eight has no TLS, and
// one message in ten was retried.
type generated struct {
	events, domains int
	perPage         time.Duration
}

func (g *generated) Events(_ context.Context, q store.EventQuery) (store.EventPage, error) {
	time.Sleep(g.perPage)
	start := 0
	newest := mail.FirstID(time.Now())
	if q.Before != 0 {
		start = int(newest - q.Before)
	}
	var p store.EventPage
	for i := start; i < g.events && len(p.Items) < q.Limit; i++ {
		p.Items = append(p.Items, g.event(newest, i))
		p.Cursor = newest - mail.ID(i) - 1
	}
	p.More = start+len(p.Items) < g.events
	return p, nil
}

func (g *generated) event(newest mail.ID, i int) store.EventItem {
	k := (i * 7919) % g.domains
	s := verified()
	switch k % 8 {
	case 1:
		s = expiredSession()
	case 2:
		s = noTLS()
	}
	d := evidence(tlspolicy.Facts{}, s, nil)
	d.MXHost = fmt.Sprintf("mx%d.recipient%d.example", i/g.domains%2, k)
	attempt := 1
	if i%10 == 0 {
		attempt = 2
	}
	raw, err := json.Marshal(event.Data{Status: &event.Status{AttemptNo: attempt, Code: 250, TLSDetail: &d}})
	if err != nil {
		panic(err)
	}
	item := store.EventItem{Record: event.Record{
		ID: newest - mail.ID(i) - 1, Time: time.Now().Add(-time.Duration(i) * time.Second), Type: event.Delivered,
		Message: mail.ID(i + 1), Recipient: fmt.Sprintf("someone@recipient%d.example", k),
	}}
	if err := json.Unmarshal(raw, &item.Data); err != nil {
		panic(err)
	}
	return item
}

// A million events to ten thousand recipient domains with two hosts each: what the
// book costs in time (apart from making the events) and in memory.
func BenchmarkBook(b *testing.B) {
	const domains = 10_000
	g := &generated{events: 1_000_000, domains: domains}
	newest := mail.FirstID(time.Now())
	terms := func(nextHop string) Terms { return Terms{NextHop: nextHop, Now: time.Now()} }
	var spent time.Duration
	var held uint64
	n := 0
	for b.Loop() {
		before := inUse()
		book := newBook(domains, terms)
		for i := 0; i < g.events; i += 1000 {
			page := make([]store.EventItem, 1000)
			for k := range page {
				page[k] = g.event(newest, i+k)
			}
			start := time.Now()
			for k := range page {
				book.add(&page[k])
			}
			spent += time.Since(start)
			n += len(page)
		}
		held = inUse() - before
		start := time.Now()
		rep := &Report{To: time.Now()}
		book.fill(rep, Pairs()[0])
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/answer")
		b.ReportMetric(float64(inUse()-before-held)/1e6, "MB/answer")
		if rep.Messages != g.events || len(rep.Recipients) != domains {
			b.Fatalf("%d messages, %d domains", rep.Messages, len(rep.Recipients))
		}
		runtime.KeepAlive(book)
	}
	b.ReportMetric(float64(n)/spent.Seconds(), "events/s")
	b.ReportMetric(float64(held)/1e6, "MB/book")
}

// The whole answer with events in the real store: reading them is most of it.
func BenchmarkAnswer(b *testing.B) {
	const events, domains = 50_000, 1000
	s, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	d := store.Domain{Name: "sender.example"}
	if err := s.CreateDomain(b.Context(), &d); err != nil {
		b.Fatal(err)
	}
	g := &generated{events: events, domains: domains}
	for i := 0; i < events; i += 100 {
		m := &store.NewMessage{
			ID: s.NewID(), DomainID: d.ID, Meta: event.Meta{Domain: d.Name, Subject: "News"},
			Envelope: mail.Envelope{ReversePath: mail.Address{Local: "a", Domain: d.Name}},
		}
		for k := range 100 {
			e := g.event(mail.ID(events), i+k).Record
			e.ID, e.Message, e.DomainID = 0, m.ID, d.ID
			e.Recipient = fmt.Sprintf("n%d.%s", i+k, e.Recipient)
			m.Events = append(m.Events, e)
		}
		if err := s.Accept(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	a := New(Config{Events: s})
	start := time.Now()
	n := 0
	for b.Loop() {
		rep, err := a.Answer(b.Context(), Question{Domain: d, Days: 30})
		if err != nil || rep.Messages != events || len(rep.Recipients) != domains {
			b.Fatalf("%d messages, %d domains, %v", rep.Messages, len(rep.Recipients), err)
		}
		n += rep.Scan.Events
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "events/s")
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
