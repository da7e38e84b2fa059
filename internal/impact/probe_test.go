package impact

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// seen is a contact with a host that a probe had a session with.
func seen(d mail.TLSDetail, preference int) Contact {
	d.Result, d.Requirement, d.RequireTLS, d.SkipVerification = "", "", nil, nil // a probe has no message
	return Contact{MXHost: d.MXHost, Preference: preference, Detail: &d}
}

// Facts older than a day are looked at again; younger ones are not, and nothing is
// without being asked.
func TestProbesReplaceOldFacts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.send("a@old.example", event.Delivered, at("mx.old.example", verified()))
		w.send("a@moved.example", event.Delivered, at("mx.former.example", noTLS()))
		w.send("a@silent.example", event.Delivered, at("mx.silent.example", verified()))
		w.send("a@vanished.example", event.Delivered, at("mx.vanished.example", verified()))
		time.Sleep(25 * time.Hour)
		w.send("a@young.example", event.Delivered, at("mx.young.example", verified()))
		p := &fakeProber{looks: map[string]Look{
			"old.example":    {Contacts: []Contact{seen(at("mx.old.example", expiredSession()), 10)}},
			"moved.example":  {Contacts: []Contact{seen(at("mx1.new.example", expiredSession()), 10), seen(at("mx2.new.example", verified()), 10)}},
			"silent.example": {Contacts: []Contact{{MXHost: "mx.silent.example", Preference: 10, Problem: "connection refused"}}},
		}}
		w.cfg.Prober = p
		rep := w.answer(Question{})
		if len(p.asked) != 0 || rep.Probes != nil {
			t.Fatalf("probed %v without being asked", p.asked)
		}
		w.wantShares(rep, "4 0 1 0 0", "4 0 1 0 0", "4 0 0 1 0", "4 0 0 1 0")

		rep = w.answer(Question{Probe: true})
		slices.Sort(p.asked)
		if got := fmt.Sprint(p.asked); got != "[moved.example old.example silent.example vanished.example]" {
			t.Errorf("probed %s", got)
		}
		// Of two equals the first takes any certificate, where any will do.
		w.wantShares(rep, "4 0 1 0 0", "3 2 0 0 0", "4 0 0 1 0", "3 2 0 0 0")
		if *rep.Probes != (Probes{Wanted: 4, Made: 4}) {
			t.Errorf("%+v", rep.Probes)
		}
		want := map[string]Origin{
			"old.example":      {From: "probe", AllHosts: true},
			"moved.example":    {From: "probe", AllHosts: true},
			"silent.example":   {From: "history", Problem: "no MX host could be reached: connection refused"},
			"vanished.example": {From: "history", Problem: "no such domain"},
			"young.example":    {From: "history"},
		}
		for _, r := range rep.Recipients {
			o := r.Facts
			o.At = nil
			if o != want[r.Domain] {
				t.Errorf("%s: %+v, want %+v", r.Domain, o, want[r.Domain])
			}
		}
		if len(rep.Warnings) != 1 || rep.Warnings[0].Kind != StoppedVerifying || rep.Warnings[0].MXHost != "mx.old.example" {
			t.Errorf("%+v", rep.Warnings)
		}
	})
}

// A domain whose flags' effect is unknown is probed however young its facts are, and
// settings like TLSA records are taken from the probe.
func TestProbesAnswerWhatIsUnknown(t *testing.T) {
	inWorld(t, func(w *world) {
		ignored := at("mx.a.example", verified())
		ignored.TLSA = &mail.TLSADetail{State: "ignored", Mode: "ignore"}
		w.send("a@a.example", event.Delivered, ignored)
		w.wantShares(w.answer(Question{}), "0 0 0 0 1", "0 0 0 0 1", "0 0 0 0 1", "0 0 0 0 1")
		mismatch := evidence(tlspolicy.Facts{TLSA: tlspolicy.TLSAUsable}, verified(), nil)
		mismatch.MXHost = "mx.a.example"
		w.cfg.Prober = &fakeProber{looks: map[string]Look{"a.example": {Contacts: []Contact{seen(mismatch, 0)}}}}
		w.wantShares(w.answer(Question{Probe: true}), "0 0 0 1 0", "0 0 0 1 0", "0 0 0 1 0", "0 0 0 1 0")
	})
}

// However often it is asked, a host is looked at three times an hour at most, and a
// domain once; an answer costs fifty probes at most, those with most messages first.
func TestProbesAreLimited(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 5 {
			w.send(fmt.Sprintf("a@tenant%d.example", i), event.Delivered, at("mx.shared.example", verified()))
		}
		for i := range 60 {
			w.send(fmt.Sprintf("a@%d.example", i), event.Delivered, at(fmt.Sprintf("mx.%d.example", i), verified()))
			if i < 50 {
				w.send(fmt.Sprintf("b@%d.example", i), event.Delivered, at(fmt.Sprintf("mx.%d.example", i), verified()))
			}
		}
		time.Sleep(25 * time.Hour)
		p := &fakeProber{}
		w.cfg.Prober = p
		a := New(w.cfg)
		ask := func() Probes {
			rep, err := a.Answer(w.t.Context(), Question{Domain: w.domain, Days: 30, Probe: true})
			if err != nil {
				w.t.Fatal(err)
			}
			return *rep.Probes
		}
		if got := ask(); got != (Probes{Wanted: 65, Made: 50, Declined: 15}) {
			t.Errorf("%+v", got)
		}
		for _, domain := range p.asked {
			if slices.Contains([]string{"50.example", "59.example", "tenant0.example"}, domain) {
				t.Errorf("%s was probed before others with more messages", domain)
			}
		}
		if got := ask(); got != (Probes{Wanted: 65, Made: 13, Reused: 50, Declined: 2}) {
			t.Errorf("second time: %+v", got)
		}
		if got := ask(); got != (Probes{Wanted: 65, Reused: 63, Declined: 2}) {
			t.Errorf("third time: %+v", got)
		}
		time.Sleep(time.Hour)
		if got := ask(); got != (Probes{Wanted: 65, Made: 50, Declined: 15}) {
			t.Errorf("an hour later: %+v", got)
		}
	})
}

// A question that is given up gives up its place.
func TestAnswersWaitTheirTurn(t *testing.T) {
	inWorld(t, func(w *world) {
		a := New(w.cfg)
		for range answersAtATime {
			a.slots <- struct{}{}
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if _, err := a.Answer(ctx, Question{Domain: w.domain, Days: 1}); err != context.DeadlineExceeded {
			t.Errorf("error %v", err)
		}
		<-a.slots
		if _, err := a.Answer(w.t.Context(), Question{Domain: w.domain, Days: 1}); err != nil {
			t.Error(err)
		}
		for _, days := range []int{0, MaxDays + 1} {
			if _, err := a.Answer(w.t.Context(), Question{Domain: w.domain, Days: days}); err == nil {
				t.Errorf("%d days were taken", days)
			}
		}
	})
}
