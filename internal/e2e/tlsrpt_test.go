package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tlsresult"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

// seedReport puts a day's counts of a policy domain into the data folder, with a report
// that is due now. No server runs.
func (w *world) seedReport(t *testing.T, domain string) store.TLSReport {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: w.data(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now().UTC().Truncate(time.Second)
	day := now.AddDate(0, 0, -2).Format(time.DateOnly)
	r := store.TLSReport{
		Day: day, Domain: domain, ID: "0123456789abcdef@" + plainDomain, State: store.TLSReportWaiting,
		Due: now.Add(-time.Minute), GiveUp: now.Add(24 * time.Hour),
	}
	count := store.TLSCount{
		Day: day, Policy: tlsresult.Policy{Type: tlsresult.PolicySTS, Domain: domain, Strings: []string{"version: STSv1", "mode: testing"}},
		Successes: 7, Failures: 2, Details: []store.TLSFailure{{Sessions: 2, TLSFailureKey: store.TLSFailureKey{
			Type: tlsresult.CertificateExpired, MXHost: "mx." + domain, ReceivingIP: "192.0.2.1", SendingIP: "192.0.2.2"}}},
	}
	if err := s.AddTLSCounts(t.Context(), []store.TLSCount{count}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutTLSReports(t.Context(), []store.TLSReport{r}); err != nil {
		t.Fatal(err)
	}
	return r
}

// A report leaves the real server for a real receiver by mail, over TLS that does not
// verify, signed; for a real HTTPS server; and not for this machine by another name, which
// the record has as well. Both who got it read what was counted.
func TestTLSReportArrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settings := append(w.settings(""), fmt.Sprintf("[tlsrpt]\nfrom = \"tls@%s\"\n", plainDomain)...)
	rg := w.startWith(t, settings)
	rg.open(t, plainDomain)
	shown := rg.operate(t, "GET", "/v3/domains/"+plainDomain, nil)
	rg.stop(t)

	to := w.receive(t, "reports", smtptest.SelfSigned, smtptest.Behaviour{})
	want := w.seedReport(t, to.domain)
	posted := make(chan []byte, 1)
	var posts atomic.Int32
	web := httptest.NewTLSServer(http.HandlerFunc(func(a http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/tlsrpt+gzip" || posts.Add(1) > 1 {
			t.Errorf("%s %v %v", r.Method, r.Header, err)
		}
		a.WriteHeader(http.StatusCreated)
		posted <- body
	}))
	defer web.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(web.URL, "https://"), ":")
	w.publish(t, "web.test", "@ A 127.0.0.1")
	zone := "@ MX 10 mx\nmx A " + strings.Split(to.Addr(), ":")[0] + "\n_smtp._tls TXT \"v=TLSRPTv1; " +
		"rua=mailto:ann@" + to.domain + ",\" \"https://web.test:" + port + "/tls,https://0.0.0.0:" + port + "/\""
	w.publish(t, to.domain, zone)

	rg = w.startWith(t, settings)
	var mailed smtptest.Message
	await(t, "the mail", func() bool {
		if list := to.Accepted(); len(list) == 1 {
			mailed = list[0]
		}
		return len(to.Accepted()) == 1
	})
	w.checkReport(t, mailed.Content, want)
	w.checkReport(t, <-posted, want)
	checkSignature(t, mailed.Content, shown)
	if !bytes.Contains(mailed.Content, []byte("TLS-Required: No\r\n")) || mailed.From != "tls@"+plainDomain || !mailed.TLS {
		t.Errorf("from %q:\n%s", mailed.From, mailed.Content)
	}

	await(t, "the attempt to be recorded", func() bool { return rg.tlsReport(t, want.Domain)["attempts"] == 1.0 })
	got := rg.tlsReport(t, want.Domain)
	places, _ := got["destinations"].([]any)
	if len(places) != 3 || got["state"] != "waiting" || got["report-id"] != want.ID {
		t.Fatalf("%+v", got)
	}
	for i, done := range []bool{true, true, false} {
		if place := places[i].(map[string]any); place["done"] != done {
			t.Errorf("%+v", place)
		}
	}
	if note := fmt.Sprint(places[2].(map[string]any)["note"]); !strings.Contains(note, "refused by us") {
		t.Errorf("an address that is none of theirs: %s", note)
	}
	if body := rg.health(t, "/metrics"); !strings.Contains(body, `sealpost_tlsrpt_reports_total{outcome="sent"} 0`+"\n") ||
		!strings.Contains(body, `sealpost_tlsrpt_dropped_total{limit="details"} 0`+"\n") {
		t.Errorf("metrics:\n%s", sealpostLines(body))
	}
	// The httptest certificate is nobody's we know.
	if places[1].(map[string]any)["unverified"] != true {
		t.Errorf("%+v", places[1])
	}
}

// tlsReport returns what the server says of the report to a domain.
func (rg *rig) tlsReport(t *testing.T, domain string) map[string]any {
	t.Helper()
	items, _ := rg.operate(t, "GET", "/v1/sealpost/tls-reports", url.Values{"domain": {domain}})["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("%d reports to %s", len(items), domain)
	}
	return items[0].(map[string]any)
}

// checkReport reads a report as its receiver does.
func (w *world) checkReport(t *testing.T, data []byte, want store.TLSReport) {
	t.Helper()
	found, err := report.Open(bytes.NewReader(data))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d reports, %v", len(found), err)
	}
	d, notes, err := report.Decode(found[0])
	if err != nil || len(notes) > 0 {
		t.Fatalf("%v %v", notes, err)
	}
	p := d.Policies[0]
	if d.ID != want.ID || d.Organization != plainDomain || d.Contact != "tls@"+plainDomain || d.Dates.Start.Format(time.DateOnly) != want.Day ||
		p.Policy.Domain != want.Domain || p.Summary.Successes != 7 || p.Summary.Failures != 2 || p.Failures[0].MXHost != "mx."+want.Domain {
		t.Errorf("%+v", d)
	}
}

// checkSignature verifies the DKIM signature with the key that the API tells to publish.
func checkSignature(t *testing.T, message []byte, domain map[string]any) {
	t.Helper()
	var keys []string
	for _, r := range domain["sending_dns_records"].([]any) {
		if value, _ := r.(map[string]any)["value"].(string); strings.Contains(value, "p=") {
			keys = append(keys, value)
		}
	}
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return keys, context.Cause(t.Context()) },
	})
	if err != nil || len(checks) != 1 || checks[0].Err != nil || checks[0].Domain != plainDomain {
		t.Errorf("signature: %+v, %v", checks, err)
	}
}
