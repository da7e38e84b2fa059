package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// suppressor answers from a map by address, and remembers which tags it was asked with.
type suppressor struct {
	mu    sync.Mutex
	lists map[string]store.SuppressionList
	err   error
	calls int
	tags  string
}

func (s *suppressor) Suppressed(_ context.Context, domainID int64, to []mail.Address, tags []string) ([]store.SuppressionList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.tags = strings.Join(tags, " ")
	var lists []store.SuppressionList
	for i, a := range to {
		if l := s.lists[a.String()]; domainID == 1 && l != store.NoList {
			if lists == nil {
				lists = make([]store.SuppressionList, len(to))
			}
			lists[i] = l
		}
	}
	return lists, s.err
}

func (s *suppressor) set(address string, l store.SuppressionList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[address] = l
}

// A suppressRig is a queue that remembers who was attempted.
type suppressRig struct {
	store *fakeStore
	lists *suppressor
	queue *Queue
	mu    sync.Mutex
	tried []string
}

func newSuppressRig(t *testing.T, answer mail.RecipientResult) *suppressRig {
	rg := &suppressRig{store: newFakeStore(), lists: &suppressor{lists: map[string]store.SuppressionList{}}}
	rg.queue = newQueue(rg.store, Config{}, func(_ context.Context, j mail.Job) mail.Report {
		var r mail.Report
		rg.mu.Lock()
		defer rg.mu.Unlock()
		for _, rcpt := range j.Recipients {
			rg.tried = append(rg.tried, rcpt.Address.String())
			r.Results = append(r.Results, answer)
		}
		return r
	})
	rg.queue.roles.Suppressions = rg.lists
	run(t, rg.queue)
	return rg
}

func (rg *suppressRig) attempts() string {
	rg.mu.Lock()
	defer rg.mu.Unlock()
	slices.Sort(rg.tried)
	return strings.Join(rg.tried, " ")
}

// outcomes lists what the log says of each recipient.
func (rg *suppressRig) outcomes() string {
	rg.store.mu.Lock()
	defer rg.store.mu.Unlock()
	var list []string
	for _, events := range rg.store.events {
		for _, e := range events {
			if e.Type != event.FailedTemporary {
				list = append(list, fmt.Sprintf("%s %s %d", e.Recipient, e.Type, e.Data.Status.Code))
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// Who unsubscribes between schedule and attempt gets nothing; the others get theirs.
func TestScheduledMailIsLookedUpAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rg := newSuppressRig(t, resDelivered)
		m := rg.store.message("ann@one.test", "bob@one.test", "carl@one.test", "dora@two.test")
		m.Meta.Tags = []string{"news", "offers"}
		m.Envelope.ReversePath = mail.Address{Local: "bounce", Domain: "sender.example"}
		for i := range m.Rows {
			m.Rows[i].Due = m.Rows[i].Due.Add(time.Hour)
		}
		rg.store.accept(m)
		rg.queue.Wake("one.test", m.Rows[0].Due)
		rg.queue.Wake("two.test", m.Rows[0].Due)
		time.Sleep(30 * time.Minute)
		rg.lists.set("bob@one.test", store.Unsubscribes)
		rg.lists.set("dora@two.test", store.Complaints)
		time.Sleep(time.Hour)
		if got := rg.attempts(); got != "ann@one.test carl@one.test" {
			t.Errorf("attempts for %s", got)
		}
		if got := rg.outcomes(); got != "ann@one.test delivered 250, bob@one.test failed 606, carl@one.test delivered 250, dora@two.test failed 607" {
			t.Errorf("outcomes %s", got)
		}
		if rg.lists.tags != "news offers" {
			t.Errorf("asked with tags %q", rg.lists.tags)
		}
	})
}

func TestDeferredMailIsLookedUpAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rg := newSuppressRig(t, mail.RecipientResult{Reply: mail.Reply{Code: 451, Text: "later"}})
		submit(rg.store, rg.queue, rg.store.message("ann@one.test"), func() {})
		time.Sleep(time.Minute)
		if rg.lists.calls != 0 {
			t.Errorf("mail that was just accepted was looked up %d times", rg.lists.calls)
		}
		rg.lists.set("ann@one.test", store.Bounces)
		time.Sleep(time.Hour)
		if got := rg.attempts() + ": " + rg.outcomes(); got != "ann@one.test: ann@one.test failed 605" {
			t.Error(got)
		}
		rg.store.mu.Lock()
		defer rg.store.mu.Unlock()
		for _, events := range rg.store.events {
			st := events[len(events)-1].Data.Status
			if st.AttemptNo != 2 || st.RetrySeconds != nil || st.TLS != nil || st.Description != "Not delivering to previously bounced address" {
				t.Errorf("status %+v", st)
			}
		}
	})
}

// Notices and reports go to who has unsubscribed, but not to an address that bounced.
func TestOwnMailThatWaited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rg := newSuppressRig(t, resDelivered)
		rg.lists.set("ann@one.test", store.Unsubscribes)
		rg.lists.set("bob@one.test", store.Bounces)
		m := rg.store.message("ann@one.test", "bob@one.test") // with the null reverse-path
		rg.store.accept(m)
		rg.queue.Wake("one.test", m.Rows[0].Due)
		time.Sleep(time.Minute)
		if got := rg.outcomes(); got != "ann@one.test delivered 250, bob@one.test failed 605" {
			t.Errorf("outcomes %s", got)
		}
	})
}

// While the lists cannot be read, mail waits and does not grow older.
func TestTroubleWithSuppressionsIsOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rg := newSuppressRig(t, resDelivered)
		rg.lists.err = errors.New("disk on fire")
		m := rg.store.message("ann@one.test")
		rg.store.accept(m)
		rg.queue.Wake("one.test", m.Rows[0].Due)
		time.Sleep(3 * SelfWait)
		if got := rg.attempts() + rg.outcomes(); got != "" {
			t.Errorf("got %s", got)
		}
		rg.lists.mu.Lock()
		rg.lists.err = nil
		rg.lists.mu.Unlock()
		time.Sleep(3 * SelfWait)
		if got := rg.outcomes(); got != "ann@one.test delivered 250" {
			t.Errorf("outcomes %s", got)
		}
	})
}

func TestBounceTypes(t *testing.T) {
	for _, c := range []struct {
		name string
		res  mail.RecipientResult
		want string
	}{
		{"no such user", mail.RecipientResult{Reason: "bounce", Reply: mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}}, "bounce hard"},
		{"a refusal that was not to RCPT", mail.RecipientResult{Reason: "bounce", Scope: mail.ScopeMessage, Reply: mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}}, "generic soft"},
		{"a block", mail.RecipientResult{Reason: "bounce", Reply: mail.Reply{Code: 550, Text: "your IP is on our blacklist"}}, "espblock soft"},
		{"a block of content", mail.RecipientResult{Reason: "bounce", Scope: mail.ScopeMessage, Reply: mail.Reply{Code: 554, Enhanced: "5.7.1", Text: "looks like spam"}}, "espblock soft"},
		{"a full mailbox", mail.RecipientResult{Reason: "bounce", Reply: mail.Reply{Code: 552, Enhanced: "5.2.2", Text: "over quota"}}, "generic soft"},
		{"null MX", mail.RecipientResult{Reason: "bounce", Reply: mail.LocalReply(556, "5.1.10", "one.test does not accept mail (null MX)")}, "bounce hard"},
		{"required TLS not to be had", mail.RecipientResult{Reason: "bounce", Scope: mail.ScopePolicy, Reply: mail.LocalReply(550, "5.7.10", "STARTTLS is not offered")}, "generic soft"},
		{"too large for the server", mail.RecipientResult{Reason: "bounce", Scope: mail.ScopeMessage, Reply: mail.LocalReply(552, "5.3.4", "too large")}, "generic soft"},
		{"a deleted sending domain", mail.RecipientResult{Reason: "generic", Scope: mail.ScopeMessage, Reply: mail.LocalReply(550, "5.7.1", "deleted")}, "generic soft"},
	} {
		c.res.Outcome = mail.Bounced
		o := Settle(testJob(1), report(accepted.Add(time.Second), c.res), Schedule{}, accepted.Add(time.Second))
		if e := o.Rows[0].Event; e.Data.Reason+" "+e.Data.Status.BounceType != c.want {
			t.Errorf("%s: %s %s, want %s", c.name, e.Data.Reason, e.Data.Status.BounceType, c.want)
		}
	}
}
