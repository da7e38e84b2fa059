package queue

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
)

var accepted = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testJob(attempt int) mail.Job {
	return mail.Job{
		Message: mail.FirstID(accepted), DomainID: 7, Domain: "sender.example", NextHop: "example.net", Accepted: accepted,
		Recipients: []mail.Recipient{{Row: 1, Lease: 9, Address: mail.Address{Local: "ann", Domain: "example.net"},
			Attempt: attempt, Expires: accepted.Add(DefaultLifetime)}},
	}
}

func report(at time.Time, res mail.RecipientResult) mail.Report {
	return mail.Report{Results: []mail.RecipientResult{res}, Started: at.Add(-time.Second), Finished: at}
}

var refusedTLS = &mail.Session{MXHost: "mx.example.net", Duration: 1500 * time.Millisecond, SendingIP: "192.0.2.1",
	Detail: mail.TLSDetail{Result: "refused-not-offered", Requirement: "RV"}}

// Every outcome, kind of reply, scope, attempt number and side of the expiry: the
// sentences that must hold for all of them. REL-27, REL-30, REL-31.
func TestSettleEnumerated(t *testing.T) {
	replies := []mail.Reply{{}, {Code: 250, Text: "ok"}, {Code: 354}, {Code: 421}, {Code: 451, Enhanced: "4.7.1"},
		{Code: 550, Enhanced: "5.1.1", Text: "no such user"}, {Code: 680}, mail.LocalReply(451, "4.7.10", "STARTTLS not offered"), mail.LocalReply(550, "5.7.10", "no TLS")}
	steps := DefaultWaits()
	for outcome := mail.Deferred; outcome <= mail.Abandoned+1; outcome++ {
		for _, reply := range replies {
			for scope := mail.ScopeRecipient; scope <= mail.ScopeSelf; scope++ {
				for attempt := 1; attempt <= 8; attempt++ {
					for _, age := range []time.Duration{time.Second, 7 * time.Hour, DefaultLifetime, DefaultLifetime + 1, 500 * time.Hour} {
						for _, flags := range []int{0, 1, 2, 3} {
							noMX, doubted := flags&1 != 0, flags&2 != 0
							at := accepted.Add(age)
							res := mail.RecipientResult{Outcome: outcome, Scope: scope, Reply: reply, NoMX: noMX}
							o := Settle(testJob(attempt), report(at, res), Schedule{ClockDoubted: doubted}, time.Time{})
							name := fmt.Sprintf("%v %v scope %d attempt %d age %v noMX %v doubted %v", outcome, reply, scope, attempt, age, noMX, doubted)
							row := o.Rows[0]
							if o.Message != testJob(1).Message || o.DomainID != 7 || row.Row != 1 || row.Lease != 9 {
								t.Fatalf("%s: outcome is for another row: %+v", name, o)
							}
							delivered := outcome == mail.Delivered && (reply.Code == 0 || reply.Positive())
							bounced := outcome == mail.Bounced && reply.Permanent()
							temporary := !delivered && !bounced && outcome != mail.Abandoned
							self := temporary && scope == mail.ScopeSelf
							old := temporary && !self && age > DefaultLifetime && !doubted
							if got, want := row.Final, delivered || bounced || old; got != want {
								t.Fatalf("%s: final %v, want %v", name, got, want)
							}
							if outcome == mail.Abandoned || self {
								if row.Event != nil || row.Attempt != attempt-1 || row.Due.Before(at) {
									t.Fatalf("%s: must not count: %+v", name, row)
								}
								continue
							}
							if row.Event == nil || row.Event.Data.Status == nil {
								t.Fatalf("%s: no event", name)
							}
							want := event.FailedTemporary
							switch {
							case delivered:
								want = event.Delivered
							case bounced || old:
								want = event.FailedPermanent
							}
							st := row.Event.Data.Status
							if row.Event.Type != want || st.AttemptNo != attempt || st.Code == 0 {
								t.Fatalf("%s: event %v %+v, want %v", name, row.Event.Type, st, want)
							}
							if (st.RetrySeconds != nil) != (want == event.FailedTemporary) || (st.BounceType != "") != bounced {
								t.Fatalf("%s: retry-seconds %v, bounce-type %q", name, st.RetrySeconds, st.BounceType)
							}
							if (row.Event.Data.Reason == "") != delivered {
								t.Fatalf("%s: reason %q", name, row.Event.Data.Reason)
							}
							if want == event.FailedTemporary {
								wait := row.Due.Sub(at)
								if row.Attempt != attempt || wait < time.Second || wait > max(steps[min(attempt, 6)-1], NoMXWait) || *st.RetrySeconds != int(wait/time.Second+wait%time.Second/(time.Second/2)) {
									t.Fatalf("%s: attempt %d, wait %v, retry-seconds %d", name, row.Attempt, wait, *st.RetrySeconds)
								}
							}
							if old && (st.Code != 602 || st.Message != "Too old" || st.Description != "" || !st.Local || st.LastCode == 0 || row.Event.Data.Reason != "old") {
								t.Fatalf("%s: too old is told as %+v", name, st)
							}
						}
					}
				}
			}
		}
	}
}

func TestScheduleSteps(t *testing.T) {
	want := []time.Duration{10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 4 * time.Hour, 4 * time.Hour}
	deferred := mail.RecipientResult{Reply: mail.Reply{Code: 451}}
	for i, w := range want {
		j := testJob(i + 1)
		j.Recipients[0].Expires = accepted.Add(120 * time.Hour)
		at := accepted.Add(time.Hour)
		if got := Settle(j, report(at, deferred), Schedule{}, at).Rows[0].Due.Sub(at); got != w {
			t.Errorf("after attempt %d: waits %v, want %v", i+1, got, w)
		}
		got := Settle(j, report(at, deferred), Schedule{Jitter: 0.5, Spread: 0.1}, at).Rows[0].Due.Sub(at)
		if got != w+w/20 {
			t.Errorf("after attempt %d with jitter: waits %v, want %v", i+1, got, w+w/20)
		}
	}
}

func TestScheduleOfDomain(t *testing.T) {
	j := testJob(2)
	j.Recipients[0].Expires = time.Time{}
	j.Settings = mail.DomainDelivery{Retry: []time.Duration{time.Minute, 3 * time.Minute}, Lifetime: time.Hour}
	deferred := mail.RecipientResult{Reply: mail.Reply{Code: 451}}
	at := accepted.Add(30 * time.Minute)
	if got := Settle(j, report(at, deferred), Schedule{}, at).Rows[0].Due.Sub(at); got != 3*time.Minute {
		t.Errorf("own schedule: waits %v, want 3m", got)
	}
	noMX := mail.RecipientResult{NoMX: true}
	if got := Settle(j, report(at, noMX), Schedule{}, at).Rows[0].Due.Sub(at); got != 3*time.Minute {
		t.Errorf("no MX with a short schedule: waits %v, want 3m", got)
	}
	at = accepted.Add(time.Hour + time.Second)
	if row := Settle(j, report(at, deferred), Schedule{}, at).Rows[0]; !row.Final {
		t.Error("own lifetime of one hour is over, but the row is not final")
	}
}

// The last attempt is made just after the lifetime, not a long step later.
func TestLastAttemptIsNearExpiry(t *testing.T) {
	j := testJob(7)
	at := accepted.Add(DefaultLifetime - 5*time.Minute)
	deferred := mail.RecipientResult{Reply: mail.Reply{Code: 451}}
	if got := Settle(j, report(at, deferred), Schedule{}, at).Rows[0].Due; !got.Equal(accepted.Add(DefaultLifetime + time.Second)) {
		t.Errorf("last attempt at %v", got)
	}
	at = accepted.Add(DefaultLifetime - time.Second)
	if got := Settle(j, report(at, deferred), Schedule{}, at).Rows[0].Due.Sub(at); got != lastChance {
		t.Errorf("a second before expiry: waits %v, want %v", got, lastChance)
	}
}

func TestSettleTellsDelivery(t *testing.T) {
	ses := &mail.Session{MXHost: "mx.example.net", TLS: true, CertificateVerified: true, UTF8: true, SendingIP: "192.0.2.1",
		Duration: 750 * time.Millisecond, Detail: mail.TLSDetail{Result: "verified-pkix"}}
	at := accepted.Add(3 * time.Second)
	row := Settle(testJob(1), report(at, mail.RecipientResult{Outcome: mail.Delivered,
		Reply: mail.Reply{Code: 250, Enhanced: "2.0.0", Text: "queued"}, Session: ses}), Schedule{}, at).Rows[0]
	yes, host, first := true, "mx.example.net", 2.0
	want := event.Data{SendingIP: "192.0.2.1", Status: &event.Status{AttemptNo: 1, Code: 250, EnhancedCode: "2.0.0", Message: "queued",
		SessionSeconds: 0.75, TLS: &yes, CertificateVerified: &yes, MXHost: &host, UTF8: &yes, FirstAttemptSeconds: &first, TLSDetail: &ses.Detail}}
	if diff := cmp.Diff(want, row.Event.Data); diff != "" {
		t.Error(diff)
	}
}

// RFC 3461 section 5.2: what was passed on is the next hop's matter; what was not asked is nobody's.
func TestSettleTellsWhatWasPassedOn(t *testing.T) {
	for _, asked := range []bool{false, true} {
		for _, offered := range []bool{false, true} {
			j := testJob(1)
			if asked {
				j.Envelope.DSN = &mail.DSN{Return: mail.ReturnHeader}
			}
			row := Settle(j, report(accepted, mail.RecipientResult{Outcome: mail.Delivered, Reply: mail.Reply{Code: 250}, Session: &mail.Session{DSN: offered}}), Schedule{}, accepted).Rows[0]
			if got := row.Event.Data.DSNPassed; got != (asked && offered) {
				t.Errorf("asked %v, offered %v: passed on %v", asked, offered, got)
			}
		}
	}
}

func TestSettleNoMX(t *testing.T) {
	at := accepted.Add(time.Second)
	row := Settle(testJob(1), report(at, mail.RecipientResult{NoMX: true}), Schedule{Jitter: 0.9, Spread: 0.1}, at).Rows[0]
	st := row.Event.Data.Status
	if st.Code != 498 || st.Message != "No MX for [example.net]" || st.Description != st.Message || *st.RetrySeconds != 900 || row.Event.Data.Reason != "generic" || st.TLS != nil || st.MXHost != nil {
		t.Errorf("told as %+v", st)
	}
}

// The reason why TLS was not to be had survives in the final event.
func TestTooOldKeepsTLSReason(t *testing.T) {
	at := accepted.Add(DefaultLifetime + time.Second)
	res := mail.RecipientResult{Scope: mail.ScopePolicy, Reply: mail.LocalReply(451, "4.7.10", "STARTTLS was not offered"), Session: refusedTLS}
	row := Settle(testJob(7), report(at, res), Schedule{}, at).Rows[0]
	st := row.Event.Data.Status
	if st.LastCode != 451 || st.LastMessage != "STARTTLS was not offered" || st.TLSDetail.Result != "refused-not-offered" || *st.TLS || *st.MXHost != "mx.example.net" {
		t.Errorf("told as %+v", st)
	}
}

func TestSettleMissingResults(t *testing.T) {
	j := testJob(1)
	j.Recipients = append(j.Recipients, mail.Recipient{Row: 2, Attempt: 1, Expires: accepted.Add(time.Hour)})
	o := Settle(j, report(accepted, mail.RecipientResult{Outcome: mail.Delivered}), Schedule{}, accepted)
	if !o.Rows[0].Final || o.Rows[1].Final || o.Rows[1].Event.Type != event.FailedTemporary {
		t.Errorf("got %+v", o.Rows)
	}
}

// REL-27: a jump is followed only after it lasted, and nothing expires meanwhile.
func TestClockJump(t *testing.T) {
	s := clockState{base: accepted}
	read := func(elapsed, ahead time.Duration) (time.Duration, bool) {
		now, doubted, _ := s.observe(accepted.Add(elapsed+ahead), elapsed)
		return now.Sub(accepted.Add(elapsed)), doubted
	}
	year := 365 * 24 * time.Hour
	steps := []struct {
		elapsed, ahead, want time.Duration
		doubted              bool
	}{
		{time.Minute, 0, 0, false},
		{2 * time.Minute, time.Second, time.Second, false}, // adjusted
		{3 * time.Minute, year, time.Second, true},
		{10 * time.Minute, year, time.Second, true},
		{11 * time.Minute, 0, 0, false}, // and back
		{12 * time.Minute, year, 0, true},
		{28 * time.Minute, year, year, true}, // it stays
		{24*time.Hour + 27*time.Minute, year, year, true},
		{24*time.Hour + 29*time.Minute, year, year, false},
		{25 * time.Hour, -time.Hour, year, true},
		{26 * time.Hour, -time.Hour, -time.Hour, true},
	}
	for _, c := range steps {
		if got, doubted := read(c.elapsed, c.ahead); got != c.want || doubted != c.doubted {
			t.Errorf("after %v with a wall clock %v ahead: %v ahead, doubted %v; want %v, %v", c.elapsed, c.ahead, got, doubted, c.want, c.doubted)
		}
	}
}

// A verdict that is shared may be minutes old. What it defers is due after now all the
// same: a due time that has passed would be settled by the same verdict at once, and again, each
// time with an event.
func TestSharedVerdictIsDueInTheFuture(t *testing.T) {
	ended := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, age := range []time.Duration{0, time.Second, time.Minute, 3 * time.Minute, time.Hour} {
		for _, left := range []time.Duration{-time.Hour, -time.Second, 0, time.Second, 30 * time.Second, 2 * time.Minute, 8 * time.Hour} {
			for attempt := range 8 {
				now := ended.Add(age)
				j := mail.Job{Accepted: ended.Add(-time.Hour), NextHop: "x.example", Recipients: []mail.Recipient{{Attempt: attempt + 1, Expires: ended.Add(left)}}}
				r := mail.Report{Started: ended.Add(-time.Minute), Finished: ended, Results: []mail.RecipientResult{{
					Scope: mail.ScopeHost, Reply: mail.LocalReply(451, "4.4.1", "nobody answers"),
				}}}
				row := Settle(j, r, Schedule{}, now).Rows[0]
				if row.Final != (left < 0) {
					t.Errorf("verdict %s old, %s left at its end: final %t", age, left, row.Final)
				}
				if row.Final {
					continue
				}
				wait := row.Due.Sub(now)
				if wait < time.Second || *row.Event.Data.Status.RetrySeconds != int(math.Round(wait.Seconds())) {
					t.Errorf("verdict %s old, %s left at its end, attempt %d: due in %s, retry-seconds %d", age, left, attempt+1, wait, *row.Event.Data.Status.RetrySeconds)
				}
				if late := age > left; late && wait > lastChance {
					t.Errorf("verdict %s old, %s left at its end: too old, and due in %s", age, left, wait)
				}
			}
		}
	}
}
