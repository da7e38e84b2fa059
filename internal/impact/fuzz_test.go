package impact

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// Whatever stands in a log, of whatever version of this program: it is read without
// harm, every message is counted once under each pair, and nothing required goes in plaintext.
func FuzzRead(f *testing.F) {
	for facts := range published() {
		for s := range sessions {
			raw, err := json.Marshal(evidence(facts, s, nil))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, "a@example.net")
			break
		}
	}
	f.Add([]byte(`{"mx-host":"a","result":"refused-sts-mx","attempts":[{"mx-host":"b","outcome":"plaintext-"},{"mx-host":"a","fallback":"plaintext"}]}`), "@")
	f.Fuzz(func(t *testing.T, raw []byte, rcpt string) {
		var d mail.TLSDetail
		if json.Unmarshal(raw, &d) != nil {
			return
		}
		b := newBook(1, func(nextHop string) Terms { return Terms{NextHop: nextHop, Now: time.Now()} })
		for i, kind := range []event.Type{event.Delivered, event.FailedTemporary, event.FailedPermanent} {
			b.add(&store.EventItem{Record: event.Record{
				Type: kind, Message: mail.ID(i + 1), Recipient: rcpt, Time: time.Now(),
				Data: event.Data{Status: &event.Status{AttemptNo: i + 1, TLSDetail: &d}},
			}})
		}
		rep := &Report{To: time.Now()}
		b.fill(rep, tlspolicy.Flags{})
		if _, err := json.Marshal(rep); err != nil {
			t.Fatal(err)
		}
		for _, p := range rep.Pairs {
			n := 0
			for d := range Delivery(deliveries) {
				n += p.share(d).Messages
			}
			if n != 3 || rep.Messages != 3 {
				t.Errorf("%d messages are shared out, %d counted, want 3", n, rep.Messages)
			}
			if p.RequireTLS && p.Plaintext.Messages > 0 {
				t.Error("plaintext although TLS is required")
			}
		}
	})
}
