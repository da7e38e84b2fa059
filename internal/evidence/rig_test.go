package evidence

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

var someDay = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A rig is a real store with an evidence log beside it.
type rig struct {
	testing.TB
	dir string
	s   *sqlite.Store
	l   *Log
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return openRig(t, filepath.Join(t.TempDir(), "data"))
}

// openRig opens a rig in a folder.
func openRig(t testing.TB, dir string) *rig {
	t.Helper()
	rg := &rig{TB: t, dir: dir}
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: rg.dir, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	rg.s = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	rg.open()
	return rg
}

// folder is where the evidence lies.
func (rg *rig) folder() string { return filepath.Join(rg.dir, "evidence") }

// open opens the log, as a start does. The one before is left as a kill leaves it.
func (rg *rig) open() {
	rg.Helper()
	l, err := Open(rg.s, Options{Dir: rg.folder(), Hostname: "mx.example.com"})
	if err != nil {
		rg.Fatal(err)
	}
	rg.l = l
	rg.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop()
	})
}

// newMessage returns a message of a domain to some recipients, to be leased.
func newMessage(id mail.ID, domain int64, recipients ...mail.Address) *store.NewMessage {
	m := &store.NewMessage{
		ID: id, DomainID: domain, Leased: true,
		Envelope: mail.Envelope{ReversePath: mail.Address{Local: "b", Domain: "sender.example"}},
		Meta: event.Meta{Domain: fmt.Sprintf("d%d.example", domain), MessageID: id.String() + "@sender.example",
			Subject: "a secret subject"},
		Content: &store.Content{Size: 5, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil }},
		Events:  []event.Record{{Type: event.Accepted, DomainID: domain, Message: id}},
	}
	for _, a := range recipients {
		m.Rows = append(m.Rows, store.Row{Message: id, DomainID: domain, NextHop: a.Domain, Recipient: a, Due: someDay, Expires: someDay.AddDate(0, 0, 9)})
	}
	return m
}

// outcomeOf is what became of all rows of a message.
func outcomeOf(m *store.NewMessage, kind event.Type, reply string) store.Outcome {
	yes, host := true, "mx1.one.example"
	o := store.Outcome{Message: m.ID, DomainID: m.DomainID}
	for _, r := range m.Rows {
		o.Rows = append(o.Rows, store.RowOutcome{
			Row: r.ID, Lease: r.Lease, Final: kind != event.FailedTemporary, Due: someDay, Attempt: r.Attempt + 1,
			Event: &event.Record{Type: kind, Recipient: r.Recipient.String(), Data: event.Data{SendingIP: "192.0.2.1", Status: &event.Status{
				AttemptNo: r.Attempt + 1, Code: 250, Message: reply, TLS: &yes, CertificateVerified: &yes, MXHost: &host,
				TLSDetail: &mail.TLSDetail{MXHost: host, Result: "verified-pkix", Version: "TLS 1.3", Attempts: []mail.TLSDetail{{MXHost: "mx0.one.example", Outcome: "timeout"}}},
			}}},
		})
	}
	return o
}

// deliverTo delivers a message of a domain and returns the id of the event.
func deliverTo(ctx context.Context, s store.Store, domain int64) (mail.ID, error) {
	m := newMessage(s.NewID(), domain, mail.Address{Local: "a", Domain: "one.example"})
	if err := s.Accept(ctx, m); err != nil {
		return 0, err
	}
	o := outcomeOf(m, event.Delivered, "OK")
	_, err := s.Settle(ctx, o)
	return o.Rows[0].Event.ID, err
}

// accept takes a message of a domain to some recipients, leased.
func (rg *rig) accept(domain int64, recipients ...string) *store.NewMessage {
	rg.Helper()
	var to []mail.Address
	for _, r := range recipients {
		a, err := mail.ParseAddress(r)
		if err != nil {
			rg.Fatal(err)
		}
		to = append(to, a)
	}
	m := newMessage(rg.s.NewID(), domain, to...)
	if err := rg.s.Accept(rg.Context(), m); err != nil {
		rg.Fatal(err)
	}
	return m
}

// settle records the outcome of all of a message's rows and returns the events.
func (rg *rig) settle(m *store.NewMessage, kind event.Type, reply string) []mail.ID {
	rg.Helper()
	o := outcomeOf(m, kind, reply)
	lost, err := rg.s.Settle(rg.Context(), o)
	if err != nil || len(lost) > 0 {
		rg.Fatal(lost, err)
	}
	var ids []mail.ID
	for _, r := range o.Rows {
		ids = append(ids, r.Event.ID)
	}
	return ids
}

// deliver takes and delivers a message.
func (rg *rig) deliver(domain int64, recipients ...string) []mail.ID {
	rg.Helper()
	return rg.settle(rg.accept(domain, recipients...), event.Delivered, "OK")
}

// fill delivers n messages and returns the ids of their events.
func (rg *rig) fill(n int) (ids []mail.ID) {
	rg.Helper()
	for i := range n {
		ids = append(ids, rg.deliver(int64(i%2+1), fmt.Sprintf("r%d@one.example", i))...)
	}
	return ids
}

// export returns an export.
func (rg *rig) export(f proof.Filter) []byte {
	rg.Helper()
	var b bytes.Buffer
	if err := rg.l.Export(rg.Context(), &b, f); err != nil {
		rg.Fatal(err)
	}
	return b.Bytes()
}

// verify judges an export by the log's own key, and returns what it proves.
func (rg *rig) verify(export []byte) (proof.Report, []proof.Record) {
	rg.Helper()
	var records []proof.Record
	rep, err := proof.Verify(rg.Context(), bytes.NewReader(export), proof.Options{Keys: rg.l.Keys(), Each: func(r proof.Record, _ proof.Checkpoint) { records = append(records, r) }})
	if err != nil {
		rg.Fatal(err)
	}
	return rep, records
}

// proven is verify for exports that must hold.
func (rg *rig) proven(f proof.Filter) (proof.Report, []proof.Record) {
	rg.Helper()
	rep, records := rg.verify(rg.export(f))
	if !rep.OK() {
		rg.Fatalf("the export does not hold: %v", rep.Problems)
	}
	return rep, records
}

// holds checks that the whole log proves exactly these events, in their order.
func (rg *rig) holds(want []mail.ID) {
	rg.Helper()
	_, records := rg.proven(proof.Filter{})
	if got := ids(records); !slices.Equal(got, want) {
		rg.Fatalf("the log has the events %v, want %v", got, want)
	}
}

func ids(records []proof.Record) (list []mail.ID) {
	for _, r := range records {
		list = append(list, r.Event)
	}
	return list
}

// read returns a file of the log.
func (rg *rig) read(name string) []byte {
	rg.Helper()
	b, err := os.ReadFile(filepath.Join(rg.folder(), name))
	if err != nil {
		rg.Fatal(err)
	}
	return b
}

func (rg *rig) write(name string, b []byte) {
	rg.Helper()
	if err := os.WriteFile(filepath.Join(rg.folder(), name), b, 0o600); err != nil {
		rg.Fatal(err)
	}
}

func eventsOf(domain int64) store.EventQuery {
	return store.EventQuery{DomainID: domain, Ascending: true, Limit: 1000, Types: outcomes()}
}

// recordHash is the hash of a leaf, as an export shows it.
func recordHash(raw string) string { return tlog.RecordHash([]byte(raw)).String() }
