package report_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlsresult"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

// The grammar of RFC 8460 section 4.4, written down a second time and without the
// package's types, so that a wrong name or form shows here.
type (
	check  func(v any) error
	member struct {
		required bool
		check    check
	}
	object map[string]member
)

func (o object) check(v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%T is not an object", v)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		f, known := o[name]
		if !known {
			return fmt.Errorf("%s is not a member that the RFC knows", name)
		}
		if err := f.check(m[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, f := range o {
		if _, there := m[name]; f.required && !there {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

func list(item check) check {
	return func(v any) error {
		l, ok := v.([]any)
		if !ok || len(l) == 0 {
			return fmt.Errorf("%T is not a list with something in it", v)
		}
		for i, x := range l {
			if err := item(x); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
		}
		return nil
	}
}

func text(test func(s string) error) check {
	return func(v any) error {
		s, ok := v.(string)
		if !ok || s == "" {
			return fmt.Errorf("%v is not a string with something in it", v)
		}
		return test(s)
	}
}

func anything(string) error { return nil }

func oneOf(words ...string) check {
	return text(func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%q is none of %v", s, words)
		}
		return nil
	})
}

func moment(s string) error { _, err := time.Parse("2006-01-02T15:04:05Z", s); return err }
func ip(s string) error     { _, err := netip.ParseAddr(s); return err }
func address(s string) error {
	_, err := mail.ParseAddress(s)
	return err
}

func count(v any) error {
	if n, ok := v.(float64); !ok || n < 0 || n != float64(int64(n)) {
		return fmt.Errorf("%v is not a count", v)
	}
	return nil
}

// schema is the whole grammar.
func schema() check {
	failure := object{
		"result-type": {true, oneOf("starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
			"validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid")},
		"sending-mta-ip":         {false, text(ip)},
		"receiving-mx-hostname":  {false, text(anything)},
		"receiving-mx-helo":      {false, text(anything)},
		"receiving-ip":           {false, text(ip)},
		"failed-session-count":   {true, count},
		"additional-information": {false, text(anything)},
		"failure-reason-code":    {false, text(anything)},
	}
	policy := object{
		"policy": {true, object{
			"policy-type":   {true, oneOf("tlsa", "sts", "no-policy-found")},
			"policy-string": {false, list(text(anything))},
			"policy-domain": {true, text(anything)},
			"mx-host":       {false, list(text(anything))},
		}.check},
		"summary": {true, object{
			"total-successful-session-count": {true, count},
			"total-failure-session-count":    {true, count},
		}.check},
		"failure-details": {false, list(failure.check)},
	}
	return object{
		"organization-name": {true, text(anything)},
		"date-range": {true, object{
			"start-datetime": {true, text(moment)},
			"end-datetime":   {true, text(moment)},
		}.check},
		"contact-info": {true, text(address)},
		"report-id":    {true, text(anything)},
		"policies":     {true, list(policy.check)},
	}.check
}

func checkSchema(t *testing.T, data []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if err := schema()(v); err != nil {
		t.Errorf("%v in\n%s", err, data)
	}
}

// The schema takes the RFC's own example, so it is not stricter than the RFC; and what we
// write of it again.
func TestTheExampleOfTheRFC(t *testing.T) {
	data, err := os.ReadFile("testdata/rfc8460-appendix-b.json")
	if err != nil {
		t.Fatal(err)
	}
	checkSchema(t, data)
	d, notes, err := report.Decode(data)
	if err != nil || len(notes) != 0 {
		t.Fatalf("%v %v", notes, err)
	}
	p := d.Policies[0]
	if d.Organization != "Company-X" || d.Dates.End.Unix() != 1459555199 || p.Policy.Type != tlsresult.PolicySTS || len(p.Policy.Strings) != 4 ||
		p.Summary.Successes != 5326 || p.Summary.Failures != 303 || len(p.Failures) != 3 || p.Failures[1].ReceivingIP != "203.0.113.56" ||
		p.Failures[2].Reason != "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED" || p.Failures[0].Type != tlsresult.CertificateExpired {
		t.Errorf("%+v", d)
	}
	again, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	checkSchema(t, again)
	if !sameJSON(t, data, again) {
		t.Errorf("written again:\n%s", again)
	}
}

// What package tlsrpt sends about a scripted day has the RFC's form.
func TestOurReportFollowsTheGrammar(t *testing.T) {
	data, err := os.ReadFile("../testdata/day.json")
	if err != nil {
		t.Fatal(err)
	}
	checkSchema(t, data)
	if _, notes, err := report.Decode(data); err != nil || len(notes) != 0 {
		t.Errorf("%v %v", notes, err)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}
