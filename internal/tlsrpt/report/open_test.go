package report_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

var update = flag.Bool("update", false, "write the golden files")

func example(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/rfc8460-appendix-b.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// exampleMail is the example on its way, as we send it.
func exampleMail(t testing.TB) report.Mail {
	t.Helper()
	d, _, err := report.Decode(example(t))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := report.Compress(example(t))
	if err != nil {
		t.Fatal(err)
	}
	d.ID = "0123abc@mail.sender.example"
	d.Organization = `Bücher "Company-X"`
	from, err1 := mail.ParseAddress("tls-reports@mail.sender.example")
	to, err2 := mail.ParseAddress("reports@company-y.example")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return report.Mail{
		From: from, To: to, Submitter: "mail.sender.example", Domain: "company-y.example", MessageID: "0123abc.4567@mail.sender.example",
		Date: time.Date(2016, 4, 2, 1, 2, 3, 0, time.UTC), Filename: report.Filename("mail.sender.example", "company-y.example", d.Dates, "0123abc"),
		Report: d, Gzip: packed,
	}
}

// RFC 8460 section 5.1.
func TestFilename(t *testing.T) {
	if got := exampleMail(t).Filename; got != "mail.sender.example!company-y.example!1459468800!1459555199!0123abc.json.gz" {
		t.Error(got)
	}
}

func TestMailGolden(t *testing.T) {
	got := exampleMail(t).Bytes()
	const golden = "testdata/report.eml"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got:\n%s", got)
	}
	for line := range bytes.Lines(got) {
		if !bytes.HasSuffix(line, []byte("\r\n")) || len(line) > 998 {
			t.Errorf("line %q", line)
		}
	}
}

func TestOpenFindsTheReport(t *testing.T) {
	data := example(t)
	packed, err := report.Compress(data)
	if err != nil {
		t.Fatal(err)
	}
	sent := string(exampleMail(t).Bytes())
	plain := "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\n" +
		"Content-Type: %TYPE\r\n\r\n" + string(data) + "\r\n--x--\r\n"
	forwarded := "Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n" + sent + "\r\n--outer--\r\n"
	for name, in := range map[string]string{
		"JSON":                       string(data),
		"JSON with a mark before it": "\xef\xbb\xbf" + string(data),
		"gzip":                       string(packed),
		"our mail":                   sent,
		"our mail, forwarded":        forwarded,
		"the file name alone":        strings.Replace(plain, "%TYPE", "application/octet-stream; name=\"a!b!1!2.json\"", 1),
		"not compressed":             strings.Replace(plain, "%TYPE", "application/tlsrpt+json", 1),
		"a mail that is the report":  "Content-Type: application/tlsrpt+json\r\n\r\n" + string(data),
	} {
		found, err := report.Open(strings.NewReader(in))
		if err != nil || len(found) != 1 {
			t.Errorf("%s: %d reports, %v", name, len(found), err)
			continue
		}
		if d, _, err := report.Decode(found[0]); err != nil || d.Policies[0].Summary.Successes != 5326 {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	bomb := func(n int) string {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		zeros := make([]byte, 1<<20)
		for range n {
			if _, err := z.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	nested := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 50)
	many := "Content-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\nhi\r\n", 200) + "--x--\r\n"
	for _, test := range []struct{ name, in, problem string }{
		{"nothing", "", "empty"},
		{"white space", "\n\n ", "empty"},
		{"a gzip bomb", bomb(20), "larger than 16 MiB"},
		{"half a gzip", bomb(1)[:200], "decompress"},
		{"gzip in name only", "\x1f\x8b hello", "decompress"},
		{"a mail without a report", "Subject: hi\r\n\r\nhello\r\n", "no TLS report"},
		{"mails in mails in mails", nested, "inside each other"},
		{"many parts", many, "100 parts"},
		{"something else", "\x00\x01\x02", "neither JSON"},
	} {
		if found, err := report.Open(strings.NewReader(test.in)); err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: %d reports, %v; want %q", test.name, len(found), err, test.problem)
		}
	}
	big := strings.NewReader("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 500_000))
	if _, err := report.Open(big); err == nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("a huge mail: %v", err)
	}
}

func TestDecodeIsGenerous(t *testing.T) {
	const odd = `{"organization-name":"X","date-range":{"start-datetime":"2026-11-23","end-datetime":"2026-11-23T23:59:59"},
		"contact-info":"","report-id":"1","extra":{"a":[]},"policies":[{"policy":{"policy-type":"mta-sts","policy-string":"version: STSv1","mx-host":"*.x.example"},
		"summary":{"total-successful-session-count":"12","total-failure-session-count":1},"failure-details":[{"result-type":"brand-new","failed-session-count":3}]}]}`
	d, notes, err := report.Decode([]byte(odd))
	if err != nil {
		t.Fatal(err)
	}
	p := d.Policies[0]
	if p.Summary.Successes != 12 || len(p.Policy.Strings) != 1 || p.Policy.MXHosts[0] != "*.x.example" || d.Dates.End.Hour() != 23 {
		t.Errorf("%+v", d)
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{"contact-info is missing", "policy-type is not one", "policy-domain is missing", "add up to more"} {
		if !strings.Contains(all, want) {
			t.Errorf("no note %q in\n%s", want, all)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	policies := func(n int) string {
		return `{"report-id":"x","policies":[` + strings.TrimSuffix(strings.Repeat(`{},`, n), ",") + `]}`
	}
	for _, test := range []struct{ name, in, problem string }{
		{"no JSON", "hello", "not a TLS report"},
		{"another JSON", `{"a":1}`, "neither dates nor policies"},
		{"a list", `[]`, "not a TLS report"},
		{"two documents", policies(1) + policies(1), "after the JSON"},
		{"a negative count", `{"policies":[{"summary":{"total-failure-session-count":-1}}]}`, "whole number"},
		{"a count that overflows", `{"policies":[{"summary":{"total-failure-session-count":1e30}}]}`, "whole number"},
		{"a time that is none", `{"date-range":{"start-datetime":"soon"}}`, "RFC 3339"},
		{"too many policies", policies(1001), "more than we read"},
		{"too much", `{"report-id":"` + strings.Repeat("x", report.MaxJSON) + `"}`, "larger than"},
		{"deep", strings.Repeat(`{"policies":[`, 20_000), "not a TLS report"},
	} {
		if _, _, err := report.Decode([]byte(test.in)); err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: %v; want %q", test.name, err, test.problem)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(example(f))
	f.Add(exampleMail(f).Bytes())
	packed, err := report.Compress(example(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := report.Open(bytes.NewReader(data))
		if err == nil && len(found) == 0 {
			t.Fatal("neither a report nor an error")
		}
		for _, one := range found {
			d, _, err := report.Decode(one)
			if err != nil {
				continue
			}
			again, err := d.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := report.Decode(again); err != nil {
				t.Fatalf("what was read and written again is none: %v", err)
			}
		}
	})
}
