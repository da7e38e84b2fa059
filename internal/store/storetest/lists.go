package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// route creates a route of an account.
func (f *fixture) route(account int64, priority int, description string) store.Route {
	f.Helper()
	r := store.Route{AccountID: account, Priority: priority, Description: description, Expression: `catch_all()`, Actions: []string{`forward("a@b.example")`, "stop()"}}
	f.must(f.s.CreateRoute(f.Context(), &r))
	return r
}

var routeTests = []test{
	{"a route is found again as it was, in the order of its priority", func(f *fixture) {
		last, first, second := f.route(1, 5, "last"), f.route(1, 0, "first"), f.route(0, 0, "second")
		f.same("account", second.AccountID, store.PrimaryAccount)
		f.route(2, 0, "of another")
		for range 2 {
			got, err := f.s.Route(f.Context(), 1, last.ID)
			f.must(err)
			f.same("route", got, last)
			list, total, err := f.s.ListRoutes(f.Context(), 1, 0, 10)
			f.must(err)
			f.same("routes", list, []store.Route{first, second, last})
			f.same("total", total, 3)
			list, total, err = f.s.ListRoutes(f.Context(), 1, 1, 1)
			f.must(err)
			f.same("routes", list, []store.Route{second})
			f.same("total", total, 3)
			_, total, err = f.s.ListRoutes(f.Context(), 0, 0, 10)
			f.must(err)
			f.same("of all accounts", total, 4)
			f.reopen(f)
		}
	}},
	{"a route is changed and removed by its account only", func(f *fixture) {
		r := f.route(1, 1, "x")
		change := func(r *store.Route) error {
			r.ID, r.AccountID, r.Priority, r.Actions = "no", 9, 7, []string{"stop()"}
			return nil
		}
		_, err := f.s.UpdateRoute(f.Context(), 2, r.ID, change)
		f.is(err, store.ErrNotFound)
		f.is(f.s.DeleteRoute(f.Context(), 2, r.ID), store.ErrNotFound)
		_, err = f.s.Route(f.Context(), 2, r.ID)
		f.is(err, store.ErrNotFound)
		no := errors.New("no")
		_, err = f.s.UpdateRoute(f.Context(), 1, r.ID, func(r *store.Route) error { r.Priority = 3; return no })
		f.is(err, no)
		got, err := f.s.UpdateRoute(f.Context(), 1, r.ID, change)
		f.must(err)
		r.Priority, r.Actions = 7, []string{"stop()"}
		f.same("route", got, r)
		got, err = f.s.Route(f.Context(), 0, r.ID)
		f.must(err)
		f.same("route", got, r)
		f.must(f.s.DeleteRoute(f.Context(), 1, r.ID))
		f.is(f.s.DeleteRoute(f.Context(), 1, r.ID), store.ErrNotFound)
	}},
	{"there is a limit on routes of an account", func(f *fixture) {
		for range store.MaxRoutes {
			f.route(1, 0, "")
		}
		f.is(f.s.CreateRoute(f.Context(), &store.Route{}), store.ErrLimit)
		f.route(2, 0, "")
	}},
}

// list creates a mailing list of an account.
func (f *fixture) list(account int64, address string) store.MailingList {
	f.Helper()
	domain := address[strings.IndexByte(address, '@')+1:]
	d, err := f.s.Domain(f.Context(), domain)
	if err != nil {
		d.ID = f.tenant(domain)
	}
	l := store.MailingList{AccountID: account, DomainID: d.ID, Address: address, Name: "Näme", Description: "d", Access: store.AccessMembers, ReplyPreference: "sender"}
	f.must(f.s.CreateMailingList(f.Context(), &l))
	return l
}

// put puts members on a list.
func (f *fixture) put(list int64, upsert bool, members ...store.ListMember) int {
	f.Helper()
	n, err := f.s.PutListMembers(f.Context(), list, members, upsert)
	f.must(err)
	return n
}

// members returns the addresses that a query finds, and the total.
func (f *fixture) members(list int64, q store.MemberQuery) string {
	f.Helper()
	found, total, err := f.s.ListMembers(f.Context(), list, q)
	f.must(err)
	var names []string
	for _, m := range found {
		names = append(names, m.Address[:1])
	}
	return fmt.Sprint(strings.Join(names, ""), " of ", total)
}

var listTests = []test{
	{"a list is found again as it was, with its number of members", func(f *fixture) {
		l := f.list(0, "news@a.example")
		f.same("account", l.AccountID, store.PrimaryAccount)
		f.same("stored", f.put(l.ID, false, store.ListMember{Address: "b@x.example", Vars: "{}"}, store.ListMember{Address: "c@x.example", Subscribed: true}), 2)
		l.Members = 2
		for range 2 {
			got, err := f.s.MailingList(f.Context(), 1, "news@a.example")
			f.must(err)
			f.same("list", got, l)
			f.reopen(f)
		}
	}},
	{"a list of another account does not exist", func(f *fixture) {
		f.list(1, "a@a.example")
		l := f.list(2, "b@b.example")
		_, err := f.s.MailingList(f.Context(), 1, "b@b.example")
		f.is(err, store.ErrNotFound)
		_, err = f.s.UpdateMailingList(f.Context(), 1, "b@b.example", func(*store.MailingList) error { return nil })
		f.is(err, store.ErrNotFound)
		f.is(f.s.DeleteMailingList(f.Context(), 1, "b@b.example"), store.ErrNotFound)
		lists, total, err := f.s.MailingLists(f.Context(), 2, store.NamePage{Limit: 10}, 0)
		f.must(err)
		f.same("lists", lists, []store.MailingList{l})
		f.same("total", total, 1)
		_, total, err = f.s.MailingLists(f.Context(), 0, store.NamePage{Limit: 10}, 0)
		f.must(err)
		f.same("of all accounts", total, 2)
		f.is(f.s.CreateMailingList(f.Context(), &store.MailingList{DomainID: l.DomainID, Address: "b@b.example", Access: store.AccessEveryone, ReplyPreference: "list"}), store.ErrExists)
	}},
	{"a list that changes its address takes its members along, but no other's address", func(f *fixture) {
		l := f.list(1, "a@a.example")
		f.list(1, "b@a.example")
		f.put(l.ID, false, store.ListMember{Address: "x@x.example", Vars: "{}"})
		rename := func(to string) func(*store.MailingList) error {
			return func(l *store.MailingList) error { l.ID, l.AccountID, l.Members, l.Address = 99, 99, 99, to; return nil }
		}
		_, err := f.s.UpdateMailingList(f.Context(), 1, "a@a.example", rename("b@a.example"))
		f.is(err, store.ErrExists)
		got, err := f.s.UpdateMailingList(f.Context(), 1, "a@a.example", rename("c@a.example"))
		f.must(err)
		l.Address, l.Members = "c@a.example", 1
		f.same("list", got, l)
		f.same("members", f.members(l.ID, store.MemberQuery{NamePage: store.NamePage{Limit: 5}}), "x of 1")
		f.must(f.s.DeleteMailingList(f.Context(), 1, "c@a.example"))
		f.same("members", f.members(l.ID, store.MemberQuery{NamePage: store.NamePage{Limit: 5}}), " of 0")
	}},
	{"a list needs a domain, and goes with it", func(f *fixture) {
		f.is(f.s.CreateMailingList(f.Context(), &store.MailingList{DomainID: 999, Address: "x@a.example"}), store.ErrNotFound)
		l := f.list(1, "a@a.example")
		f.put(l.ID, false, store.ListMember{Address: "x@x.example", Vars: "{}"})
		f.must(f.s.DeleteDomain(f.Context(), "a.example"))
		_, err := f.s.MailingList(f.Context(), 1, "a@a.example")
		f.is(err, store.ErrNotFound)
		f.same("members", f.members(l.ID, store.MemberQuery{NamePage: store.NamePage{Limit: 5}}), " of 0")
	}},
	{"members are replaced only if that is asked for", func(f *fixture) {
		l := f.list(1, "a@a.example")
		old := store.ListMember{Address: "x@x.example", Name: "old", Vars: `{"a":1}`, Subscribed: true}
		replacement := store.ListMember{Address: "x@x.example", Name: "new", Vars: `{}`}
		f.same("stored", f.put(l.ID, false, old), 1)
		f.same("stored", f.put(l.ID, false, replacement, store.ListMember{Address: "y@x.example", Vars: "{}"}), 1)
		got, err := f.s.ListMember(f.Context(), l.ID, "x@x.example")
		f.must(err)
		f.same("member", got, old)
		f.same("stored", f.put(l.ID, true, replacement), 1)
		got, err = f.s.ListMember(f.Context(), l.ID, "x@x.example")
		f.must(err)
		f.same("member", got, replacement)
		_, err = f.s.PutListMembers(f.Context(), 999, []store.ListMember{old}, true)
		f.is(err, store.ErrNotFound)
	}},
	{"a member is changed and removed", func(f *fixture) {
		l := f.list(1, "a@a.example")
		f.put(l.ID, false, store.ListMember{Address: "x@x.example", Vars: "{}"}, store.ListMember{Address: "y@x.example", Vars: "{}"})
		_, err := f.s.UpdateListMember(f.Context(), l.ID, "x@x.example", func(m *store.ListMember) error { m.Address = "y@x.example"; return nil })
		f.is(err, store.ErrExists)
		_, err = f.s.UpdateListMember(f.Context(), l.ID, "none@x.example", func(*store.ListMember) error { return nil })
		f.is(err, store.ErrNotFound)
		want := store.ListMember{Address: "z@x.example", Name: "n", Vars: `{"k":"v"}`, Subscribed: true}
		got, err := f.s.UpdateListMember(f.Context(), l.ID, "x@x.example", func(m *store.ListMember) error { *m = want; return nil })
		f.must(err)
		f.same("member", got, want)
		for range 2 {
			got, err = f.s.ListMember(f.Context(), l.ID, "z@x.example")
			f.must(err)
			f.same("member", got, want)
			f.reopen(f)
		}
		f.must(f.s.DeleteListMember(f.Context(), l.ID, "z@x.example"))
		f.is(f.s.DeleteListMember(f.Context(), l.ID, "z@x.example"), store.ErrNotFound)
	}},
	{"members are listed by address, in pages, all or those subscribed", func(f *fixture) {
		l := f.list(1, "a@a.example")
		for i, name := range []string{"c", "a", "e", "b", "d"} {
			f.put(l.ID, false, store.ListMember{Address: name + "@x.example", Vars: "{}", Subscribed: i < 3})
		}
		yes, no := true, false
		for want, q := range map[string]store.MemberQuery{
			"ab of 5":    {NamePage: store.NamePage{Limit: 2}},
			"cd of 5":    {NamePage: store.NamePage{Limit: 2, After: "b@x.example"}},
			"de of 5":    {NamePage: store.NamePage{Limit: 2, Last: true}},
			"bc of 5":    {NamePage: store.NamePage{Limit: 2, Before: "d@x.example"}},
			"bcd of 5":   {NamePage: store.NamePage{Limit: 3}, Skip: 1},
			"ace of 3":   {NamePage: store.NamePage{Limit: 9}, Subscribed: &yes},
			"bd of 2":    {NamePage: store.NamePage{Limit: 9}, Subscribed: &no},
			"abcde of 5": {NamePage: store.NamePage{Limit: 9}},
		} {
			f.same("members", f.members(l.ID, q), want)
		}
	}},
}
