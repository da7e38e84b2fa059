package tlsrpt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

const (
	// closeAfter is how long after midnight a day still takes sessions that began on it.
	closeAfter = 10 * time.Minute
	// sendAfter and spread say when reports go: not all at midnight, when everybody's do.
	sendAfter = 15 * time.Minute
	spread    = 4 * time.Hour
	// catchUp spreads what was not sent because the server did not run.
	catchUp = 10 * time.Minute
	// tryFor is how long a report is tried (RFC 8460 section 5.5).
	tryFor = 24 * time.Hour
	// The waits between attempts double from the first to the last.
	firstWait, lastWait = 10 * time.Minute, 4 * time.Hour
	// keepDays is how many days counts and reports stay to be looked at.
	keepDays = 14
)

// lastClosed is the latest day that takes no more sessions at a time.
func lastClosed(now time.Time) int64 { return dayNumber(now.Add(-closeAfter)) - 1 }

// plan makes the report of a day to a domain. Moment and id follow from the arguments, so
// that planning twice is planning once.
func plan(day, domain, submitter string, now time.Time) (store.TLSReport, error) {
	begin, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return store.TLSReport{}, err
	}
	sum := sha256.Sum256([]byte(day + " " + domain + " " + submitter))
	due := begin.Add(24*time.Hour + sendAfter + fraction(sum, spread))
	if due.Before(now) {
		due = now.Add(fraction(sum, catchUp))
	}
	due = due.UTC().Truncate(time.Second)
	return store.TLSReport{
		Day: day, Domain: domain, ID: hex.EncodeToString(sum[:12]) + "@" + submitter,
		State: store.TLSReportWaiting, Due: due, GiveUp: due.Add(tryFor),
	}, nil
}

// fraction is a part of d that the hash chooses.
func fraction(sum [32]byte, d time.Duration) time.Duration {
	return time.Duration(binary.BigEndian.Uint64(sum[24:]) % uint64(d))
}

// wait is how long to wait after the given number of attempts.
func wait(attempts int) time.Duration {
	d := firstWait
	for range attempts - 1 {
		if d *= 2; d >= lastWait {
			return lastWait
		}
	}
	return d
}

// merge returns the destinations that the record names now, with what is known of those
// that were tried before. What was taken before stays listed.
func merge(before []store.TLSDestination, now []report.Destination) []store.TLSDestination {
	var list []store.TLSDestination
	for _, d := range now {
		i := slices.IndexFunc(before, func(b store.TLSDestination) bool { return b.URI == d.URI })
		if i >= 0 {
			list = append(list, before[i])
		} else {
			list = append(list, store.TLSDestination{URI: d.URI})
		}
	}
	for _, b := range before {
		if b.Done && !slices.ContainsFunc(list, func(d store.TLSDestination) bool { return d.URI == b.URI }) {
			list = append(list, b)
		}
	}
	return list
}

// settle says what an attempt that ended now means for a report. problem is why it did not
// get as far as its destinations; empty if it did.
//
// A report is sent when one destination took it and no other can be tried any more (RFC
// 8460 section 3: it is delivered once one of the endpoints accepts it).
func settle(r store.TLSReport, problem string, now time.Time) store.TLSReport {
	r.Attempts++
	r.Note = problem
	taken, open := false, problem != ""
	for _, d := range r.Destinations {
		taken = taken || d.Done
		open = open || !d.Final
		if !d.Done && problem == "" {
			r.Note = d.Note
		}
	}
	next := now.Add(wait(r.Attempts)).UTC().Truncate(time.Second)
	switch {
	case open && !next.After(r.GiveUp):
		r.Due = next
	case taken:
		r.State = store.TLSReportSent
	default:
		r.State = store.TLSReportGivenUp
	}
	return r
}

// refuse ends a report to a domain whose record cannot be used, or not any more.
func refuse(r store.TLSReport, why string) store.TLSReport {
	r.State, r.Note = store.TLSReportRefused, why
	if slices.ContainsFunc(r.Destinations, func(d store.TLSDestination) bool { return d.Done }) {
		r.State = store.TLSReportSent
	}
	return r
}

// document makes the report of RFC 8460 section 4.4 from what was counted.
func document(cfg Config, id, day string, counts []store.TLSCount) (report.Document, error) {
	begin, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return report.Document{}, err
	}
	d := report.Document{Organization: cfg.Organization, Dates: report.Day(begin), Contact: cfg.Contact, ID: id}
	for _, c := range counts {
		p := report.Policy{
			Policy:  report.PolicyText{Type: c.Policy.Type, Strings: c.Policy.Strings, Domain: c.Policy.Domain, MXHosts: c.Policy.MXHosts},
			Summary: report.Summary{Successes: report.Count(c.Successes), Failures: report.Count(c.Failures)},
		}
		for _, f := range c.Details {
			p.Failures = append(p.Failures, report.Failure{
				Type: f.Type, SendingIP: f.SendingIP, MXHost: f.MXHost, ReceivingIP: f.ReceivingIP,
				Sessions: report.Count(f.Sessions), Reason: f.Reason,
			})
		}
		d.Policies = append(d.Policies, p)
	}
	return d, nil
}
