package impact

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

var update = flag.Bool("update", false, "rewrite golden files")

// mixed is a month of mail to recipients of many kinds.
func mixed(w *world) {
	many := func(n int, rcpt string, d mail.TLSDetail) {
		for range n {
			w.send(rcpt, event.Delivered, d)
		}
	}
	with := func(d mail.TLSDetail, change func(*mail.TLSDetail)) mail.TLSDetail { change(&d); return d }
	many(2, "a@turned.example", at("mx.turned.example", verified()))
	many(1, "a@stale.example", at("mx.stale.example", expiredSession()))
	time.Sleep(3 * 24 * time.Hour)
	many(40, "a@good.example", until(at("mx.good.example", verified()), 60*24*time.Hour))
	many(20, "a@expiring.example", until(at("mx.expiring.example", verified()), 6*24*time.Hour))
	many(9, "a@plain.example", at("mx.plain.example", noTLS()))
	many(7, "a@selfsigned.example", with(at("mx.selfsigned.example", expiredSession()), func(d *mail.TLSDetail) { d.VerifyErrors = []string{"self-signed", "name-mismatch"} }))
	many(3, "a@broken.example", with(at("mx.broken.example", tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Failed}),
		func(d *mail.TLSDetail) { d.HandshakeError = "remote error: \x1b]0;owned\a tls: bad record" }))
	many(2, "a@turned.example", at("mx.turned.example", expiredSession()))
	many(4, "a@testing.example", evidence(tlspolicy.Facts{STS: tlspolicy.STSTesting}, verified(), nil))
	many(5, "a@dane.example", evidence(tlspolicy.Facts{TLSA: tlspolicy.TLSAUsable, MXSecure: true},
		tlspolicy.Session{StartTLS: tlspolicy.Started, Handshake: tlspolicy.Completed, Version: tlspolicy.TLS13, TLSA: tlspolicy.MatchEE}, nil))
	w.send("a@dead.example", event.FailedTemporary, unreachable("mx.dead.example"))
	w.accept("a@gone.example").ends(event.FailedPermanent, nil)
	own := at("mx.good.example", verified())
	own.RequireTLS = &mail.FlagDetail{Value: true, Source: "message"}
	many(1, "b@good.example", own)
	for i := range 12 {
		many(1, fmt.Sprintf("a@small%02d.example", i), at("mx.small.example", noTLS()))
	}
}

// The whole answer, for review. The command's test shows the same file to people.
func TestReportGolden(t *testing.T) {
	inWorld(t, func(w *world) {
		w.domain.TLS.RequireTLS = mail.True
		mixed(w)
		time.Sleep(2 * time.Hour)
		w.cfg.MaxRecipients = 22
		w.cfg.Prober = &fakeProber{looks: map[string]Look{}}
		got, err := json.MarshalIndent(w.answer(Question{Probe: true}), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "report.json")
		if *update {
			if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.TrimSpace(want), got) {
			t.Errorf("the answer differs from %s; if that is meant, run the test with -update and review the difference", path)
		}
		if bytes.Contains(got, []byte("null")) {
			t.Error("a list or a field is null")
		}
	})
}
