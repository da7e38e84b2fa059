package storetest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// newDomain creates a domain and returns its id.
func (f *fixture) newDomain(name string) int64 {
	f.Helper()
	return f.domain(name).ID
}

func bounced(address string) store.Suppression {
	return store.Suppression{Value: address, Code: "550", Text: "no such user", Created: t0}
}

func unsubscribed(address string, tags ...string) store.Suppression {
	return store.Suppression{Value: address, Tags: tags, Created: t0}
}

func plain(value string) store.Suppression { return store.Suppression{Value: value, Created: t0} }

func (f *fixture) suppress(domain int64, list store.SuppressionList, entries ...store.Suppression) {
	f.Helper()
	f.must(f.s.PutSuppressions(f.Context(), domain, list, entries))
}

// values lists the values of a page.
func (f *fixture) values(q store.SuppressionQuery) string {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	list, err := f.s.ListSuppressions(f.Context(), q)
	f.must(err)
	var values []string
	for _, s := range list {
		values = append(values, s.Value)
	}
	return strings.Join(values, " ")
}

// suppressed asks about addresses and returns the lists' names.
func (f *fixture) suppressed(domain int64, tags string, to ...string) string {
	f.Helper()
	var addresses []mail.Address
	for _, a := range to {
		addresses = append(addresses, address(a))
	}
	lists, err := f.s.Suppressed(f.Context(), domain, addresses, strings.Fields(tags))
	f.must(err)
	if lists == nil {
		return "nobody"
	}
	if len(lists) != len(to) {
		f.Fatalf("%d answers for %d addresses", len(lists), len(to))
	}
	var names []string
	for _, l := range lists {
		names = append(names, l.String())
	}
	return strings.Join(names, " ")
}

var suppressionTests = []test{
	{"entries are found again, whole and in any letter case", func(f *fixture) {
		d := f.newDomain("a.example")
		want := map[store.SuppressionList]store.Suppression{
			store.Bounces:      {Value: "Ann@Example.net", Code: "552", Text: "5.2.2 voll, »groß« 'quoted'", Created: t0.Add(time.Microsecond)},
			store.Unsubscribes: {Value: "Ann@Example.net", Tags: []string{"News", "a \"b\""}, Created: t0},
			store.Complaints:   {Value: "Ann@Example.net", Created: t0},
			store.Allowlist:    {Value: "Ann@Example.net", Text: "our own", Created: t0},
		}
		for list, s := range want {
			f.suppress(d, list, s)
		}
		for range 2 {
			for list, s := range want {
				got, err := f.s.Suppression(f.Context(), d, list, "aNN@eXAMPLE.NET")
				f.must(err)
				f.same(list.String(), got, s)
			}
			f.reopen(f)
		}
	}},
	{"what is not there is not found", func(f *fixture) {
		a, b := f.newDomain("a.example"), f.newDomain("b.example")
		f.suppress(a, store.Bounces, bounced("ann@example.net"))
		_, err := f.s.Suppression(f.Context(), a, store.Complaints, "ann@example.net") // another list
		f.is(err, store.ErrNotFound)
		_, err = f.s.Suppression(f.Context(), b, store.Bounces, "ann@example.net") // another domain
		f.is(err, store.ErrNotFound)
		f.is(f.s.DeleteSuppression(f.Context(), b, store.Bounces, "ann@example.net", ""), store.ErrNotFound)
		f.must(f.s.ClearSuppressions(f.Context(), b, store.Bounces))
		f.same("of a after b was cleared", f.values(store.SuppressionQuery{DomainID: a, List: store.Bounces}), "ann@example.net")
		f.is(f.s.PutSuppressions(f.Context(), b+99, store.Bounces, []store.Suppression{plain("x@example.net")}), store.ErrNotFound)
	}},
	{"a later entry replaces an earlier one, and tags add up", func(f *fixture) {
		d := f.newDomain("a.example")
		f.suppress(d, store.Bounces, bounced("ann@example.net"), store.Suppression{Value: "ANN@example.net", Code: "551", Created: t0.Add(time.Hour)})
		got, err := f.s.Suppression(f.Context(), d, store.Bounces, "ann@example.net")
		f.must(err)
		f.same("in one call", got, store.Suppression{Value: "ANN@example.net", Code: "551", Created: t0.Add(time.Hour)})
		f.suppress(d, store.Bounces, bounced("ann@example.net"))
		got, err = f.s.Suppression(f.Context(), d, store.Bounces, "ann@example.net")
		f.must(err)
		f.same("in the next call", got, bounced("ann@example.net"))

		f.suppress(d, store.Unsubscribes, unsubscribed("ann@example.net", "news"), unsubscribed("ann@example.net", "offers"))
		f.suppress(d, store.Unsubscribes, unsubscribed("Ann@example.net", "NEWS", "*"))
		got, err = f.s.Suppression(f.Context(), d, store.Unsubscribes, "ann@example.net")
		f.must(err)
		f.same("tags", got, unsubscribed("Ann@example.net", "news", "offers", "*"))
		var many []string
		for i := range store.ManyTags {
			many = append(many, fmt.Sprint("t", i))
		}
		f.suppress(d, store.Unsubscribes, unsubscribed("ann@example.net", many...))
		got, err = f.s.Suppression(f.Context(), d, store.Unsubscribes, "ann@example.net")
		f.must(err)
		f.same("too many tags", got.Tags, []string{store.AllTags})
	}},
	{"pages go both ways by key, narrowed by a prefix", func(f *fixture) {
		d := f.newDomain("a.example")
		for _, n := range []string{"d", "B", "a", "ab", "C", "ä", "e"} {
			f.suppress(d, store.Complaints, plain(n+"@example.net"))
		}
		f.suppress(d, store.Bounces, bounced("aa@example.net"))
		all := "a@example.net ab@example.net B@example.net C@example.net d@example.net e@example.net ä@example.net"
		for _, c := range []struct {
			name string
			q    store.SuppressionQuery
			want string
		}{
			{"everything", store.SuppressionQuery{}, all},
			{"the first", store.SuppressionQuery{Limit: 2}, "a@example.net ab@example.net"},
			{"the next", store.SuppressionQuery{After: "AB@example.net", Limit: 2}, "B@example.net C@example.net"},
			{"the previous", store.SuppressionQuery{Before: "d@example.net", FromEnd: true, Limit: 2}, "B@example.net C@example.net"},
			{"the last", store.SuppressionQuery{FromEnd: true, Limit: 2}, "e@example.net ä@example.net"},
			{"behind the end", store.SuppressionQuery{After: "ä@example.net"}, ""},
			{"before the beginning", store.SuppressionQuery{Before: "a@example.net", FromEnd: true}, ""},
			{"a pivot that is not there", store.SuppressionQuery{After: "cc@example.net", Limit: 1}, "d@example.net"},
			{"a prefix", store.SuppressionQuery{Prefix: "A"}, "a@example.net ab@example.net"},
			{"the last of a prefix", store.SuppressionQuery{Prefix: "a", FromEnd: true, Limit: 1}, "ab@example.net"},
			{"a prefix and a pivot", store.SuppressionQuery{Prefix: "a", After: "a@example.net"}, "ab@example.net"},
			{"a prefix of nothing", store.SuppressionQuery{Prefix: "a%"}, ""},
		} {
			c.q.DomainID, c.q.List = d, store.Complaints
			f.same(c.name, f.values(c.q), c.want)
		}
	}},
	{"entries and tags are removed", func(f *fixture) {
		d := f.newDomain("a.example")
		f.suppress(d, store.Bounces, bounced("ann@example.net"), bounced("bob@example.net"))
		f.must(f.s.DeleteSuppression(f.Context(), d, store.Bounces, "ANN@example.net", ""))
		f.is(f.s.DeleteSuppression(f.Context(), d, store.Bounces, "ann@example.net", ""), store.ErrNotFound)
		f.same("left", f.values(store.SuppressionQuery{DomainID: d, List: store.Bounces}), "bob@example.net")

		f.suppress(d, store.Unsubscribes, unsubscribed("ann@example.net", "News", "offers"))
		f.must(f.s.DeleteSuppression(f.Context(), d, store.Unsubscribes, "ann@example.net", "news"))
		f.is(f.s.DeleteSuppression(f.Context(), d, store.Unsubscribes, "ann@example.net", "news"), store.ErrNotFound)
		got, err := f.s.Suppression(f.Context(), d, store.Unsubscribes, "ann@example.net")
		f.must(err)
		f.same("tags", got.Tags, []string{"offers"})
		f.must(f.s.DeleteSuppression(f.Context(), d, store.Unsubscribes, "ann@example.net", "OFFERS"))
		_, err = f.s.Suppression(f.Context(), d, store.Unsubscribes, "ann@example.net")
		f.is(err, store.ErrNotFound)
	}},
	{"a long list is cleared, and only it", func(f *fixture) {
		d := f.newDomain("a.example")
		f.suppress(d, store.Complaints, plain("zoe@example.net"))
		var entries []store.Suppression
		for i := range 12_345 {
			if entries = append(entries, bounced(fmt.Sprintf("u%05d@example.net", i))); len(entries) == store.MaxSuppressions {
				f.suppress(d, store.Bounces, entries...)
				entries = entries[:0]
			}
		}
		f.suppress(d, store.Bounces, entries...)
		f.same("the last", f.values(store.SuppressionQuery{DomainID: d, List: store.Bounces, FromEnd: true, Limit: 1}), "u12344@example.net")
		f.must(f.s.ClearSuppressions(f.Context(), d, store.Bounces))
		f.same("bounces", f.values(store.SuppressionQuery{DomainID: d, List: store.Bounces}), "")
		f.same("complaints", f.values(store.SuppressionQuery{DomainID: d, List: store.Complaints}), "zoe@example.net")
		f.must(f.s.ClearSuppressions(f.Context(), d, store.Bounces))
	}},
	{"too many entries at once are refused whole", func(f *fixture) {
		d := f.newDomain("a.example")
		entries := make([]store.Suppression, store.MaxSuppressions+1)
		for i := range entries {
			entries[i] = bounced(fmt.Sprintf("u%d@example.net", i))
		}
		if f.s.PutSuppressions(f.Context(), d, store.Bounces, entries) == nil {
			f.Error("they were taken")
		}
		f.same("bounces", f.values(store.SuppressionQuery{DomainID: d, List: store.Bounces}), "")
	}},
	{"lists go with their domain", func(f *fixture) {
		d := f.newDomain("a.example")
		f.suppress(d, store.Bounces, bounced("ann@example.net"))
		f.suppress(d, store.Allowlist, plain("example.net"))
		f.same("before", f.suppressed(d, "", "ann@example.net"), "bounces")
		f.must(f.s.DeleteDomain(f.Context(), "a.example"))
		f.same("bounces", f.values(store.SuppressionQuery{DomainID: d, List: store.Bounces}), "")
		f.same("allowlist", f.values(store.SuppressionQuery{DomainID: d, List: store.Allowlist}), "")
		f.same("after", f.suppressed(d, "", "ann@example.net"), "nobody")
		again := f.newDomain("a.example")
		f.same("the next owner", f.suppressed(again, "", "ann@example.net"), "nobody")
	}},
	{"the gravest list says who gets no mail", func(f *fixture) {
		d, other := f.newDomain("a.example"), f.newDomain("b.example")
		f.same("without entries", f.suppressed(d, "news", "ann@example.net"), "nobody")
		f.suppress(d, store.Allowlist, plain("example.net"))
		f.same("with an allowlist", f.suppressed(d, "news", "ann@example.net"), "nobody")
		f.suppress(d, store.Unsubscribes, unsubscribed("all@example.net", "*"), unsubscribed("tag@example.net", "offers", "News"), unsubscribed("b@example.net", "*"))
		f.suppress(d, store.Complaints, plain("C@example.net"), plain("b@example.net"))
		f.suppress(d, store.Bounces, bounced("b@example.net"), bounced("B2@example.net"))
		for range 2 {
			f.same("with a tag", f.suppressed(d, "x NEWS", "none@example.net", "all@example.net", "TAG@example.net", "c@example.net", "b@example.net", "b2@example.net", "All@example.net"),
				"none unsubscribes unsubscribes complaints bounces bounces unsubscribes")
			f.same("with another tag", f.suppressed(d, "x", "tag@example.net", "c@example.net"), "none complaints")
			f.same("without a tag", f.suppressed(d, "", "tag@example.net"), "nobody")
			f.same("another domain", f.suppressed(other, "news", "all@example.net", "b@example.net"), "nobody")
			f.reopen(f)
		}
		f.must(f.s.DeleteSuppression(f.Context(), d, store.Bounces, "b@example.net", ""))
		f.same("after the bounce was removed", f.suppressed(d, "", "b@example.net"), "complaints")
		for _, l := range []store.SuppressionList{store.Bounces, store.Complaints, store.Unsubscribes} {
			f.must(f.s.ClearSuppressions(f.Context(), d, l))
		}
		f.same("after all were cleared", f.suppressed(d, "", "b@example.net", "all@example.net"), "nobody")
	}},
	{"many recipients are looked up together", func(f *fixture) {
		d := f.newDomain("a.example")
		f.suppress(d, store.Bounces, bounced("u007@example.net"), bounced("u999@example.net"))
		var to []mail.Address
		for i := range 1000 {
			to = append(to, address(fmt.Sprintf("U%03d@example.net", i)))
		}
		lists, err := f.s.Suppressed(f.Context(), d, to, nil)
		f.must(err)
		for i, l := range lists {
			if (l == store.Bounces) != (i == 7 || i == 999) {
				f.Errorf("%s is on %s", to[i], l)
			}
		}
	}},
	{"an entry counts once its call has returned, whoever asks meanwhile", func(f *fixture) {
		d := f.newDomain("a.example")
		var asking sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := f.s.Suppressed(f.Context(), d, []mail.Address{address("x@example.net")}, nil); err != nil {
						f.Error(err)
						return
					}
				}
			})
		}
		for i := range 100 {
			who := fmt.Sprintf("u%d@example.net", i)
			f.suppress(d, store.Complaints, plain(who))
			f.same(who, f.suppressed(d, "", who), "complaints")
			f.must(f.s.ClearSuppressions(f.Context(), d, store.Complaints))
			f.same(who, f.suppressed(d, "", who), "nobody")
		}
		close(stop)
		asking.Wait()
	}},
	{"bounces are added with the follower's position, but none that is allowed", func(f *fixture) {
		a, b := f.newDomain("a.example"), f.newDomain("b.example")
		f.suppress(a, store.Allowlist, plain("Ann@example.net"), plain("partner.example"))
		bounce := func(d int64, who string) store.Bounce {
			return store.Bounce{DomainID: d, Address: address(who), Suppression: bounced(who)}
		}
		n, err := f.s.PutBounces(f.Context(), []store.Bounce{
			bounce(a, "ann@EXAMPLE.net"), bounce(a, "x@partner.example"), bounce(a, "x@sub.partner.example"), bounce(a, "bob@example.net"),
			bounce(b, "ann@example.net"), bounce(b+99, "eve@example.net"),
		}, "bounces", 77)
		f.must(err)
		f.same("added", n, 3)
		f.same("of a", f.values(store.SuppressionQuery{DomainID: a, List: store.Bounces}), "bob@example.net x@sub.partner.example")
		f.same("of b", f.values(store.SuppressionQuery{DomainID: b, List: store.Bounces}), "ann@example.net")
		n, err = f.s.PutBounces(f.Context(), nil, "bounces", 99)
		f.must(err)
		f.same("added of none", n, 0)
		f.reopen(f)
		at, err := f.s.Cursor(f.Context(), "bounces")
		f.must(err)
		f.same("position", at, mail.ID(99))
		f.same("suppressed", f.suppressed(b, "", "Ann@example.net"), "bounces")
	}},
	{"a context that has ended adds and removes nothing", func(f *fixture) {
		d := f.newDomain("a.example")
		f.suppress(d, store.Bounces, bounced("ann@example.net"))
		if f.s.PutSuppressions(cancelled(), d, store.Bounces, []store.Suppression{bounced("bob@example.net")}) == nil ||
			f.s.DeleteSuppression(cancelled(), d, store.Bounces, "ann@example.net", "") == nil ||
			f.s.ClearSuppressions(cancelled(), d, store.Bounces) == nil {
			f.Error("a change was made under a context that has ended")
		}
		f.same("bounces", f.values(store.SuppressionQuery{DomainID: d, List: store.Bounces}), "ann@example.net")
	}},
}

var importTests = []test{
	{"an import and what it found are stored together", func(f *fixture) {
		d := f.newDomain("a.example")
		im := store.Import{DomainID: d, List: store.Unsubscribes, File: "grüße.csv", Size: 1234}
		f.must(f.s.CreateImport(f.Context(), &im))
		if im.ID == 0 || im.State != store.ImportRunning || im.Created.IsZero() {
			f.Fatalf("created as %+v", im)
		}
		im.Records, im.Bad, im.Problems = 3, 1, []string{"line 2: not an address"}
		f.must(f.s.AdvanceImport(f.Context(), &im, []store.Suppression{unsubscribed("ann@example.net", "*"), unsubscribed("bob@example.net", "*")}))
		f.reopen(f)
		running, err := f.s.UnfinishedImports(f.Context())
		f.must(err)
		f.same("running", running, []store.Import{im})
		f.same("entries", f.values(store.SuppressionQuery{DomainID: d, List: store.Unsubscribes}), "ann@example.net bob@example.net")
		f.same("suppressed", f.suppressed(d, "", "ann@example.net"), "unsubscribes")

		im.State, im.Finished, im.Records = store.ImportDone, t0, 4
		f.must(f.s.AdvanceImport(f.Context(), &im, nil))
		running, err = f.s.UnfinishedImports(f.Context())
		f.must(err)
		f.same("running after the end", len(running), 0)
		list, err := f.s.ListImports(f.Context(), d)
		f.must(err)
		f.same("listed", list, []store.Import{im})
	}},
	{"imports belong to their domain and go with it", func(f *fixture) {
		a, b := f.newDomain("a.example"), f.newDomain("b.example")
		im := store.Import{DomainID: a, List: store.Bounces}
		f.must(f.s.CreateImport(f.Context(), &im))
		list, err := f.s.ListImports(f.Context(), b)
		f.must(err)
		f.same("of another", len(list), 0)
		foreign := im
		foreign.DomainID = b
		f.is(f.s.AdvanceImport(f.Context(), &foreign, []store.Suppression{bounced("ann@example.net")}), store.ErrNotFound)
		f.same("entries", f.values(store.SuppressionQuery{DomainID: b, List: store.Bounces}), "")
		f.must(f.s.DeleteDomain(f.Context(), "a.example"))
		f.is(f.s.AdvanceImport(f.Context(), &im, nil), store.ErrNotFound)
		f.is(f.s.CreateImport(f.Context(), &store.Import{DomainID: a, List: store.Bounces}), store.ErrNotFound)
		running, err := f.s.UnfinishedImports(f.Context())
		f.must(err)
		f.same("running", len(running), 0)
	}},
	{"the latest imports are kept, and those that run", func(f *fixture) {
		d := f.newDomain("a.example")
		var ids []int64
		for i := range 130 {
			im := store.Import{DomainID: d, List: store.Bounces}
			f.must(f.s.CreateImport(f.Context(), &im))
			ids = append(ids, im.ID)
			if i > 0 {
				im.State, im.Finished = store.ImportFailed, t0
				f.must(f.s.AdvanceImport(f.Context(), &im, nil))
			}
		}
		list, err := f.s.ListImports(f.Context(), d)
		f.must(err)
		f.same("number", len(list), 100)
		f.same("latest", list[0].ID, ids[129])
		f.same("oldest", list[99].ID, ids[30])
		running, err := f.s.UnfinishedImports(f.Context())
		f.must(err)
		f.same("running", len(running), 1)
	}},
}
