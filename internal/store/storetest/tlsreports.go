package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

const (
	day1 = "2026-11-22"
	day2 = "2026-11-23"
)

func tlsCount(day, domain string, successes, failures int64, details ...store.TLSFailure) store.TLSCount {
	return store.TLSCount{
		Day: day, Successes: successes, Failures: failures, Details: details,
		Policy: tlsresult.Policy{
			Type: tlsresult.PolicySTS, Domain: domain, Strings: []string{"version: STSv1", "mode: testing"}, MXHosts: []string{"*." + domain},
		},
	}
}

func tlsFailure(t tlsresult.Type, host string, sessions int64) store.TLSFailure {
	return store.TLSFailure{Sessions: sessions, TLSFailureKey: store.TLSFailureKey{
		Type: t, Reason: "because", MXHost: host, ReceivingIP: "192.0.2.1", SendingIP: "192.0.2.2",
	}}
}

func (f *fixture) tlsCounts(day, domain string) []store.TLSCount {
	f.Helper()
	counts, err := f.s.TLSCounts(f.Context(), day, domain)
	f.must(err)
	return counts
}

func (f *fixture) tlsReports(q store.TLSReportQuery) []string {
	f.Helper()
	reports, err := f.s.TLSReports(f.Context(), q)
	f.must(err)
	return reportNames(reports)
}

func reportNames(reports []store.TLSReport) []string {
	var names []string
	for _, r := range reports {
		names = append(names, r.Day+" "+r.Domain)
	}
	return names
}

func waitingReport(day, domain string, due time.Time) store.TLSReport {
	return store.TLSReport{Day: day, Domain: domain, ID: "id@" + domain, State: store.TLSReportWaiting, Due: due, GiveUp: due.Add(24 * time.Hour)}
}

var tlsReportTests = []test{
	{"counts add up, by day, policy and kind of failure", func(f *fixture) {
		expired, mismatch := tlsFailure(tlsresult.CertificateExpired, "mx1.example", 2), tlsFailure(tlsresult.CertificateHostMismatch, "mx1.example", 5)
		other := tlsCount(day1, "a.example", 1, 0)
		other.Policy.Strings = []string{"version: STSv1", "mode: enforce"}
		f.must(f.s.AddTLSCounts(f.Context(), []store.TLSCount{tlsCount(day1, "a.example", 10, 2, expired), other, tlsCount(day2, "a.example", 7, 0)}))
		f.must(f.s.AddTLSCounts(f.Context(), []store.TLSCount{tlsCount(day1, "a.example", 5, 8, expired, mismatch), tlsCount(day1, "b.example", 1, 0)}))
		f.must(f.s.AddTLSCounts(f.Context(), nil))
		expired.Sessions = 4
		for range 2 {
			f.same("one domain", f.tlsCounts(day1, "a.example"), []store.TLSCount{other, tlsCount(day1, "a.example", 15, 10, mismatch, expired)})
			f.same("all domains", len(f.tlsCounts(day1, "")), 3)
			f.same("other day", f.tlsCounts(day2, ""), []store.TLSCount{tlsCount(day2, "a.example", 7, 0)})
			f.same("no such domain", f.tlsCounts(day1, "c.example"), []store.TLSCount(nil))
			f.reopen(f)
		}
	}},
	{"counts added at the same time all arrive", func(f *fixture) {
		const writers = 20
		var wg sync.WaitGroup
		errs := make([]error, writers)
		for i := range writers {
			wg.Go(func() {
				errs[i] = f.s.AddTLSCounts(f.Context(), []store.TLSCount{tlsCount(day1, "a.example", 1, 1, tlsFailure(tlsresult.CertificateExpired, "mx1.example", 1))})
			})
		}
		wg.Wait()
		f.must(errors.Join(errs...))
		f.same("counts", f.tlsCounts(day1, ""), []store.TLSCount{
			tlsCount(day1, "a.example", writers, writers, tlsFailure(tlsresult.CertificateExpired, "mx1.example", writers)),
		})
	}},
	{"a call that cannot be done does nothing", func(f *fixture) {
		bad := tlsCount(day1, "b.example", 0, 1, tlsFailure(tlsresult.CertificateExpired, "mx1.example", 0))
		if err := f.s.AddTLSCounts(f.Context(), []store.TLSCount{tlsCount(day1, "a.example", 1, 0), bad}); err == nil {
			f.Fatal("a failure of no sessions was taken")
		}
		f.is(f.s.AddTLSCounts(cancelled(), []store.TLSCount{tlsCount(day1, "a.example", 1, 0)}), cancelled().Err())
		f.same("counts", f.tlsCounts(day1, ""), []store.TLSCount(nil))
	}},
	{"days that are over want a report once", func(f *fixture) {
		f.must(f.s.AddTLSCounts(f.Context(), []store.TLSCount{
			tlsCount(day2, "a.example", 1, 0), tlsCount(day1, "b.example", 1, 0), tlsCount(day1, "a.example", 1, 0),
		}))
		unplanned := func(before string, limit int) []string {
			reports, err := f.s.UnplannedTLSReports(f.Context(), before, limit)
			f.must(err)
			return reportNames(reports)
		}
		f.same("of day 1", unplanned(day2, 10), []string{day1 + " a.example", day1 + " b.example"})
		f.same("limited", unplanned(day2, 1), []string{day1 + " a.example"})
		f.same("none is over", unplanned(day1, 10), []string(nil))
		f.must(f.s.PutTLSReports(f.Context(), []store.TLSReport{waitingReport(day1, "a.example", t0)}))
		f.reopen(f)
		f.same("after one was planned", unplanned("2026-11-24", 10), []string{day1 + " b.example", day2 + " a.example"})
	}},
	{"a report is found again as it was put", func(f *fixture) {
		r := waitingReport(day1, "a.example", t0)
		r.Attempts, r.Note = 3, "503 \x1b[31m"
		r.Destinations = []store.TLSDestination{
			{URI: "mailto:a@a.example", Done: true, Final: true, At: t0, Note: "queued", MessageID: "x@y.example"},
			{URI: "https://a.example/", Final: true, At: t0, Note: "404", Unverified: true},
		}
		f.must(f.s.PutTLSReports(f.Context(), []store.TLSReport{waitingReport(day1, "a.example", t0.Add(time.Hour))}))
		f.must(f.s.PutTLSReports(f.Context(), []store.TLSReport{r}))
		for range 2 {
			got, err := f.s.TLSReports(f.Context(), store.TLSReportQuery{})
			f.must(err)
			f.same("report", got, []store.TLSReport{r})
			f.reopen(f)
		}
	}},
	{"due reports come in their order, and only while they wait", func(f *fixture) {
		sent := waitingReport(day1, "sent.example", t0.Add(-time.Hour))
		sent.State = store.TLSReportSent
		f.must(f.s.PutTLSReports(f.Context(), []store.TLSReport{
			waitingReport(day1, "second.example", t0), waitingReport(day1, "first.example", t0.Add(-time.Minute)),
			waitingReport(day1, "later.example", t0.Add(time.Microsecond)), sent,
		}))
		due := func(now time.Time, limit int) []string {
			reports, err := f.s.DueTLSReports(f.Context(), now, limit)
			f.must(err)
			return reportNames(reports)
		}
		f.same("due", due(t0, 10), []string{day1 + " first.example", day1 + " second.example"})
		f.same("limited", due(t0.Add(time.Hour), 1), []string{day1 + " first.example"})
	}},
	{"reports are listed by day and domain", func(f *fixture) {
		var all []store.TLSReport
		for i := range 3 {
			all = append(all, waitingReport(day1, fmt.Sprintf("d%d.example", i), t0), waitingReport(day2, fmt.Sprintf("d%d.example", i), t0))
		}
		f.must(f.s.PutTLSReports(f.Context(), all))
		f.same("all", f.tlsReports(store.TLSReportQuery{Limit: 4}),
			[]string{day2 + " d0.example", day2 + " d1.example", day2 + " d2.example", day1 + " d0.example"})
		f.same("a day", len(f.tlsReports(store.TLSReportQuery{Day: day1})), 3)
		f.same("a domain", f.tlsReports(store.TLSReportQuery{Domain: "d1.example"}), []string{day2 + " d1.example", day1 + " d1.example"})
		f.same("both", f.tlsReports(store.TLSReportQuery{Day: day1, Domain: "d1.example"}), []string{day1 + " d1.example"})
	}},
	{"what is forgotten is gone, and nothing else", func(f *fixture) {
		for _, day := range []string{day1, day2} {
			for _, domain := range []string{"a.example", "b.example"} {
				f.must(f.s.AddTLSCounts(f.Context(), []store.TLSCount{tlsCount(day, domain, 1, 1, tlsFailure(tlsresult.CertificateExpired, "mx", 1))}))
				f.must(f.s.PutTLSReports(f.Context(), []store.TLSReport{waitingReport(day, domain, t0)}))
			}
		}
		f.must(f.s.ForgetTLSReport(f.Context(), day2, "a.example"))
		f.same("reports", f.tlsReports(store.TLSReportQuery{}), []string{day2 + " b.example", day1 + " a.example", day1 + " b.example"})
		f.must(f.s.PruneTLSReports(f.Context(), day2))
		f.same("reports", f.tlsReports(store.TLSReportQuery{}), []string{day2 + " b.example"})
		f.same("old counts", f.tlsCounts(day1, ""), []store.TLSCount(nil))
		f.same("counts", f.tlsCounts(day2, ""), []store.TLSCount{tlsCount(day2, "b.example", 1, 1, tlsFailure(tlsresult.CertificateExpired, "mx", 1))})
		f.must(f.s.AddTLSCounts(f.Context(), []store.TLSCount{tlsCount(day1, "a.example", 1, 1, tlsFailure(tlsresult.CertificateExpired, "mx", 1))}))
		f.same("counted anew", f.tlsCounts(day1, "a.example")[0].Details[0].Sessions, int64(1))
	}},
}
