package tlsrpt

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// reported observes one session with receiver.test and brings the room to just before its
// report is due, the day after.
func (rg *rig) reported() time.Time {
	rg.Helper()
	rg.run()
	rg.succeed("receiver.test", 1)
	rg.until("2026-11-24T00:11:00Z")
	r := rg.only()
	if r.State != store.TLSReportWaiting || r.Attempts != 0 {
		rg.Fatalf("%+v", r)
	}
	return r.Due
}

// waits are the times between posts, in minutes.
func (rg *rig) waits() []int {
	var list []int
	posts := rg.web.seen()
	for i := range len(posts) - 1 {
		list = append(list, int(posts[i+1].at.Sub(posts[i].at)/time.Minute))
	}
	return list
}

func TestServerErrorsAreRetried(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
		rg.reported()
		stall := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		rg.web.answers(status(503), status(429), stall, status(500), status(200))
		rg.until("2026-11-24T05:30:00Z")
		r := rg.only()
		if r.State != store.TLSReportWaiting || r.Attempts < 3 || r.Note == "" {
			t.Errorf("%+v", r)
		}
		rg.until("2026-11-24T12:00:00Z")
		// The stall counts its own minute.
		if got := rg.waits(); !slices.Equal(got, []int{10, 20, 41, 80}) {
			t.Errorf("waited %v minutes", got)
		}
		posts := rg.web.seen()
		for _, p := range posts[1:] {
			if string(p.body) != string(posts[0].body) {
				t.Error("an attempt sent something else")
			}
		}
		if r := rg.only(); r.State != store.TLSReportSent || r.Attempts != 5 || r.Note != "" {
			t.Errorf("%+v", r)
		}
		rg.quiet()
	})
}

func TestGivenUpAfterADay(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
		due := rg.reported()
		rg.web.answers(slices.Repeat([]http.HandlerFunc{status(503)}, 100)...)
		rg.until("2026-11-25T12:00:00Z")
		r := rg.only()
		posts := rg.web.seen()
		last := posts[len(posts)-1].at
		if r.State != store.TLSReportGivenUp || !strings.Contains(r.Note, `503 Service Unavailable: "in my words: 503\x1b[31m"`) {
			t.Errorf("%+v", r)
		}
		if after := last.Sub(due); after > 24*time.Hour || after < 18*time.Hour || len(posts) != 10 {
			t.Errorf("%d posts, the last %v after the first was due", len(posts), after)
		}
		if log := rg.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "given up") || !strings.Contains(log, "policy-domain=receiver.test") {
			t.Errorf("the log:\n%s", log)
		}
		if s := rg.room.Stats(); s.GivenUp != 1 || s.Sent != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Answers that will not change by themselves end the attempts, and nobody is led elsewhere.
func TestFinalAnswers(t *testing.T) {
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://elsewhere.test/", http.StatusTemporaryRedirect)
	}
	huge := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 40<<10))
		w.WriteHeader(http.StatusOK)
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		state  store.TLSReportState
		note   string
	}{
		{"404", status(404), store.TLSReportGivenUp, "404 Not Found"},
		{"a redirect", redirect, store.TLSReportGivenUp, "redirects are not followed"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, store.TLSReportSent, ""},
		{"a huge header", huge, store.TLSReportWaiting, "exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
				rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
				due := rg.reported()
				rg.web.answers(test.answer)
				rg.until(due.Add(2 * time.Minute).Format(time.RFC3339))
				if r := rg.only(); r.State != test.state || !strings.Contains(r.Note, test.note) || r.Attempts != 1 {
					t.Errorf("%+v", r)
				}
				if n := len(rg.web.seen()); n != 1 {
					t.Errorf("%d posts", n)
				}
			})
		})
	}
}

// RFC 8460 section 7: a certificate that does not verify does not stop a report, and is told.
func TestBadCertificateDoesNotStopAReport(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://other-name.test/,https://receiver.test/")
		rg.reported()
		rg.until("2026-11-24T05:00:00Z")
		r := rg.only()
		if r.State != store.TLSReportSent || !r.Destinations[0].Unverified || r.Destinations[1].Unverified {
			t.Errorf("%+v", r)
		}
	})
}

// Every destination gets the report; one that took it does not get it again.
func TestDestinationsAreTriedApart(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/1,https://receiver.test/2,mailto:tls@receiver.test")
		due := rg.reported()
		rg.web.answers(status(200), status(503))
		rg.until(due.Add(2 * time.Minute).Format(time.RFC3339))
		r := rg.only()
		if r.State != store.TLSReportWaiting || !r.Destinations[0].Done || r.Destinations[1].Done || !r.Destinations[2].Done {
			t.Errorf("%+v", r)
		}
		// In between the domain changes its mind about one and adds another.
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/2,https://receiver.test/3,mailto:tls@receiver.test")
		rg.until(due.Add(30 * time.Minute).Format(time.RFC3339))
		var urls []string
		for _, p := range rg.web.seen() {
			urls = append(urls, strings.TrimPrefix(p.url, "https://receiver.test"))
		}
		if !slices.Equal(urls, []string{"/1", "/2", "/2", "/3"}) {
			t.Errorf("posts to %v", urls)
		}
		if r := rg.only(); r.State != store.TLSReportSent || len(r.Destinations) != 4 {
			t.Errorf("%+v", r)
		}
		hops, err := rg.store.NextHops(context.Background())
		if err != nil || len(hops) != 1 || hops[0].Rows != 1 {
			t.Errorf("mail: %+v %v", hops, err)
		}
	})
}

// One that took it is enough in the end.
func TestSentIfOneTookIt(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/1,https://receiver.test/2")
		due := rg.reported()
		rg.web.answers(status(410), status(200))
		rg.until(due.Add(2 * time.Minute).Format(time.RFC3339))
		if r := rg.only(); r.State != store.TLSReportSent || r.Destinations[0].Done || !strings.HasPrefix(r.Note, "410 Gone") {
			t.Errorf("%+v", r)
		}
		rg.quiet()
	})
}

func TestRecordsThatDoNotLeadToAReport(t *testing.T) {
	for _, test := range []struct {
		name  string
		texts []string
		state store.TLSReportState // empty: nothing is kept
	}{
		{"none", nil, ""},
		{"something else", []string{"v=spf1 -all"}, ""},
		{"two", []string{"v=TLSRPTv1;rua=https://receiver.test/", "v=TLSRPTv1;rua=https://receiver.test/"}, ""},
		{"an unknown scheme", []string{"v=TLSRPTv1;rua=gopher://receiver.test/"}, store.TLSReportRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
				rg.zone.set("receiver.test", test.texts...)
				rg.reported()
				rg.until("2026-11-24T05:00:00Z")
				list := rg.reports(store.TLSReportQuery{})
				if test.state == "" && len(list) != 0 || test.state != "" && (len(list) != 1 || list[0].State != test.state || list[0].Note == "") {
					t.Errorf("%+v", list)
				}
				counts, err := rg.store.TLSCounts(context.Background(), "2026-11-23", "")
				if err != nil || (len(counts) == 0) != (test.state == "") {
					t.Errorf("counts %+v %v", counts, err)
				}
				asked := rg.zone.asked
				rg.until("2026-11-24T12:00:00Z")
				if len(rg.web.seen()) != 0 || rg.zone.asked != asked {
					t.Errorf("%d posts, %d more questions", len(rg.web.seen()), rg.zone.asked-asked)
				}
				rg.quiet()
			})
		})
	}
}

func TestResolverFailureDefersTheReport(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
		due := rg.reported()
		rg.zone.setFail(errors.New("SERVFAIL"))
		rg.until(due.Add(2 * time.Minute).Format(time.RFC3339))
		if r := rg.only(); r.State != store.TLSReportWaiting || !strings.Contains(r.Note, "SERVFAIL") || r.Attempts != 1 {
			t.Errorf("%+v", r)
		}
		rg.zone.setFail(nil)
		rg.until(due.Add(15 * time.Minute).Format(time.RFC3339))
		if r := rg.only(); r.State != store.TLSReportSent {
			t.Errorf("%+v", r)
		}
	})
}

// tlsrpt.from of a domain that may not send: told at start, and tried until it may.
func TestSenderThatMayNotSend(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		ctx := context.Background()
		set := func(state store.DomainState) {
			if _, err := rg.store.UpdateDomain(ctx, "sender.test", func(d *store.Domain) error { d.State = state; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		set(store.DomainDisabled)
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=mailto:tls@receiver.test")
		due := rg.reported()
		if log := rg.log.String(); !strings.Contains(log, "TLS reports cannot be mailed") {
			t.Errorf("the log:\n%s", log)
		}
		rg.until(due.Add(2 * time.Minute).Format(time.RFC3339))
		if r := rg.only(); r.State != store.TLSReportWaiting || !strings.Contains(r.Note, "our own server did not take the mail") {
			t.Errorf("%+v", r)
		}
		set(store.DomainActive)
		rg.until(due.Add(15 * time.Minute).Format(time.RFC3339))
		if r := rg.only(); r.State != store.TLSReportSent {
			t.Errorf("%+v", r)
		}
	})
}
