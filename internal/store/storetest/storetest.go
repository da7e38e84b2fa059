// Package storetest is the conformance suite of the storage contract: what a store
// must do is specified here, as tests, and every engine runs all of them. An
// engine's own tests hold only what is particular to it, such as its files.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// An Opener gives a test an empty store of its own and a way to start it anew:
// reopen ends the store as a crash or stop would, with its leases, and returns
// one on the same data. The opener closes what it opened when the test ends.
type Opener func(t *testing.T) (s store.Store, reopen func() store.Store)

// Run runs the suite. Its tests are independent and run in parallel.
func Run(t *testing.T, open Opener) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Accept", acceptTests},
		{"Content", contentTests},
		{"Together", togetherTests},
		{"Lease", leaseTests},
		{"Settle", settleTests},
		{"Rows", rowTests},
		{"Events", eventTests},
		{"Journal", journalTests},
		{"Prune", pruneTests},
		{"Domains", domainTests},
		{"Peers", peerTests},
		{"STSPolicies", stsPolicyTests},
		{"TLSReports", tlsReportTests},
		{"Logins", loginTests},
		{"Accounts", accountTests},
		{"Pools", poolTests},
		{"Keys", keyTests},
		{"Overrides", overrideTests},
		{"Audit", auditTests},
		{"Cursors", cursorTests},
		{"Webhooks", webhookTests},
		{"Suppressions", suppressionTests},
		{"Imports", importTests},
		{"Templates", templateTests},
		{"Routes", routeTests},
		{"MailingLists", listTests},
		{"Numbers", numberTests},
		{"Recorder", recorderTests},
		{"LinkKeys", linkKeyTests},
		{"Laws", lawTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					s, reopen := open(t)
					test.run(&fixture{T: t, s: s, reopen: func(f *fixture) { f.s = reopen() }})
				})
			}
		})
	}
}

// A test is one sentence of the contract.
type test struct {
	name string
	run  func(f *fixture)
}

// t0 is the present of most tests. Stores compare the times they are given only
// with each other.
var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Two tenants.
const (
	domainA int64 = 11
	domainB int64 = 12
)

// A fixture is a store with words for what tests do to it.
type fixture struct {
	*testing.T
	s      store.Store
	reopen func(f *fixture)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// is checks that err is the sentinel.
func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("error is %v, want %v", err, want)
	}
}

// same checks that two values are equal.
func (f *fixture) same(what string, got, want any) {
	f.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		f.Fatalf("%s differs (-want +got):\n%s", what, d)
	}
}

func address(text string) mail.Address {
	a, err := mail.ParseAddress(text)
	if err != nil {
		panic(err) // a mistake in this package
	}
	return a
}

// content returns a message's octets that can be opened any number of times.
func content(octets string) *store.Content {
	return &store.Content{
		Size: int64(len(octets)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(octets)), nil },
	}
}

// message returns a message of a domain to some recipients, due at t0, with an
// accepted event for each.
func (f *fixture) message(domain int64, recipients ...string) *store.NewMessage {
	id := f.s.NewID()
	m := &store.NewMessage{
		ID:       id,
		DomainID: domain,
		Envelope: mail.Envelope{ReversePath: address("bounce@sender.example"), TLS: mail.TLSFlags{RequireTLS: mail.True}, Need8Bit: true, RequireTLS: true, Report: true},
		Meta: event.Meta{
			Domain: fmt.Sprintf("d%d.example", domain), MessageID: id.String() + "@sender.example", Sender: "bounce@sender.example",
			From: "News <news@sender.example>", Subject: "Hello, wörld", Recipients: recipients, Size: 5, Tags: []string{"a", "b"},
			Variables: map[string]string{"k": "v"}, Method: "http", Authenticated: true,
			Attachments: []event.Attachment{{Filename: "x.pdf", ContentType: "application/pdf", Size: 3}},
		},
		Content: content("hello"),
	}
	for _, r := range recipients {
		a := address(r)
		m.Rows = append(m.Rows, store.Row{Message: id, DomainID: domain, NextHop: a.Domain, Recipient: a, Due: t0, Expires: t0.Add(8 * time.Hour)})
		m.Events = append(m.Events, event.Record{Type: event.Accepted, DomainID: domain, Message: id, Recipient: r})
	}
	return m
}

// accept accepts a message made by message.
func (f *fixture) accept(domain int64, recipients ...string) *store.NewMessage {
	f.Helper()
	m := f.message(domain, recipients...)
	f.must(f.s.Accept(f.Context(), m))
	return m
}

// acceptLeased accepts a message with all rows leased.
func (f *fixture) acceptLeased(domain int64, recipients ...string) *store.NewMessage {
	f.Helper()
	m := f.message(domain, recipients...)
	m.Leased = true
	f.must(f.s.Accept(f.Context(), m))
	return m
}

func (f *fixture) lease(hop string, now time.Time, limit int) store.LeaseResult {
	f.Helper()
	r, err := f.s.Lease(f.Context(), store.LeaseRequest{NextHop: hop, Now: now, Limit: limit})
	f.must(err)
	return r
}

func (f *fixture) settle(o store.Outcome) []mail.ID {
	f.Helper()
	lost, err := f.s.Settle(f.Context(), o)
	f.must(err)
	return lost
}

func (f *fixture) rows(q store.RowQuery) []store.Row {
	f.Helper()
	rows, err := f.s.Rows(f.Context(), q)
	f.must(err)
	return rows
}

func (f *fixture) hops() []store.NextHop {
	f.Helper()
	hops, err := f.s.NextHops(f.Context())
	f.must(err)
	return hops
}

func (f *fixture) events(q store.EventQuery) store.EventPage {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	p, err := f.s.Events(f.Context(), q)
	f.must(err)
	return p
}

// read reads a message's content.
func (f *fixture) read(domain int64, id mail.ID) string {
	f.Helper()
	c, err := f.s.Content(f.Context(), domain, id)
	f.must(err)
	r, err := c.Open()
	f.must(err)
	defer r.Close()
	octets, err := io.ReadAll(r)
	f.must(err)
	if int64(len(octets)) != c.Size {
		f.Fatalf("content has %d octets, Size says %d", len(octets), c.Size)
	}
	return string(octets)
}

// delivered is the outcome of rows that were delivered.
func delivered(rows ...store.Row) store.Outcome {
	o := store.Outcome{Message: rows[0].Message, DomainID: rows[0].DomainID}
	for _, r := range rows {
		o.Rows = append(o.Rows, store.RowOutcome{Row: r.ID, Lease: r.Lease, Final: true,
			Event: &event.Record{Type: event.Delivered, Recipient: r.Recipient.String(), Data: event.Data{Status: &event.Status{Code: 250, Message: "OK", AttemptNo: r.Attempt + 1}}}})
	}
	return o
}

// deferred is the outcome of rows that wait until due.
func deferred(due time.Time, rows ...store.Row) store.Outcome {
	o := store.Outcome{Message: rows[0].Message, DomainID: rows[0].DomainID}
	for _, r := range rows {
		o.Rows = append(o.Rows, store.RowOutcome{Row: r.ID, Lease: r.Lease, Due: due, Attempt: r.Attempt + 1, LastReply: "451 later",
			Event: &event.Record{Type: event.FailedTemporary, Recipient: r.Recipient.String(), Data: event.Data{Reason: "generic", Status: &event.Status{Code: 451, AttemptNo: r.Attempt + 1}}}})
	}
	return o
}

func recipients(rows []store.Row) []string {
	var list []string
	for _, r := range rows {
		list = append(list, r.Recipient.String())
	}
	return list
}

func rowIDs(rows []store.Row) []mail.ID {
	var list []mail.ID
	for _, r := range rows {
		list = append(list, r.ID)
	}
	return list
}

// kinds lists a page's events as "type recipient".
func kinds(p store.EventPage) []string {
	var list []string
	for _, e := range p.Items {
		list = append(list, strings.TrimSpace(strings.Join([]string{e.Type.String(), e.Type.Severity(), e.Recipient}, " ")))
	}
	for i, k := range list {
		list[i] = strings.Join(strings.Fields(k), " ")
	}
	return list
}

func sorted[T interface{ ~string | ~int64 }](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// cancelled returns a context that has ended.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
