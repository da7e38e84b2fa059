package dsn

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// asking is a message by SMTP whose client said something about notices.
func asking(d *mail.DSN, to ...string) accept.Submission {
	s := submission(to...)
	s.RequireTLS, s.DSN = false, d
	return s
}

// about says the same of every recipient.
func about(n mail.Notify, to ...string) *mail.DSN {
	d := &mail.DSN{Recipients: map[string]mail.RecipientDSN{}}
	for _, a := range to {
		d.Recipients[a] = mail.RecipientDSN{Notify: n}
	}
	return d
}

// settleAs ends an attempt for every row of a next hop with the given event. wait is the
// time to the next attempt of a temporary failure.
func (r *rig) settleAs(nextHop string, typ event.Type, passed bool, wait time.Duration) {
	r.Helper()
	leased, err := r.store.Lease(r.Context(), store.LeaseRequest{NextHop: nextHop, Now: time.Now().Add(100 * time.Hour), Limit: 1000})
	r.must(err)
	if len(leased.Rows) == 0 {
		r.Fatal("nothing to settle")
	}
	host, seconds := "mx."+nextHop, int(wait.Seconds())
	for _, row := range leased.Rows {
		st := &event.Status{AttemptNo: 1, Code: 550, EnhancedCode: "5.1.1", Message: "no such user", MXHost: &host}
		out := store.RowOutcome{Row: row.ID, Lease: row.Lease, Final: true}
		switch typ {
		case event.Delivered:
			st.Code, st.EnhancedCode, st.Message = 250, "2.0.0", "queued"
		case event.FailedTemporary:
			st.Code, st.EnhancedCode, st.Message, st.RetrySeconds = 451, "4.7.1", "come back later", &seconds
			out.Final, out.Due, out.Attempt = false, time.Now().Add(wait), row.Attempt+1
		}
		out.Event = &event.Record{Type: typ, Recipient: row.Recipient.String(), Data: event.Data{Status: st, DSNPassed: passed}}
		lost, err := r.store.Settle(r.Context(), store.Outcome{Message: row.Message, DomainID: row.DomainID, Rows: []store.RowOutcome{out}})
		r.must(err)
		if len(lost) > 0 {
			r.Fatal("leases were lost")
		}
	}
}

// RFC 3461 section 4.1 and 5.2: every value of NOTIFY against everything that may become of a message.
func TestNotify(t *testing.T) {
	const s, f, d = mail.NotifySuccess, mail.NotifyFailure, mail.NotifyDelay
	outcomes := []struct {
		name     string
		typ      event.Type
		passed   bool
		occasion mail.Notify
		action   string
	}{
		{"fails", event.FailedPermanent, false, f, "failed"},
		{"is late", event.FailedTemporary, false, d, "delayed"},
		{"goes to a next hop without DSN", event.Delivered, false, s, "relayed"},
		{"goes to a next hop with DSN", event.Delivered, true, 0, ""},
	}
	for _, notify := range []mail.Notify{0, mail.NotifyNever, s, f, d, s | f, s | d, f | d, s | f | d} {
		for _, o := range outcomes {
			t.Run(fmt.Sprintf("NOTIFY=%v and it %s", notify, o.name), func(t *testing.T) {
				r := newRig(t)
				follower := r.started()
				r.accept(asking(about(notify, "ann@one.test"), "ann@one.test"))
				r.settleAs("one.test", o.typ, o.passed, 2*time.Hour)
				r.catchUp(follower)
				list := r.notices()
				if want := notify.Has(o.occasion); len(list) == 1 != want || len(list) > 1 {
					t.Fatalf("%d notices, want one: %v", len(list), want)
				}
				if len(list) == 1 && (list[0].fields[1].Get("Action") != o.action || list[0].header.Get("TLS-Required") != "" || list[0].Envelope.RequireTLS) {
					t.Errorf("got\n%s", list[0].octets)
				}
				if len(list) == 0 {
					return
				}
				r.restart() // and never another one
				r.catchUp(r.follower())
				if n := r.pending(); n != 1 {
					t.Errorf("%d after a restart", n)
				}
			})
		}
	}
}

// SEC-62: what is asked for is told to the sender's own envelope address, never to <>.
func TestNobodyAsksForTheNullReversePath(t *testing.T) {
	r := newRig(t)
	f := r.started()
	s := asking(about(mail.NotifySuccess|mail.NotifyFailure, "ann@one.test"), "ann@one.test")
	s.ReversePath = mail.Address{}
	r.accept(s)
	r.settleAs("one.test", event.FailedPermanent, false, 0)
	r.catchUp(f)
	if n := r.pending(); n != 0 {
		t.Errorf("%d notices", n)
	}
}

// What the sender called message and recipient by comes back; recipients of different
// fates are in different notices, and each is told of once.
func TestNoticesOfOneMessage(t *testing.T) {
	r := newRig(t)
	f := r.started()
	d := about(mail.NotifySuccess|mail.NotifyFailure, "ann@one.test", "bob@one.test", "cat@two.test")
	d.EnvelopeID, d.Return = "QQ 314", mail.ReturnHeader
	d.Recipients["bob@one.test"] = mail.RecipientDSN{Notify: mail.NotifyFailure, Original: "rfc822;Bob+list@first.test"}
	d.Recipients["dan@two.test"] = mail.RecipientDSN{Notify: mail.NotifyNever}
	r.accept(asking(d, "ann@one.test", "bob@one.test", "cat@two.test", "dan@two.test", "eve@two.test"))
	r.settleAs("one.test", event.FailedPermanent, false, 0)
	r.settleAs("two.test", event.Delivered, false, 0)
	r.catchUp(f)
	list := r.notices()
	if len(list) != 2 {
		t.Fatalf("%d notices", len(list))
	}
	told := map[string]string{}
	for _, n := range list {
		told[n.fields[1].Get("Action")] = n.failed()
		if n.fields[0].Get("Original-Envelope-Id") != "QQ 314" || strings.Contains(string(n.octets), "SECRET") {
			t.Errorf("got\n%s", n.octets)
		}
	}
	// eve, about whom nothing was said, would hear of failures only (RET was given).
	if told["failed"] != "ann@one.test bob@one.test" || told["relayed"] != "cat@two.test" {
		t.Errorf("told %v", told)
	}
	for _, n := range list {
		if n.fields[1].Get("Action") == "failed" && n.fields[2].Get("Original-Recipient") != "rfc822; Bob+list@first.test" {
			t.Errorf("got\n%s", n.octets)
		}
	}
}

// RFC 3461 section 4.3: RET=FULL returns the message with a failure, and only then; never
// one with REQUIRETLS (RFC 8689 section 5), and none that is large.
func TestReturn(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*accept.Submission)
		typ    event.Type
		whole  bool
	}{
		"full, failed":             {func(*accept.Submission) {}, event.FailedPermanent, true},
		"full, relayed":            {func(*accept.Submission) {}, event.Delivered, false},
		"headers, failed":          {func(s *accept.Submission) { s.DSN.Return = mail.ReturnHeader }, event.FailedPermanent, false},
		"not said, failed":         {func(s *accept.Submission) { s.DSN.Return = "" }, event.FailedPermanent, false},
		"full, failed, REQUIRETLS": {func(s *accept.Submission) { s.RequireTLS = true }, event.FailedPermanent, false},
		"full, failed, large": {func(s *accept.Submission) {
			s.Raw = strings.NewReader(content + strings.Repeat("more\r\n", maxReturned/6))
		}, event.FailedPermanent, false},
		"full, failed, nested as far as may be": {func(s *accept.Submission) { s.Raw = strings.NewReader(nested(20)) }, event.FailedPermanent, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.started()
			d := about(mail.NotifySuccess|mail.NotifyFailure, "ann@one.test")
			d.Return = mail.ReturnFull
			s := asking(d, "ann@one.test")
			c.change(&s)
			r.accept(s)
			r.settleAs("one.test", c.typ, false, 0)
			r.catchUp(f)
			list := r.notices()
			if len(list) != 1 {
				t.Fatalf("%d notices, %+v: %s", len(list), f.Stats(), r.logged())
			}
			n := list[0]
			want := "text/rfc822-headers"
			if c.whole {
				want = "message/rfc822"
			}
			if n.media[2] != want || strings.Contains(string(n.octets), "SECRET") != c.whole {
				t.Errorf("got %s\n%.2000s", n.media[2], n.octets)
			}
		})
	}
}

// nested is a message with multiparts inside each other.
func nested(depth int) string {
	var b strings.Builder
	b.WriteString("From: Bob <bob@sender.test>\r\nSubject: x\r\nMIME-Version: 1.0\r\n")
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("Content-Type: text/plain\r\n\r\nSECRET\r\n")
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.String()
}

// A sender hears once of a delay, by the schedule of the server at the attempt after
// which the message will be an hour old.
func TestDelayIsToldOnce(t *testing.T) {
	var told []time.Duration
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	id := mail.FirstID(start)
	for _, scheduled := range []time.Duration{0, 24 * time.Hour} {
		told = nil
		at := scheduled
		for _, wait := range []time.Duration{10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour} {
			seconds := int(wait.Seconds())
			item := store.EventItem{Record: event.Record{Type: event.FailedTemporary, Message: id, Time: start.Add(at), Data: event.Data{Status: &event.Status{RetrySeconds: &seconds}}}}
			if scheduled > 0 {
				item.Meta.ScheduledFor = start.Add(scheduled)
			}
			if turnsLate(&item) {
				told = append(told, at-scheduled)
			}
			at += wait
		}
		if len(told) != 1 || told[0] != 55*time.Minute {
			t.Errorf("told at %v", told)
		}
	}
}

// An operator who has a message tried out of turn does not have its sender told of the delay
// again: not in the same look into the log, not in a later one, and not after a restart.
func TestDelayIsToldOnceWhateverIsTriedAgain(t *testing.T) {
	r := newRig(t)
	follower := r.started()
	r.accept(asking(about(mail.NotifyDelay, "ann@one.test", "eve@one.test"), "ann@one.test", "eve@one.test"))
	r.settleAs("one.test", event.FailedTemporary, false, 2*time.Hour)
	r.settleAs("one.test", event.FailedTemporary, false, 3*time.Hour)
	r.catchUp(follower)
	list := r.notices()
	if len(list) != 1 || list[0].failed() != "ann@one.test eve@one.test" {
		t.Fatalf("%d notices", len(list))
	}
	r.settleAs("one.test", event.FailedTemporary, false, 4*time.Hour)
	r.catchUp(follower)
	if n := follower.Stats().Notified; n != 1 {
		t.Errorf("told %d times", n)
	}
	r.restart()
	follower = r.follower()
	r.settleAs("one.test", event.FailedTemporary, false, 5*time.Hour)
	r.catchUp(follower)
	if n := follower.Stats().Notified; n != 0 {
		t.Errorf("told %d times after a restart", n)
	}
}

// RFC 3461 section 5.2.7.3: who writes to a mailing list is not told of each member, whatever was asked for.
func TestNoNoticeOfMembersOfAMailingList(t *testing.T) {
	r := newRig(t)
	d, err := r.store.Domain(t.Context(), sending)
	r.must(err)
	l := store.MailingList{AccountID: d.AccountID, DomainID: d.ID, Address: "all@" + sending, Access: store.AccessEveryone, ReplyPreference: "list"}
	r.must(r.store.CreateMailingList(t.Context(), &l))
	members := []store.ListMember{{Address: "ann@one.test", Vars: "{}", Subscribed: true}, {Address: "eve@one.test", Vars: "{}", Subscribed: true}}
	_, err = r.store.PutListMembers(t.Context(), l.ID, members, false)
	r.must(err)
	asks := about(mail.NotifyFailure|mail.NotifySuccess, "all@"+sending)
	asks.EnvelopeID = "order-7" // which alone asks for notices of failures
	follower := r.started()
	for _, requireTLS := range []bool{false, true} {
		s := asking(asks, "all@"+sending)
		s.RequireTLS = requireTLS
		r.accept(s)
	}
	r.settleAs("one.test", event.FailedPermanent, false, 0)
	r.catchUp(follower)
	if n := follower.Stats().Notified; n != 0 {
		t.Errorf("%d notices", n)
	}
}

// SEC-62: what an event alone does not tell is looked for in the message as well. Every one of
// these has all that asks for a notice, and one thing that forbids it.
func TestNothingIsOwed(t *testing.T) {
	message := func(change func(*store.Message)) *store.Message {
		m := &store.Message{}
		m.Meta.Method = accept.SMTP.String()
		m.Envelope.ReversePath = mail.Address{Local: "bob", Domain: sending}
		m.Envelope.RequireTLS, m.Envelope.DSN = true, about(mail.NotifyFailure, "ann@one.test")
		change(m)
		return m
	}
	items := []store.EventItem{{Record: event.Record{Type: event.FailedPermanent, Recipient: "ann@one.test"}}}
	for name, c := range map[string]struct {
		change func(*store.Message)
		want   int
	}{
		"all that asks":          {func(*store.Message) {}, 1},
		"no reverse-path":        {func(m *store.Message) { m.Envelope.ReversePath = mail.Address{} }, 0},
		"a report":               {func(m *store.Message) { m.Envelope.Report = true }, 0},
		"by the API":             {func(m *store.Message) { m.Meta.Method = accept.HTTP.String() }, 0},
		"to a mailing list":      {func(m *store.Message) { m.Meta.MailingList = &event.MailingList{} }, 0},
		"NOTIFY=NEVER":           {func(m *store.Message) { m.Envelope.DSN = about(mail.NotifyNever, "ann@one.test") }, 0},
		"failures not asked for": {func(m *store.Message) { m.Envelope.DSN = about(mail.NotifySuccess, "ann@one.test") }, 0},
	} {
		if got := owed(message(c.change), Failed, items); len(got) != c.want {
			t.Errorf("%s: %d owed", name, len(got))
		}
	}
}

// A test message is delivered in the log and nowhere else, so nobody took it.
func TestTestMessagesAreNotRelayed(t *testing.T) {
	item := store.EventItem{Record: event.Record{Type: event.Delivered, Message: 1}}
	item.Meta.Method, item.Meta.Sender, item.Meta.Notify = accept.SMTP.String(), "bob@"+sending, true
	if !candidate(&item) {
		t.Error("a delivered message is no candidate")
	}
	if item.Meta.TestMode = true; candidate(&item) {
		t.Error("a test message is one")
	}
}
