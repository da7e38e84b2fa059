package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/tlsresult"
	tlsreport "github.com/sealpost/sealpost/internal/tlsrpt/report"
)

// maxShown is how many kinds of failure a table shows of one report.
const maxShown = 100

type tlsReportCmd struct {
	Files []string `arg:"" name:"file" help:"Reports as JSON, as .json.gz, or mails with reports attached. - is standard input."`
}

// A readReport is a report with where it was found.
type readReport struct {
	File   string             `json:"file"`
	Notes  []string           `json:"notes,omitempty"` // in what it differs from RFC 8460
	Report tlsreport.Document `json:"report"`
}

// Run reads reports, without a server. What can be read is shown, even if some of the files cannot.
func (c tlsReportCmd) Run(s *session) error {
	var found []readReport
	var failed []error
	for _, name := range c.Files {
		list, err := s.readReports(name)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
		found = append(found, list...)
	}
	if err := s.showReports(found); err != nil {
		return err
	}
	if len(failed) > 0 {
		return &ExitError{ExitUsage, errors.Join(failed...)}
	}
	return nil
}

// readReports reads the reports in one file.
func (s *session) readReports(name string) ([]readReport, error) {
	in := s.env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	contents, err := tlsreport.Open(in)
	if err != nil {
		return nil, err
	}
	var list []readReport
	for _, data := range contents {
		d, notes, err := tlsreport.Decode(data)
		if err != nil {
			return list, err
		}
		list = append(list, readReport{File: name, Notes: notes, Report: d})
	}
	return list, nil
}

func (s *session) showReports(list []readReport) error {
	if s.json() {
		return s.writeValue(struct {
			Reports []readReport `json:"reports"`
		}{append([]readReport{}, list...)})
	}
	for i, r := range list {
		if i > 0 {
			if _, err := io.WriteString(s.env.Stdout, "\n"); err != nil {
				return err
			}
		}
		if err := s.showReport(r); err != nil {
			return err
		}
	}
	return nil
}

// showReport prints one report: who and when, the sums by policy, the failures, and what they mean.
func (s *session) showReport(r readReport) error {
	d := r.Report
	about := &table{rows: [][]string{
		{"from", d.Organization}, {"contact", d.Contact}, {"period", period(d.Dates)}, {"report id", d.ID},
	}}
	sums := &table{head: []string{"POLICY DOMAIN", "POLICY", "SUCCEEDED", "FAILED"}, none: "the report names no policies"}
	for _, p := range d.Policies {
		sums.add(p.Policy.Domain, policyName(p.Policy), number(p.Summary.Successes), number(p.Summary.Failures))
	}
	failures, types := failureTable(d)
	for i, t := range []*table{about, sums, failures} {
		if i > 0 {
			if _, err := io.WriteString(s.env.Stdout, "\n"); err != nil {
				return err
			}
		}
		if err := t.write(s.env.Stdout); err != nil {
			return err
		}
	}
	var meanings strings.Builder
	for _, t := range types {
		e := tlsreport.Explain(t)
		fmt.Fprintf(&meanings, "\n%s: %s.\n  What to do: %s.\n", shown(string(t)), e.Meaning, e.Remedy)
	}
	if _, err := io.WriteString(s.env.Stdout, meanings.String()); err != nil {
		return err
	}
	for _, n := range r.Notes {
		s.note("%s: not as RFC 8460 has it: %s", r.File, n)
	}
	return nil
}

// failureTable returns the failures of a report, the most frequent first, and their types.
func failureTable(d tlsreport.Document) (*table, []tlsresult.Type) {
	type failure struct {
		domain string
		tlsreport.Failure
	}
	var all []failure
	for _, p := range d.Policies {
		for _, f := range p.Failures {
			all = append(all, failure{p.Policy.Domain, f})
		}
	}
	slices.SortStableFunc(all, func(a, b failure) int { return cmp.Compare(b.Sessions, a.Sessions) })
	t := &table{head: []string{"RESULT", "SESSIONS", "POLICY DOMAIN", "MX HOST", "MX ADDRESS", "SENDER", "REASON"}, none: "no failures in detail"}
	var types []tlsresult.Type
	for i, f := range all {
		if i == maxShown {
			t.add(fmt.Sprintf("and %d more kinds; see them with -o json", len(all)-maxShown))
			break
		}
		t.add(string(f.Type), number(f.Sessions), f.domain, f.MXHost, f.ReceivingIP, f.SendingIP, f.Reason)
		if !slices.Contains(types, f.Type) {
			types = append(types, f.Type)
		}
	}
	return t, types
}

func number(n tlsreport.Count) string { return strconv.FormatInt(int64(n), 10) }

// period is the day of a report, or from when to when.
func period(r tlsreport.DateRange) string {
	start := r.Start.Format(time.DateOnly)
	if r.Start.Equal(r.Start.Truncate(24*time.Hour)) && r.End.Sub(r.Start.Time) <= 24*time.Hour {
		return start + " (UTC)"
	}
	return instant(r.Start.Time) + " to " + instant(r.End.Time)
}

// policyName says which policy and, of MTA-STS, in which mode.
func policyName(p tlsreport.PolicyText) string {
	for _, line := range p.Strings {
		for part := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if mode, ok := strings.CutPrefix(strings.TrimSpace(part), "mode:"); ok && p.Type == tlsresult.PolicySTS {
				return string(p.Type) + " " + strings.TrimSpace(mode)
			}
		}
	}
	return string(p.Type)
}

type tlsReportsCmd struct {
	Domain  string `placeholder:"DOMAIN" help:"Only to this policy domain."`
	Day     string `placeholder:"DAY" help:"Only about this day (UTC), like 2026-11-23."`
	Limit   int    `default:"100" placeholder:"100" help:"At most so many, up to 1000."`
	Preview string `placeholder:"DOMAIN" help:"Print the JSON that would go to this policy domain, about --day or about today so far."`
}

// Run lists reports, or prints one.
func (c tlsReportsCmd) Run(ctx context.Context, s *session) error {
	if c.Preview != "" && c.Domain != "" {
		return usagef("--preview names the domain already; leave --domain out")
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if c.Preview != "" {
		a, err := client.PreviewTLSReport(ctx, c.Preview, c.Day)
		if err != nil {
			return err
		}
		return s.writeJSON(a.JSON)
	}
	a, err := client.TLSReports(ctx, c.Day, c.Domain, c.Limit)
	if err != nil {
		return err
	}
	t := &table{head: []string{"DAY", "POLICY DOMAIN", "STATE", "NEXT", "ATTEMPTS", "DESTINATION", "RESULT"}, none: "no reports"}
	for _, r := range a.Value.Items {
		addReport(t, r)
	}
	if err := s.show(a.JSON, t); err != nil {
		return err
	}
	if !a.Value.Enabled && !s.json() {
		s.note("reports are off; to send them, set tlsrpt.from in the configuration")
	}
	return nil
}

// addReport adds a line for each destination of a report, or one if it has none yet.
func addReport(t *table, r apiclient.TLSReport) {
	row := []string{r.Day, r.Domain, r.State, instant(r.Due), strconv.Itoa(r.Attempts)}
	if len(r.Destinations) == 0 {
		t.add(append(row, "", r.Note)...)
	}
	for i, d := range r.Destinations {
		if i > 0 {
			row = []string{"", "", "", "", ""}
		}
		result := d.Note
		if d.MessageID != "" {
			result += " as " + d.MessageID
		}
		if d.Unverified {
			result += " (its certificate does not verify)"
		}
		t.add(append(slices.Clone(row), d.URI, result)...)
	}
}
