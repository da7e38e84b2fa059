package evidence

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A tape is an event log of a day that is as long as one asks: the benchmarks
// measure the evidence log, not SQLite.
type tape struct {
	n    int
	item store.EventItem
	base mail.ID
}

func newTape(n int) *tape {
	yes, host := true, "mx1.recipient.example"
	d := &mail.TLSDetail{MXHost: host, MXIP: "192.0.2.25", Requirement: "RV", RequirementSource: "sender", Result: "verified-pkix", StartTLS: "offered",
		Handshake: "completed", Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768", PostQuantum: true, Verification: "pkix",
		CertSHA256: fmt.Sprintf("%064x", 7), SPKISHA256: fmt.Sprintf("%064x", 8), CertIssuer: "CN=Some CA,O=Some Organisation", CertNames: []string{host, "mx2.recipient.example"}}
	return &tape{n: n, base: mail.FirstID(someDay), item: store.EventItem{
		Record: event.Record{Type: event.Delivered, Time: someDay, DomainID: 7, Message: mail.FirstID(someDay), Recipient: "someone@recipient.example",
			Data: event.Data{SendingIP: "192.0.2.10", Status: &event.Status{AttemptNo: 1, Code: 250, Message: "2.0.0 Ok: queued as 4F2a1b9c", TLS: &yes, CertificateVerified: &yes, MXHost: &host, TLSDetail: d}}},
		Meta: event.Meta{Domain: "example.com", MessageID: "20261123211013.0551fb31d2800000@example.com"},
	}}
}

func (t *tape) SetCursor(context.Context, string, mail.ID) error { return nil }

func (t *tape) Journal(_ context.Context, q store.JournalQuery) (store.JournalPage, error) {
	p := store.JournalPage{Cursor: q.After}
	next := 0
	if q.After >= t.base {
		next = int(q.After-t.base) + 1
	}
	for ; next < t.n && len(p.Items) < q.Limit; next++ {
		item := t.item
		item.ID = t.base + mail.ID(next)
		p.Items = append(p.Items, item)
		p.Cursor = item.ID
	}
	p.More = next < t.n
	return p, nil
}

func tapeLog(b *testing.B, n int) *Log {
	b.Helper()
	l, err := Open(newTape(n), Options{Dir: filepath.Join(b.TempDir(), "evidence"), Hostname: "mx.example.com"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.drop() })
	if err := l.catchUp(context.Background()); err != nil {
		b.Fatal(err)
	}
	return l
}

// BenchmarkAppend is the evidence log alone: encode, hash, write, and sign every 65,536.
func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	l := tapeLog(b, b.N)
	_, c, err := l.readCheckpoint(someDay.Format(time.DateOnly))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(c.Octets)/float64(b.N), "octets/record")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkFollow is the same behind a real store.
func BenchmarkFollow(b *testing.B) {
	rg := newRig(b)
	const recipients = 500
	var to []mail.Address
	for i := range recipients {
		to = append(to, mail.Address{Local: fmt.Sprintf("r%d", i), Domain: "one.example"})
	}
	for n := 0; n < b.N; n += recipients {
		m := newMessage(rg.s.NewID(), 7, to...)
		if err := rg.s.Accept(b.Context(), m); err != nil {
			b.Fatal(err)
		}
		rg.settle(m, event.Delivered, "OK")
	}
	b.ResetTimer()
	if err := rg.l.catchUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((b.N+recipients-1)/recipients*recipients)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkProof shows one delivery of a day of a million, by its event and by its
// Message-ID, which nobody else has; and verifies all of the day.
func BenchmarkProof(b *testing.B) {
	const n = 1_000_000
	l := tapeLog(b, n)
	day := someDay.Format(time.DateOnly)
	_, c, err := l.readCheckpoint(day)
	if err != nil || c.Size != n {
		b.Fatal(c, err)
	}
	b.Run("event", func(b *testing.B) {
		for b.Loop() {
			if err := l.Export(context.Background(), io.Discard, proof.Filter{Event: mail.FirstID(someDay) + n/2}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("recipient", func(b *testing.B) { // must take every record apart
		for b.Loop() {
			if err := l.Export(context.Background(), io.Discard, proof.Filter{Recipient: "nobody@recipient.example"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify a day", func(b *testing.B) {
		for b.Loop() {
			r, w := io.Pipe()
			go func() { w.CloseWithError(l.Export(context.Background(), w, proof.Filter{})) }()
			rep, err := proof.Verify(context.Background(), r, proof.Options{Keys: l.Keys()})
			if err != nil || !rep.OK() || rep.Records != n {
				b.Fatal(rep, err)
			}
		}
	})
	b.Run("resume", func(b *testing.B) {
		for b.Loop() {
			l.drop()
			if err := l.reopen(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
