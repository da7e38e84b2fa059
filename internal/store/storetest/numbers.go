package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// counts returns additions of one to a counter in the given hour and series.
func counts(upTo mail.ID, hour int64, counter store.Counter, keys ...store.SeriesKey) *store.Counts {
	c := &store.Counts{UpTo: upTo, Series: map[store.SeriesKey]*store.Addition{}}
	at := time.Unix(hour*3600, 0).UTC()
	for _, k := range keys {
		c.Series[k] = &store.Addition{Shown: strings.ToUpper(k.Name), First: at, Last: at, Counts: map[store.CounterHour]int64{{Hour: hour, Counter: counter}: 1}}
	}
	return c
}

func series(domain int64, v store.View, names ...string) store.SeriesKey {
	k := store.SeriesKey{DomainID: domain, View: v}
	if len(names) > 0 {
		k.Name = names[0]
	}
	if len(names) > 1 {
		k.Second = names[1]
	}
	return k
}

// sums returns what a query finds, a line each, sorted.
func (f *fixture) sums(q store.SumQuery) []string {
	f.Helper()
	lines := []string{}
	f.must(f.s.Sums(f.Context(), q, func(s store.Sum) error {
		lines = append(lines, fmt.Sprintf("%d %d %q %q %q %d: counter %d is %d", s.Key.DomainID, s.Key.View, s.Key.Name, s.Key.Second, s.Shown, s.Hour, s.Counter, s.N))
		return nil
	}))
	slices.Sort(lines)
	return lines
}

// noon is an hour of counters.
var noon = store.HourOf(t0)

var numberTests = []test{
	{"counters add up, and the position with them, also after a restart", func(f *fixture) {
		key := series(domainA, store.ViewAll)
		for i := range 3 {
			f.must(f.s.AddCounts(f.Context(), counts(mail.ID(i+1), noon, store.Opened, key)))
			f.reopen(f)
		}
		upTo, err := f.s.Counted(f.Context())
		f.must(err)
		f.same("position", upTo, mail.ID(3))
		f.same("sums", f.sums(store.SumQuery{Domains: []int64{domainA, domainB}, From: noon, To: noon + 1}), []string{`11 0 "" "" "" 0: counter 8 is 3`})
	}},
	{"ids after a restart are above what was counted", func(f *fixture) {
		ahead := mail.FirstID(time.Now().Add(time.Hour)) // of a clock that was set back since
		f.must(f.s.AddCounts(f.Context(), &store.Counts{UpTo: ahead}))
		f.reopen(f)
		if id := f.s.NewID(); id <= ahead {
			f.Errorf("id %v was given, which was passed at %v", id, ahead)
		}
	}},
	{"a context that has ended counts nothing", func(f *fixture) {
		if err := f.s.AddCounts(cancelled(), counts(1, noon, store.Opened, series(domainA, store.ViewAll))); err == nil {
			f.Error("no error")
		}
		upTo, err := f.s.Counted(f.Context())
		f.must(err)
		f.same("position", upTo, mail.ID(0))
	}},
	{"sums are of the hours, names and steps asked for", func(f *fixture) {
		for i, h := range []int64{0, 1, 23, 24, 49} {
			f.must(f.s.AddCounts(f.Context(), counts(mail.ID(i+1), h+240, store.Clicked,
				series(domainA, store.ViewTag, "a"), series(domainA, store.ViewTagDevice, "a", "desktop"), series(domainB, store.ViewTag, "a"))))
			f.must(f.s.AddCounts(f.Context(), counts(mail.ID(i+1), h+240, store.Opened, series(domainA, store.ViewTag, "b"))))
		}
		f.same("by day", f.sums(store.SumQuery{Domains: []int64{domainA}, View: store.ViewTag, From: 241, To: 288, Step: 24}), []string{
			`11 1 "a" "" "A" 240: counter 9 is 2`, `11 1 "a" "" "A" 264: counter 9 is 1`,
			`11 1 "b" "" "B" 240: counter 8 is 2`, `11 1 "b" "" "B" 264: counter 8 is 1`,
		})
		f.same("by hour of one", f.sums(store.SumQuery{Domains: []int64{domainA}, View: store.ViewTag, Names: []string{"b", "c"}, From: 263, To: 300, Step: 1}), []string{
			`11 1 "b" "" "B" 263: counter 8 is 1`, `11 1 "b" "" "B" 264: counter 8 is 1`, `11 1 "b" "" "B" 289: counter 8 is 1`,
		})
		f.same("of a pair", f.sums(store.SumQuery{Domains: []int64{domainA}, View: store.ViewTagDevice, Seconds: []string{"desktop"}, From: 0, To: 300}), []string{
			`11 10 "a" "desktop" "A" 0: counter 9 is 5`,
		})
		f.same("of no domain", f.sums(store.SumQuery{View: store.ViewTag, To: 300}), []string{})
		stop := errors.New("enough")
		err := f.s.Sums(f.Context(), store.SumQuery{Domains: []int64{domainA}, View: store.ViewTag, To: 300}, func(store.Sum) error { return stop })
		f.is(err, stop)
	}},
	{"an hour that has just begun is found", func(f *fixture) {
		key := series(domainA, store.ViewDevice, "mobile")
		for i, at := range []time.Time{t0.Add(-time.Second), t0.Add(time.Second)} {
			f.must(f.s.AddCounts(f.Context(), &store.Counts{UpTo: mail.ID(i + 1), Series: map[store.SeriesKey]*store.Addition{key: {
				First: at, Last: at, Counts: map[store.CounterHour]int64{{Hour: store.HourOf(at), Counter: store.Opened}: 1},
			}}}))
		}
		f.same("sums", f.sums(store.SumQuery{Domains: []int64{domainA}, View: store.ViewDevice, From: noon, To: noon + 1}), []string{`11 5 "mobile" "" "mobile" 0: counter 8 is 1`})
	}},
	{"what counts once counts once, for each message, recipient and counter", func(f *fixture) {
		all, tag := series(domainA, store.ViewAll), series(domainA, store.ViewTag, "a")
		open := func(message mail.ID, recipient string, counter store.Counter) {
			c := counts(1, noon, store.Complained, all, tag)
			o := store.OnceCount{Message: message, Recipient: recipient, At: store.CounterHour{Hour: noon, Counter: counter}, Series: []store.SeriesKey{all, tag}}
			c.Once = append(c.Once, o, o)
			f.must(f.s.AddCounts(f.Context(), c))
		}
		open(1, "ann@example.net", store.UniqueOpened)
		open(1, "ann@example.net", store.UniqueOpened)
		f.reopen(f)
		open(1, "ann@example.net", store.UniqueClicked)
		open(1, "bob@example.net", store.UniqueOpened)
		open(2, "ann@example.net", store.UniqueOpened)
		for _, v := range []store.View{store.ViewAll, store.ViewTag} {
			got := f.sums(store.SumQuery{Domains: []int64{domainA}, View: v, From: noon, To: noon + 1})
			if len(got) != 3 || !strings.HasSuffix(got[0], "counter 10 is 3") || !strings.HasSuffix(got[1], "counter 11 is 1") {
				f.Errorf("view %d: %q", v, got)
			}
		}
	}},
	{"many write at a time and nothing is lost", func(f *fixture) {
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				for i := range 20 {
					if err := f.s.AddCounts(f.Context(), counts(1, noon, store.Opened, series(domainA, store.ViewTag, fmt.Sprint(i%5)))); err != nil {
						f.Error(err)
					}
				}
			})
		}
		writers.Wait()
		f.same("sums", f.sums(store.SumQuery{Domains: []int64{domainA}, View: store.ViewTag, Names: []string{"3"}, To: noon + 1}), []string{`11 1 "3" "" "3" 0: counter 8 is 32`})
	}},
	{"series are listed by name, with pages both ways", listSeries},
	{"series are described and deleted, with their pairs", changeSeries},
	{"what has no room is counted as other, or not at all", fullView},
	{"old hours become days, and old days months, and no count is lost", thinCounts},
	{"the numbers of domains that are gone are forgotten", forgetDomains},
}

func listSeries(f *fixture) {
	for i, n := range []string{"delta", "alpha", "charlie", "bravo", "char"} {
		f.must(f.s.AddCounts(f.Context(), counts(1, noon+int64(i), store.Opened, series(domainA, store.ViewTag, n), series(domainB, store.ViewTag, "other-"+n))))
	}
	f.must(f.s.AddCounts(f.Context(), counts(2, noon+48, store.Opened, series(domainA, store.ViewTag, "delta"))))
	names := func(q store.SeriesQuery) string {
		f.Helper()
		q.DomainID, q.View, q.Limit = domainA, store.ViewTag, max(q.Limit, 1)
		list, err := f.s.Series(f.Context(), q)
		f.must(err)
		var b strings.Builder
		for _, s := range list {
			fmt.Fprintf(&b, "%s ", s.Name)
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		q    store.SeriesQuery
		want string
	}{
		{store.SeriesQuery{Limit: 10}, "alpha bravo char charlie delta"},
		{store.SeriesQuery{Limit: 2}, "alpha bravo"},
		{store.SeriesQuery{Limit: 2, After: "bravo"}, "char charlie"},
		{store.SeriesQuery{Limit: 2, Before: "charlie"}, "bravo char"},
		{store.SeriesQuery{Limit: 2, Last: true}, "charlie delta"},
		{store.SeriesQuery{Limit: 9, Prefix: "char"}, "char charlie"},
		{store.SeriesQuery{Limit: 9, Prefix: "char", Last: true}, "char charlie"},
		{store.SeriesQuery{Limit: 9, Name: "bravo"}, "bravo"},
		{store.SeriesQuery{Limit: 9, Name: "BRAVO"}, ""},
	} {
		f.same(fmt.Sprintf("%+v", c.q), names(c.q), c.want)
	}
	list, err := f.s.Series(f.Context(), store.SeriesQuery{DomainID: domainA, View: store.ViewTag, Name: "delta", Limit: 1})
	f.must(err)
	f.same("delta", list, []store.Series{{SeriesKey: series(domainA, store.ViewTag, "delta"), Shown: "DELTA", FirstSeen: t0, LastSeen: t0.Add(48 * time.Hour)}})
	n, err := f.s.CountSeries(f.Context(), domainA, store.ViewTag)
	f.must(err)
	f.same("number", n, 5)
}

func changeSeries(f *fixture) {
	tag, pair, other := series(domainA, store.ViewTag, "a"), series(domainA, store.ViewTagProvider, "a", "gmail.com"), series(domainB, store.ViewTag, "a")
	f.must(f.s.AddCounts(f.Context(), counts(1, noon, store.Opened, tag, pair, other)))
	f.must(f.s.DescribeSeries(f.Context(), tag, "Hello, wörld"))
	list, err := f.s.Series(f.Context(), store.SeriesQuery{DomainID: domainA, View: store.ViewTag, Limit: 1})
	f.must(err)
	f.same("description", list[0].Description, "Hello, wörld")
	f.must(f.s.DeleteSeries(f.Context(), domainA, store.ViewTag, "a"))
	f.is(f.s.DeleteSeries(f.Context(), domainA, store.ViewTag, "a"), store.ErrNotFound)
	f.is(f.s.DescribeSeries(f.Context(), tag, ""), store.ErrNotFound)
	for _, v := range []store.View{store.ViewTag, store.ViewTagProvider} {
		f.same("deleted", f.sums(store.SumQuery{Domains: []int64{domainA}, View: v, To: noon + 1}), []string{})
	}
	f.same("of another domain", len(f.sums(store.SumQuery{Domains: []int64{domainB}, View: store.ViewTag, To: noon + 1})), 1)
	f.must(f.s.AddCounts(f.Context(), counts(2, noon, store.Opened, tag)))
	f.same("begun again", f.sums(store.SumQuery{Domains: []int64{domainA}, View: store.ViewTag, To: noon + 1}), []string{`11 1 "a" "" "A" 0: counter 8 is 1`})
}

func fullView(f *fixture) {
	const over = 5
	for _, v := range []store.View{store.ViewIP, store.ViewDevice} {
		var keys []store.SeriesKey
		for i := range v.Limit() + over {
			keys = append(keys, series(domainA, v, fmt.Sprintf("n%06d", i)))
		}
		for part := range slices.Chunk(keys, v.Limit()/3) { // across transactions
			f.must(f.s.AddCounts(f.Context(), counts(1, noon, store.Opened, part...)))
		}
		f.must(f.s.AddCounts(f.Context(), counts(1, noon, store.Opened, keys[len(keys)-1], keys[0])))
		f.reopen(f)
		f.must(f.s.AddCounts(f.Context(), counts(1, noon, store.Opened, keys[len(keys)-1], keys[0])))
		var total, other int64
		f.must(f.s.Sums(f.Context(), store.SumQuery{Domains: []int64{domainA}, View: v, To: noon + 1}, func(s store.Sum) error {
			total += s.N
			if s.Key.Name == store.OtherName {
				other = s.N
			}
			return nil
		}))
		wantTotal, wantOther := int64(len(keys)+4), int64(over+2)
		if !v.Overflows() {
			wantTotal, wantOther = wantTotal-wantOther, 0
		}
		f.same(fmt.Sprintf("view %d", v), []int64{total, other}, []int64{wantTotal, wantOther})
		// Where one goes there is room again.
		f.must(f.s.DeleteSeries(f.Context(), domainA, v, keys[0].Name))
		if n, err := f.s.CountSeries(f.Context(), domainA, v); err != nil || n >= v.Limit()+1 {
			f.Errorf("%d series, %v", n, err)
		}
	}
}

func thinCounts(f *fixture) {
	a, b := series(domainA, store.ViewAll), series(domainA, store.ViewTag, "t")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var hours int64
	for at := start; at.Before(start.AddDate(0, 4, 0)); at = at.Add(7 * time.Hour) {
		f.must(f.s.AddCounts(f.Context(), counts(1, store.HourOf(at), store.Opened, a, b)))
		hours++
	}
	total := func(from, to time.Time, step int64) (n int64, rows int) {
		f.must(f.s.Sums(f.Context(), store.SumQuery{Domains: []int64{domainA}, View: store.ViewAll, From: store.HourOf(from), To: store.HourOf(to), Step: step}, func(s store.Sum) error {
			n, rows = n+s.N, rows+1
			return nil
		}))
		return n, rows
	}
	march, _ := total(start.AddDate(0, 2, 0), start.AddDate(0, 3, 0), 24)
	thin := store.Thinning{Days: start.AddDate(0, 3, 10).Add(5 * time.Hour), Months: start.AddDate(0, 2, 15), Domains: []int64{domainA}}
	for range 2 { // the second time there is nothing to do
		f.must(f.s.ThinCounts(f.Context(), thin))
		n, _ := total(start, start.AddDate(0, 4, 0), 0)
		f.same("all", n, hours)
		if got, _ := total(start.AddDate(0, 2, 0), start.AddDate(0, 3, 0), 24); got != march {
			f.Errorf("March has %d, had %d", got, march)
		}
		f.reopen(f)
	}
	for _, c := range []struct {
		what     string
		from, to time.Time
		want     int // hours that have a counter
	}{
		{"months", start, start.AddDate(0, 2, 0), 2},
		{"days", start.AddDate(0, 2, 0), start.AddDate(0, 3, 10), 41},
		{"hours", start.AddDate(0, 3, 10), start.AddDate(0, 3, 17), 24},
	} {
		if _, rows := total(c.from, c.to, 1); rows != c.want {
			f.Errorf("%s: %d counters, want %d", c.what, rows, c.want)
		}
	}
	// One that comes late is not lost.
	f.must(f.s.AddCounts(f.Context(), counts(1, store.HourOf(start)+5, store.Opened, a)))
	f.must(f.s.ThinCounts(f.Context(), thin))
	if n, _ := total(start, start.AddDate(0, 4, 0), 0); n != hours+1 {
		f.Errorf("%d, want %d", n, hours+1)
	}
}

func forgetDomains(f *fixture) {
	var keys []store.SeriesKey
	for _, d := range []int64{3, 5, 9, 12} {
		keys = append(keys, series(d, store.ViewAll), series(d, store.ViewTag, "t"))
	}
	f.must(f.s.AddCounts(f.Context(), counts(1, noon, store.Opened, keys...)))
	f.must(f.s.ThinCounts(f.Context(), store.Thinning{Domains: []int64{9, 5}}))
	f.must(f.s.ThinCounts(f.Context(), store.Thinning{})) // says nothing of domains
	got := f.sums(store.SumQuery{Domains: []int64{3, 5, 9, 12}, View: store.ViewTag, To: noon + 1})
	f.same("left", got, []string{ // 12 may have come to be after the list was made
		`12 1 "t" "" "T" 0: counter 8 is 1`, `5 1 "t" "" "T" 0: counter 8 is 1`, `9 1 "t" "" "T" 0: counter 8 is 1`,
	})
	f.must(f.s.AddCounts(f.Context(), counts(1, noon, store.Opened, keys[0])))
	f.same("counted anew", f.sums(store.SumQuery{Domains: []int64{3}, To: noon + 1}), []string{`3 0 "" "" "" 0: counter 8 is 1`})
}
