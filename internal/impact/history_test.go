package impact

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// shares is a line of the table: verified, unverified, plaintext, not delivered, unknown.
func shares(p Pair) string {
	return fmt.Sprintf("%d %d %d %d %d", p.Verified.Messages, p.Unverified.Messages, p.Plaintext.Messages, p.NotDelivered.Messages, p.Unknown.Messages)
}

func (w *world) wantShares(rep *Report, want ...string) {
	w.t.Helper()
	for i, p := range rep.Pairs {
		if got := shares(p); got != want[i] {
			w.t.Errorf("require-tls=%t skip-verification=%t: %s, want %s", p.RequireTLS, p.SkipVerification, got, want[i])
		}
	}
}

// outlooks is a recipient's part of the table, a word each pair.
func outlooks(r Recipient) string {
	var words []string
	for _, o := range r.Outcomes {
		var parts []string
		for _, p := range o.Parts {
			parts = append(parts, fmt.Sprintf("%d %s %s", p.Messages, p.Delivery, p.why()))
		}
		words = append(words, strings.Join(parts, ", "))
	}
	return strings.Join(words, "; ")
}

func TestTrafficWeighs(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 6 {
			w.send("a@good.example", event.Delivered, at("mx.good.example", verified()))
		}
		for range 3 {
			w.send("a@bad.example", event.Delivered, after(at("mx.bad.example", expiredSession()), abandoned(at("mx.bad.example", expiredSession()))))
		}
		w.send("a@plain.example", event.Delivered, at("mx.plain.example", noTLS()))
		w.accept("a@none.example").ends(event.FailedPermanent, nil)
		rep := w.answer(Question{})
		w.wantShares(rep, "6 0 4 1 0", "6 3 1 1 0", "6 0 0 5 0", "6 3 0 2 0")
		if rep.Messages != 11 || !rep.Scan.Complete || rep.Scan.Events != 11 {
			t.Errorf("%d messages, scan %+v", rep.Messages, rep.Scan)
		}
		if p := rep.Pairs[0]; !p.Current || p.Verified.Percent != 54.5 || p.Verified.Domains != 1 || p.Plaintext.Domains != 2 {
			t.Errorf("%+v", p)
		}
		want := "[{not-delivered refused-verify-failed 3 1} {not-delivered no-mx-host 1 1} {not-delivered refused-not-offered 1 1}]"
		if got := fmt.Sprint(rep.Pairs[2].Reasons); got != want {
			t.Errorf("reasons %s, want %s", got, want)
		}
		if r := rep.Recipients[0]; r.Domain != "good.example" || r.Facts.From != "history" || r.Facts.AllHosts {
			t.Errorf("%+v", r)
		}
	})
}

// A message counts once to each recipient, by the last that is known of it.
func TestRetriesCountOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		refused := evidence(tlspolicy.Facts{Flags: Pairs()[2]}, expiredSession(), nil)
		refused.Outcome = refused.Result
		later := w.accept("late@a.example")
		for range 4 {
			later.ends(event.FailedTemporary, &refused)
			time.Sleep(time.Hour)
		}
		d := at("mx.example.net", verified())
		later.ends(event.Delivered, &d)
		waiting := w.accept("waiting@b.example")
		waiting.ends(event.FailedTemporary, &refused)
		waiting.ends(event.FailedTemporary, &refused)
		once := w.accept("once@b.example")
		once.ends(event.FailedTemporary, &refused)
		old := w.accept("old@c.example")
		old.ends(event.FailedTemporary, &refused)
		old.ends(event.FailedPermanent, &refused)
		rep := w.answer(Question{})
		if rep.Messages != 4 || rep.Scan.Events != 10 {
			t.Errorf("%d messages in %d events", rep.Messages, rep.Scan.Events)
		}
		w.wantShares(rep, "1 0 3 0 0", "1 3 0 0 0", "1 0 0 3 0", "1 3 0 0 0")
		if !rep.Recipients[0].Facts.AllHosts {
			t.Error("an attempt that gave up came to all hosts")
		}
	})
}

// The newest facts count for all messages of the window, and a host that stopped
// verifying is warned of.
func TestNewestFactsCount(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 9 {
			w.send("a@a.example", event.Delivered, at("mx.a.example", verified()))
			w.send("a@b.example", event.Delivered, at("mx.b.example", expiredSession()))
			time.Sleep(24 * time.Hour)
		}
		good := time.Now().Add(-24 * time.Hour)
		w.send("a@a.example", event.Delivered, at("mx.a.example", expiredSession()))
		w.send("a@b.example", event.Delivered, at("mx.b.example", verified()))
		bad := time.Now()
		time.Sleep(time.Hour)
		w.send("a@a.example", event.Delivered, at("mx.a.example", noTLS()))
		rep := w.answer(Question{})
		w.wantShares(rep, "10 0 11 0 0", "10 0 11 0 0", "10 0 0 11 0", "10 0 0 11 0")
		if len(rep.Warnings) != 1 {
			t.Fatalf("warnings %+v", rep.Warnings)
		}
		warning := rep.Warnings[0]
		if warning.Kind != StoppedVerifying || warning.MXHost != "mx.a.example" || !near(*warning.At, bad) || !near(*warning.VerifiedUntil, good) ||
			len(warning.Loses) != 4 || !warning.Current || warning.Undelivered || warning.Messages != 11 {
			t.Errorf("%+v", warning)
		}
		rep = w.answer(Question{Days: 1})
		w.wantShares(rep, "1 0 2 0 0", "1 0 2 0 0", "1 0 0 2 0", "1 0 0 2 0")
	})
}

func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }

// Where another host would take over, it does; where the attempt met one that did
// not answer, it is passed over for that message.
func TestOtherHostsTakeOver(t *testing.T) {
	preferred := func(d mail.TLSDetail, n int) mail.TLSDetail { d.MXPreference = &n; return d }
	inWorld(t, func(w *world) {
		w.send("a@backup.example", event.Delivered, at("mx1.backup.example", expiredSession()))
		w.send("b@backup.example", event.Delivered, after(at("mx2.backup.example", verified()), unreachable("mx1.backup.example")))
		w.send("a@equal.example", event.Delivered, preferred(at("mx1.equal.example", expiredSession()), 10))
		w.send("b@equal.example", event.Delivered, preferred(at("mx2.equal.example", verified()), 10))
		w.send("a@worse.example", event.Delivered, preferred(at("mx1.worse.example", expiredSession()), 10))
		w.send("b@worse.example", event.Delivered, after(preferred(at("mx2.worse.example", verified()), 20), preferred(unreachable("mx1.worse.example"), 10)))
		w.send("a@dead.example", event.FailedTemporary, after(unreachable("mx2.dead.example"), unreachable("mx1.dead.example")))
		rep := w.answer(Question{})
		want := map[string]string{
			"backup.example": "1 verified verified-pkix, 1 plaintext plaintext-verify-failed; 1 verified verified-pkix, 1 unverified unverified; 2 verified verified-pkix; 1 verified verified-pkix, 1 unverified unverified",
			// Of equals, the one that verifies is used before plaintext is.
			"equal.example": "2 verified verified-pkix; 1 verified verified-pkix, 1 unverified unverified; 2 verified verified-pkix; 1 verified verified-pkix, 1 unverified unverified",
			"worse.example": "1 verified verified-pkix, 1 plaintext plaintext-verify-failed; 1 verified verified-pkix, 1 unverified unverified; 2 verified verified-pkix; 1 verified verified-pkix, 1 unverified unverified",
			"dead.example":  "1 not-delivered unreachable; 1 not-delivered unreachable; 1 not-delivered unreachable; 1 not-delivered unreachable",
		}
		for _, r := range rep.Recipients {
			if got := outlooks(r); got != want[r.Domain] {
				t.Errorf("%s: %s\nwant %s", r.Domain, got, want[r.Domain])
			}
		}
		if len(rep.Suggestions) != 0 {
			t.Errorf("suggestions for what is delivered, or does not answer: %+v", rep.Suggestions)
		}
	})
}

// Hosts that were left for others long ago do not count any more, not even for the
// messages that went there.
func TestFormerHostsAreLeftOut(t *testing.T) {
	inWorld(t, func(w *world) {
		w.send("a@a.example", event.Delivered, at("mx.former.example", verified()))
		time.Sleep(10 * 24 * time.Hour)
		w.send("a@a.example", event.Delivered, at("mx.new.example", noTLS()))
		rep := w.answer(Question{})
		w.wantShares(rep, "0 0 2 0 0", "0 0 2 0 0", "0 0 0 2 0", "0 0 0 2 0")
		if hosts := rep.Recipients[0].Hosts; len(hosts) != 1 || hosts[0].MXHost != "mx.new.example" {
			t.Errorf("%+v", hosts)
		}
	})
}

// A bound that ends the reading is told, with what was covered.
func TestBoundsAreTold(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 10 {
			w.send("a@a.example", event.Delivered, at("mx.a.example", verified()))
			w.send(fmt.Sprintf("a@%d.example", i%4), event.Delivered, at("mx.example", noTLS()))
			time.Sleep(24 * time.Hour)
		}
		w.cfg.MaxEvents = 6
		rep := w.answer(Question{})
		if s := rep.Scan; s.Complete || s.CutBy != "events" || s.Events != 6 || !near(s.CoveredFrom, time.Now().Add(-3*24*time.Hour)) {
			t.Errorf("%+v, now %s", s, time.Now())
		}
	})
}

// Reading stops when its time is up, with what it has.
func TestTimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{Events: &generated{events: 100_000, domains: 100, perPage: time.Second}})
		rep, err := a.Answer(t.Context(), Question{Domain: store.Domain{ID: 1, Name: "sender.example"}, Days: 30})
		if err != nil || rep.Scan.CutBy != "time" || rep.Scan.Events != 21_000 || rep.Messages != 21_000 {
			t.Errorf("%+v, %v", rep.Scan, err)
		}
	})
}

// Memory is bounded: domains beyond it are summed up, by their own evidence.
func TestOthersAreSummedUp(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 20 {
			w.send(fmt.Sprintf("a@%d.example", i), event.Delivered, at("mx.example", []tlspolicy.Session{verified(), noTLS()}[i%2]))
		}
		w.accept("a@gone.example").ends(event.FailedPermanent, nil)
		all := w.answer(Question{})
		w.cfg.MaxRecipients = 5
		few := w.answer(Question{})
		if len(few.Recipients) != 5 || few.Others == nil || few.Others.Messages != 16 {
			t.Fatalf("%d recipients, others %+v", len(few.Recipients), few.Others)
		}
		for i := range all.Pairs {
			if a, b := shares(all.Pairs[i]), shares(few.Pairs[i]); a != b {
				t.Errorf("pair %d: %s apart, %s summed up", i, a, b)
			}
			for k := range all.Pairs[i].Reasons {
				if a, b := all.Pairs[i].Reasons[k], few.Pairs[i].Reasons[k]; a.Messages != b.Messages || a.Reason != b.Reason {
					t.Errorf("pair %d: %+v apart, %+v summed up", i, a, b)
				}
			}
		}
	})
}

func TestSettingsAndFlagsOfMessages(t *testing.T) {
	inWorld(t, func(w *world) {
		own := at("mx.a.example", expiredSession())
		own.RequireTLS = &mail.FlagDetail{Value: true, Source: "message"}
		w.send("a@a.example", event.Delivered, own)
		w.domain.Delivery.EncryptUnverified = true
		w.domain.TLS = mail.TLSFlags{RequireTLS: mail.True, SkipVerification: mail.True}
		rep := w.answer(Question{})
		w.wantShares(rep, "0 1 0 0 0", "0 1 0 0 0", "0 0 0 1 0", "0 1 0 0 0")
		if rep.OwnFlags != 1 || rep.Pairs[0].Current || !rep.Pairs[3].Current {
			t.Errorf("own flags %d, %+v", rep.OwnFlags, rep.Pairs)
		}
	})
}
