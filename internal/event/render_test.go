package event

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

var update = flag.Bool("update", false, "rewrite testdata")

func sample() (Meta, time.Time) {
	return Meta{
		Domain: "example.com", MessageID: "20250224224403.1d63@example.com", Sender: "bob@example.com", From: "Bob <bob@example.com>",
		To: "ann@example.net", Subject: "Grüße", Recipients: []string{"ann@example.net"}, Size: 586,
		Tags: []string{"welcome"}, Variables: map[string]string{"order": "17"}, Method: "http", Authenticated: true,
		ScheduledFor: time.Unix(1740437000, 0), OriginIP: "192.0.2.7", KeyID: "00000000000000aa",
		Attachments: []Attachment{{Filename: "a.txt", ContentType: "text/plain", Size: 3}},
	}, time.UnixMicro(1740437043641821)
}

// One of every type, as the contract shows them.
func TestRenderGolden(t *testing.T) {
	m, at := sample()
	yes, no, host, wait, first := true, false, "mx1.example.net", 600, 0.25
	detail := &mail.TLSDetail{MXHost: host, Result: "unverified", VerifyErrors: []string{"expired", "name-mismatch"}}
	records := []Record{
		{Type: Accepted},
		{Type: Delivered, Data: Data{SendingIP: "192.0.2.10", Status: &Status{
			AttemptNo: 1, Code: 250, Message: "OK", SessionSeconds: 0.4367, TLS: &yes, CertificateVerified: &no, MXHost: &host, UTF8: &yes, TLSDetail: detail}}},
		{Type: FailedTemporary, Data: Data{Reason: "generic", Status: &Status{
			AttemptNo: 2, Code: 451, EnhancedCode: "4.7.10", Description: "STARTTLS not offered", Local: true, TLS: &no, CertificateVerified: &no, MXHost: &host, RetrySeconds: &wait}}},
		{Type: FailedPermanent, Data: Data{Reason: "old", Status: &Status{
			AttemptNo: 9, Code: 602, Message: "Too old", LastCode: 451, LastMessage: "later", FirstAttemptSeconds: &first}}},
		{Type: Rejected, Data: Data{Reject: &Reject{Reason: "not allowed", Description: "foreign domain"}}},
		{Type: Opened, Data: Data{Visit: &Visit{IP: "203.0.113.9", Client: ClientInfo{
			ClientType: "email client", ClientOS: "unknown", DeviceType: "unknown", ClientName: "Apple Mail", UserAgent: "Mozilla/5.0", Bot: "apple"}}}},
		{Type: Clicked, Data: Data{Visit: &Visit{URL: "https://example.com/x?a=1&b=2", IP: "203.0.113.9", Client: ClientInfo{
			ClientType: "browser", ClientOS: "Linux", DeviceType: "desktop", ClientName: "Firefox", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"}}}},
		{Type: Unsubscribed, Data: Data{Visit: &Visit{IP: "203.0.113.9"}}},
	}
	var out strings.Builder
	for i, r := range records {
		r.ID, r.Time, r.Message = mail.ID(0x10+i), at, 0x0123456789abcdef
		if r.Type != Rejected {
			r.Recipient = "ann@example.net"
		}
		b, err := json.MarshalIndent(Render(&r, &m, "https://mail.example.net"), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		out.WriteString("\n")
	}
	const golden = "testdata/events.json"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got:\n%s", out.String())
	}
}

func TestRenderNeverShowsNullForListsAndObjects(t *testing.T) {
	for typ := Accepted; typ <= Stored; typ++ {
		b, err := json.Marshal(Render(&Record{Type: typ, Recipient: "a@example.net", Data: Data{Status: &Status{}}}, &Meta{}, ""))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "null") {
			t.Errorf("%v: %s", typ, b)
		}
		for _, want := range []string{`"tags":[]`, `"campaigns":[]`, `"user-variables":{}`, `"attachments":[]`, `"recipients":[]`, `"description":""`} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%v lacks %s: %s", typ, want, b)
			}
		}
	}
}

// The three facts of a session appear together, or not at all.
func TestRenderOmitsSessionFactsWithoutSession(t *testing.T) {
	b, err := json.Marshal(Render(&Record{Type: FailedPermanent, Data: Data{Status: &Status{Code: 605}}}, &Meta{}, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"tls"`, `"certificate-verified"`, `"mx-host"`} {
		if strings.Contains(string(b), name) {
			t.Errorf("%s shown without a session: %s", name, b)
		}
	}
}

func TestTimestampKeepsMicroseconds(t *testing.T) {
	for us, want := range map[int64]string{1740437043641821: "1740437043.641821", 1740437043000001: "1740437043.000001", 1: "0.000001", -5: "0.000000", 1740437043000000: "1740437043.000000"} {
		b, err := json.Marshal(Timestamp(time.UnixMicro(us)))
		if err != nil || string(b) != want {
			t.Errorf("%d: got %s, %v; want %s", us, b, err, want)
		}
		var back Timestamp
		if err := json.Unmarshal(b, &back); err != nil || us >= 0 && time.Time(back).UnixMicro() != us {
			t.Errorf("%s read back as %d, %v", b, time.Time(back).UnixMicro(), err)
		}
	}
}

func TestVariablesAreCutAtTheLimit(t *testing.T) {
	vars := map[string]string{"a": strings.Repeat("x", 4000), "b": strings.Repeat("ü", 200), "c": "gone"}
	shown := shownVariables(vars)
	total := 0
	for k, v := range shown {
		total += len(k) + len(v)
	}
	if total > maxVariables || shown["a"] != vars["a"] || !strings.HasPrefix(vars["b"], shown["b"]) || shown["b"] == "" {
		t.Errorf("shows %d octets: b is %d octets, c is %q", total, len(shown["b"]), shown["c"])
	}
	if small := map[string]string{"a": "1"}; len(shownVariables(small)) != 1 {
		t.Error("small variables were cut")
	}
}

// An event of a message to a thousand does not repeat them all.
func TestManyRecipients(t *testing.T) {
	var all []string
	for i := range 1000 {
		all = append(all, fmt.Sprintf("user-%d@example.net", i))
	}
	m := Meta{Domain: "example.com", Recipients: all, To: strings.Join(all, ", ")}
	for _, own := range []int{0, 49, 50, 999} {
		r := Record{Type: Accepted, Recipient: all[own]}
		w := Render(&r, &m, "")
		if len(w.Message.Recipients) != 50 || !slices.Contains(w.Message.Recipients, all[own]) || w.Message.Recipients[0] != all[0] {
			t.Errorf("event of %s shows %d recipients: %v", all[own], len(w.Message.Recipients), w.Message.Recipients)
		}
		text, err := json.Marshal(w)
		if err != nil || len(text) > 6<<10 {
			t.Errorf("the event has %d octets, %v", len(text), err)
		}
		if to := w.Message.Headers.To; !strings.HasSuffix(to, ".net, …") || len(to) > 2<<10+4 {
			t.Errorf("To ends with %q", to[len(to)-40:])
		}
	}
	if len(m.Recipients) != 1000 || m.Recipients[49] != all[49] {
		t.Error("the message's own list was changed")
	}
	if got := shownTo(strings.Repeat("ü", 2000)); len(got) > 2<<10 || !utf8.ValidString(got) {
		t.Errorf("%d octets", len(got))
	}
}
