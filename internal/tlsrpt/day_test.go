package tlsrpt

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsresult"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

var update = flag.Bool("update", false, "write the golden files")

// script observes a day's sessions with receiver.test: a policy that was changed at noon,
// failures that differ in every way, and a host with TLSA records whose report is another.
func (rg *rig) script() {
	testing := tlsresult.Policy{
		Type: tlsresult.PolicySTS, Domain: "receiver.test",
		Strings: []string{"version: STSv1", "mode: testing", "mx: *.receiver.test", "max_age: 86400"}, MXHosts: []string{"*.receiver.test"},
	}
	enforce := testing
	enforce.Strings = []string{"version: STSv1", "mode: enforce", "mx: *.receiver.test", "max_age: 86400"}
	dane := tlsresult.Policy{Type: tlsresult.PolicyTLSA, Domain: "mx1.receiver.test", Strings: []string{"3 1 1 8BADF00D"}}
	observe := func(n int, p tlsresult.Policy, t tlsresult.Type, reason, host, ip string) {
		for range n {
			rg.room.Observe(tlsresult.Observation{
				At: time.Now(), Policy: p, Type: t, Reason: reason, MXHost: host, ReceivingIP: ip, SendingIP: "203.0.113.25",
			})
		}
	}
	observe(20, testing, tlsresult.Success, "", "mx1.receiver.test", "192.0.2.1")
	observe(3, testing, tlsresult.CertificateExpired, "", "mx2.receiver.test", "192.0.2.2")
	observe(2, testing, tlsresult.ValidationFailure, "mtasts-policy-mx-mismatch", "mx.elsewhere.test", "192.0.2.9")
	time.Sleep(time.Hour)
	observe(4, testing, tlsresult.CertificateExpired, "", "mx2.receiver.test", "2001:db8::2")
	observe(1, testing, tlsresult.CertificateExpired, "", "mx2.receiver.test", "192.0.2.2")
	observe(5, dane, tlsresult.Success, "", "mx1.receiver.test", "192.0.2.1")
	time.Sleep(3 * time.Hour)
	observe(7, enforce, tlsresult.Success, "", "mx1.receiver.test", "192.0.2.1")
	observe(1, enforce, tlsresult.StartTLSNotSupported, "", "mx2.receiver.test", "192.0.2.2")
	observe(2, tlsresult.Policy{Type: tlsresult.PolicySTS, Domain: "receiver.test"}, tlsresult.STSPolicyFetchError, "http-status-404", "", "")
}

// The report of a scripted day, as the receiver gets it by HTTPS. The golden file is held
// against the grammar of the RFC by the tests of package report.
func TestScriptedDayGolden(t *testing.T) {
	at(t, "2026-11-23T09:00:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1; rua=https://receiver.test/tls?from=sender")
		rg.run()
		rg.script()
		preview, err := rg.room.Preview(context.Background(), "receiver.test", "2026-11-23")
		if err != nil {
			t.Fatal(err)
		}
		rg.until("2026-11-24T04:30:00Z")
		posts := rg.web.seen()
		if len(posts) != 1 {
			t.Fatalf("%d posts", len(posts))
		}
		p := posts[0]
		if p.url != "https://receiver.test/tls?from=sender" || p.header.Get("Content-Type") != "application/tlsrpt+gzip" {
			t.Errorf("%s %v", p.url, p.header)
		}
		found, err := report.Open(bytes.NewReader(p.body))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/day.json", found[0])
		if !bytes.Equal(found[0], preview) {
			t.Errorf("the preview was\n%s", preview)
		}
		r := rg.only() // the host with TLSA records did not ask
		if r.State != store.TLSReportSent || r.Attempts != 1 || r.Note != "" || !r.Destinations[0].Done || r.Destinations[0].Unverified || r.Destinations[0].Note != `201 Created` {
			t.Errorf("%+v", r)
		}
		if s := rg.room.Stats(); s.Sent != 1 || s.Unasked != 1 || s.Sessions != 45 || s.DroppedDomains+s.DroppedDetails+s.DroppedLate != 0 {
			t.Errorf("%+v", s)
		}
		rg.quiet()
	})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got:\n%s", got)
	}
}

// A report by mail goes through the front door as a message that is signed, must arrive
// even without TLS, and whose own sessions nobody counts.
func TestReportByMail(t *testing.T) {
	at(t, "2026-11-23T18:00:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=mailto:a%2Bb@receiver.test,mailto:tls@other.test")
		rg.run()
		rg.script()
		rg.until("2026-11-24T04:30:00Z")
		r := rg.only()
		for i, hop := range []string{"receiver.test", "other.test"} {
			leased, err := rg.store.Lease(context.Background(), store.LeaseRequest{NextHop: hop, Now: time.Now(), Limit: 10})
			if err != nil || len(leased.Rows) != 1 {
				t.Fatalf("%+v %v", leased, err)
			}
			row := leased.Rows[0]
			m := leased.Messages[row.Message]
			e := m.Envelope
			if !e.Report || !e.TLSOptional || e.RequireTLS || e.Need8Bit || e.ReversePath != address("tls@sender.test") ||
				e.TLS != (mail.TLSFlags{RequireTLS: mail.False, SkipVerification: mail.True}) || row.Expires.Sub(row.Due) != 24*time.Hour {
				t.Errorf("envelope %+v, row %+v", e, row)
			}
			content, err := rg.store.Content(context.Background(), row.DomainID, row.Message)
			if err != nil {
				t.Fatal(err)
			}
			rg.checkMail(content, r.ID, m.Meta.MessageID)
			if d := r.Destinations[i]; !d.Done || d.MessageID != m.Meta.MessageID {
				t.Errorf("%+v for %q", d, m.Meta.MessageID)
			}
		}
		if r.State != store.TLSReportSent {
			t.Errorf("%+v", r)
		}
		rg.quiet()
	})
}

// checkMail holds a mail against RFC 8460 section 5.3 and reads the report in it.
func (rg *rig) checkMail(c store.Content, reportID, messageID string) {
	rg.Helper()
	in, err := c.Open()
	if err != nil {
		rg.Fatal(err)
	}
	defer in.Close()
	octets, err := io.ReadAll(in)
	if err != nil {
		rg.Fatal(err)
	}
	d := rg.document(octets)
	if d.ID != reportID || d.Organization != "Sender & Söhne" || d.Contact != "tls@sender.test" {
		rg.Errorf("%+v", d)
	}
	header := strings.ReplaceAll(string(octets[:bytes.Index(octets, []byte("\r\n\r\n"))]), "\r\n ", " ")
	for _, want := range []string{
		"Subject: Report Domain: receiver.test Submitter: sender.test Report-ID: <" + reportID + ">", "TLS-Report-Domain: receiver.test",
		"TLS-Report-Submitter: sender.test", "TLS-Required: No", `report-type="tlsrpt"`, "Message-ID: <" + messageID + ">",
	} {
		if !strings.Contains(header, want) {
			rg.Errorf("no %q in\n%s", want, header)
		}
	}
	if strings.Contains(header, "X-Mailgun") {
		rg.Errorf("fields that are nobody's business:\n%s", header)
	}
	signer, err := rg.store.Domain(context.Background(), "sender.test")
	if err != nil {
		rg.Fatal(err)
	}
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(octets), &dkim.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{signer.DKIM[0].Public}, nil },
	})
	if err != nil || len(checks) != 1 || checks[0].Err != nil || checks[0].Domain != "sender.test" {
		rg.Errorf("signature: %+v %v", checks, err)
	}
}

// No report about reports: the session that carries one is not observed, by the mark in
// its envelope, and so the next day has nothing to tell.
func TestNoReportAboutReports(t *testing.T) {
	at(t, "2026-11-23T23:40:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=mailto:a@receiver.test")
		rg.run()
		rg.succeed("receiver.test", 1)
		rg.until("2026-11-24T04:30:00Z")
		// This is what delivery does with it.
		leased, err := rg.store.Lease(context.Background(), store.LeaseRequest{NextHop: "receiver.test", Now: time.Now(), Limit: 1})
		if err != nil || len(leased.Rows) != 1 {
			t.Fatalf("%+v, %v", leased, err)
		}
		if e := leased.Messages[leased.Rows[0].Message].Envelope; !e.Report {
			rg.succeed("receiver.test", 1)
		}
		rg.until("2026-11-25T04:30:00Z")
		if list := rg.reports(store.TLSReportQuery{}); len(list) != 1 || list[0].Day != "2026-11-23" {
			t.Errorf("%+v", list)
		}
		rg.quiet()
	})
}

// Days end at midnight UTC, also at the end of a month. A session that began before it is
// still the old day's, for a while.
func TestMidnight(t *testing.T) {
	at(t, "2026-11-30T23:59:30Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
		rg.run()
		before := success("receiver.test")
		rg.room.Observe(before)
		rg.until("2026-12-01T00:00:00Z")
		rg.succeed("receiver.test", 10)
		rg.until("2026-12-01T00:05:00Z")
		rg.room.Observe(before) // a handshake that took its time
		rg.until("2026-12-01T00:14:00Z")
		if list := rg.reports(store.TLSReportQuery{}); len(list) != 1 || list[0].Day != "2026-11-30" || list[0].State != store.TLSReportWaiting {
			t.Errorf("%+v", list)
		}
		rg.room.Observe(before)
		if s := rg.room.Stats(); s.DroppedLate != 1 || s.Sessions != 12 {
			t.Errorf("%+v", s)
		}
		rg.until("2026-12-02T12:00:00Z")
		posts := rg.web.seen()
		if len(posts) != 2 {
			t.Fatalf("%d posts", len(posts))
		}
		for i, want := range []struct {
			start, end string
			n          report.Count
		}{{"2026-11-30T00:00:00Z", "2026-11-30T23:59:59Z", 2}, {"2026-12-01T00:00:00Z", "2026-12-01T23:59:59Z", 10}} {
			d := rg.document(posts[i].body)
			if d.Dates.Start.Format(time.RFC3339) != want.start || d.Dates.End.Format(time.RFC3339) != want.end || d.Policies[0].Summary.Successes != want.n {
				t.Errorf("%+v", d)
			}
			if after := posts[i].at.Sub(d.Dates.End.Time); after < 15*time.Minute || after > 15*time.Minute+4*time.Hour+time.Minute {
				t.Errorf("sent %v after midnight", after)
			}
		}
		if a, b := rg.document(posts[0].body).ID, rg.document(posts[1].body).ID; a == b {
			t.Error("two reports have one id")
		}
		rg.quiet()
	})
}

// Counts and reports are dropped after two weeks, a day at a time.
func TestOldReportsAreForgotten(t *testing.T) {
	at(t, "2026-11-23T23:40:00Z", func(rg *rig) {
		ctx := context.Background()
		for _, day := range []string{"2026-11-07", "2026-11-08"} {
			c := store.TLSCount{Day: day, Policy: tlsresult.Policy{Type: tlsresult.NoPolicy, Domain: "receiver.test"}, Successes: 1}
			r := store.TLSReport{Day: day, Domain: "receiver.test", State: store.TLSReportSent}
			if err := errors.Join(rg.store.AddTLSCounts(ctx, []store.TLSCount{c}), rg.store.PutTLSReports(ctx, []store.TLSReport{r})); err != nil {
				t.Fatal(err)
			}
		}
		rg.run()
		if r := rg.only(); r.Day != "2026-11-08" {
			t.Errorf("%+v", r)
		}
		if _, err := rg.room.Preview(ctx, "receiver.test", "2026-11-07"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("preview of what is forgotten: %v", err)
		}
		rg.until("2026-11-24T00:20:00Z")
		if list := rg.reports(store.TLSReportQuery{}); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		rg.quiet()
	})
}
