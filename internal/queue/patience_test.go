package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

func policyFailure() mail.RecipientResult {
	return mail.RecipientResult{Scope: mail.ScopePolicy, Reason: "generic", Session: refusedTLS,
		Reply: mail.LocalReply(450, "4.7.10", "TLS is required, but the server does not offer STARTTLS")}
}

// require-tls-give-up-after: what it ends, when, and what it leaves alone.
func TestGiveUpAfter(t *testing.T) {
	with := func(change func(*mail.RecipientResult)) mail.RecipientResult {
		r := policyFailure()
		change(&r)
		return r
	}
	for _, c := range []struct {
		name    string
		after   time.Duration
		age     time.Duration // of the message at the end of the attempt
		res     mail.RecipientResult
		doubted bool
		final   bool
		reason  string
	}{
		{"not set", 0, 7 * time.Hour, policyFailure(), false, false, "generic"},
		{"within patience", 5 * time.Minute, 5*time.Minute - 1, policyFailure(), false, false, "generic"},
		{"at its end", 5 * time.Minute, 5 * time.Minute, policyFailure(), false, true, "generic"},
		{"long after it", 5 * time.Minute, 7 * time.Hour, policyFailure(), false, true, "generic"},
		{"at the first failure", -1, time.Millisecond, policyFailure(), false, true, "generic"},
		{"the clock is in doubt", 5 * time.Minute, time.Hour, policyFailure(), true, false, "generic"},
		{"the first failure needs no clock", -1, time.Hour, policyFailure(), true, true, "generic"},
		{"another failure is not concerned", -1, time.Hour, with(func(r *mail.RecipientResult) { r.Scope = mail.ScopeHost }), false, false, "generic"},
		{"nor one of the recipient", 5 * time.Minute, time.Hour, with(func(r *mail.RecipientResult) { r.Scope = mail.ScopeRecipient }), false, false, "generic"},
		{"nor trouble of our own", -1, time.Hour, with(func(r *mail.RecipientResult) { r.Scope = mail.ScopeSelf }), false, false, ""},
		{"delivered is delivered", -1, time.Hour, with(func(r *mail.RecipientResult) {
			r.Outcome, r.Reply = mail.Delivered, mail.Reply{Code: 250}
		}), false, true, ""},
		{"too old is too old", 5 * time.Minute, DefaultLifetime + 1, policyFailure(), false, true, "old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := testJob(1)
			j.Settings.GiveUpAfter = c.after
			at := accepted.Add(c.age)
			row := Settle(j, report(at, c.res), Schedule{ClockDoubted: c.doubted}, at).Rows[0]
			if row.Final != c.final {
				t.Fatalf("final %v, want %v", row.Final, c.final)
			}
			if row.Event != nil && row.Event.Data.Reason != c.reason {
				t.Errorf("reason %q, want %q", row.Event.Data.Reason, c.reason)
			}
		})
	}
}

// The last event says why TLS was not to be had, that it was given up on our side,
// and under which setting; and nothing in it blames the address.
func TestGiveUpTellsTheTLSReason(t *testing.T) {
	for _, c := range []struct {
		after             time.Duration
		enhanced          string
		want, description string
	}{
		{5 * time.Minute, "4.7.10", "5.7.10", "given up 5m0s after acceptance (require-tls-give-up-after)"},
		{-1, "4.7.5", "5.7.5", "given up at the first failure (require-tls-give-up-after)"},
		{-1, "", "5.7.0", "given up at the first failure (require-tls-give-up-after)"},
	} {
		j := testJob(2)
		j.Settings.GiveUpAfter = c.after
		res := policyFailure()
		res.Reply.Enhanced = c.enhanced
		at := accepted.Add(time.Hour)
		e := Settle(j, report(at, res), Schedule{}, at).Rows[0].Event
		st := e.Data.Status
		if e.Type != event.FailedPermanent || e.Data.Reason != "generic" || st.BounceType != "soft" || st.RetrySeconds != nil || !st.Local {
			t.Errorf("%v: told as %v %q %+v", c.after, e.Type, e.Data.Reason, st)
		}
		if st.Code != 550 || st.EnhancedCode != c.want || st.Description != c.description || st.Message != res.Reply.Text || st.LastCode != 450 || st.LastMessage != res.Reply.Text {
			t.Errorf("%v: told as %+v", c.after, st)
		}
		if st.TLSDetail == nil || st.TLSDetail.Result != "refused-not-offered" {
			t.Errorf("%v: the evidence is %+v", c.after, st.TLSDetail)
		}
	}
}

// The attempt after which a domain gives up is not a step of the schedule late.
func TestLastAttemptIsNearTheEndOfPatience(t *testing.T) {
	for _, c := range []struct {
		after, age, want time.Duration
		scope            mail.Scope
	}{
		{25 * time.Minute, 10 * time.Second, 10 * time.Minute, mail.ScopePolicy},              // the step is shorter
		{5 * time.Minute, 10 * time.Second, 4*time.Minute + 51*time.Second, mail.ScopePolicy}, // cut
		{time.Minute, 30 * time.Second, lastChance, mail.ScopePolicy},
		{5 * time.Minute, 10 * time.Second, 10 * time.Minute, mail.ScopeHost},
		{-1, 10 * time.Second, 10 * time.Minute, mail.ScopeHost},
	} {
		j := testJob(1)
		j.Settings.GiveUpAfter = c.after
		res := policyFailure()
		res.Scope = c.scope
		at := accepted.Add(c.age)
		if got := Settle(j, report(at, res), Schedule{}, at).Rows[0].Due.Sub(at); got != c.want {
			t.Errorf("patience %v, %v after acceptance: waits %v, want %v", c.after, c.age, got, c.want)
		}
	}
}

func TestExplainNamesTheEndOfPatience(t *testing.T) {
	row := store.Row{Message: mail.FirstID(accepted), LastReply: mail.LocalReply(450, "4.7.10", "no STARTTLS").String()}
	got := giveUpSentence(row, 5*time.Minute)
	if !strings.Contains(got, "at the first attempt after 2026-03-01T12:05:00Z") || !strings.Contains(got, "require-tls-give-up-after = 5m0s") {
		t.Errorf("says %q", got)
	}
	for _, c := range []struct {
		after time.Duration
		reply string
	}{{0, row.LastReply}, {-1, row.LastReply}, {time.Hour, ""}, {time.Hour, "451 4.7.1 greylisted"}, {time.Hour, "452 4.2.2 full"}} {
		row.LastReply = c.reply
		if got := giveUpSentence(row, c.after); got != "" {
			t.Errorf("%v, %q: says %q", c.after, c.reply, got)
		}
	}
}
