package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sealpost/sealpost/internal/tlsresult"
)

// Limits on a report that is read. The largest honest ones are far below.
const (
	MaxJSON     = 16 << 20 // octets, decompressed
	MaxPolicies = 1000
	MaxFailures = 20_000 // of all policies together
)

// Decode reads a report that somebody sent. It is generous where the meaning is clear;
// notes say in what the report differs from RFC 8460. An error means that it is none.
func Decode(data []byte) (d Document, notes []string, err error) {
	if len(data) > MaxJSON {
		return d, nil, errTooLarge
	}
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	if err := dec.Decode(&d); err != nil {
		return d, nil, fmt.Errorf("not a TLS report: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return d, nil, errors.New("not a TLS report: there is something after the JSON")
	}
	if d.Dates.Start.IsZero() && len(d.Policies) == 0 && d.ID == "" {
		return d, nil, errors.New("not a TLS report: it has neither dates nor policies")
	}
	failures := 0
	for _, p := range d.Policies {
		failures += len(p.Failures)
	}
	if len(d.Policies) > MaxPolicies || failures > MaxFailures {
		return d, nil, fmt.Errorf("the report has %d policies and %d kinds of failure, more than we read (%d and %d)",
			len(d.Policies), failures, MaxPolicies, MaxFailures)
	}
	return d, d.notes(), nil
}

var errTooLarge = fmt.Errorf("the report is larger than %d MiB", MaxJSON>>20)

// notes lists in what the document differs from RFC 8460 section 4.4, without its own words.
func (d Document) notes() []string {
	var list []string
	want := func(ok bool, format string, args ...any) {
		if !ok {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	want(d.Organization != "", "organization-name is missing")
	want(d.ID != "", "report-id is missing: duplicates cannot be told apart")
	want(d.Contact != "", "contact-info is missing")
	want(!d.Dates.Start.IsZero() && !d.Dates.End.IsZero(), "date-range is incomplete")
	want(!d.Dates.End.Before(d.Dates.Start.Time), "date-range ends before it starts")
	want(len(d.Policies) > 0, "policies is empty")
	for i, p := range d.Policies {
		n := i + 1
		switch p.Policy.Type {
		case tlsresult.PolicyTLSA, tlsresult.PolicySTS, tlsresult.NoPolicy:
		default:
			want(false, "policy %d: its policy-type is not one of the RFC's", n)
		}
		want(p.Policy.Domain != "", "policy %d: policy-domain is missing", n)
		var sum Count
		for _, f := range p.Failures {
			sum = min(sum+f.Sessions, maxCount)
			if f.Type == "" {
				want(false, "policy %d: a failure has no result-type", n)
			}
		}
		// A sender that bounds its details, as we do, has a summary that is larger.
		want(sum <= p.Summary.Failures, "policy %d: its failures add up to more than its summary says", n)
	}
	return list
}
