package e2e

import (
	"bytes"
	"io"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-message"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// receiveSecurely starts an MX host that satisfies REQUIRETLS: it announces the extension
// inside TLS, its certificate verifies, and its zone is signed.
func (w *world) receiveSecurely(t testing.TB, label string, b smtptest.Behaviour) *receiver {
	t.Helper()
	b.TLSExtensions = append(smtptest.DefaultExtensions(), "REQUIRETLS")
	r := w.receive(t, label, smtptest.Valid, b)
	ip := netip.MustParseAddrPort(r.Addr()).Addr()
	if err := w.dns.SetZone(dnstest.Zone{Origin: r.domain, Secure: true, Records: "@ MX 10 mx\nmx A " + ip.String()}); err != nil {
		t.Fatal(err)
	}
	return r
}

// A message submitted with REQUIRETLS is deferred; the server is restarted; then the
// recipient is refused for good, and the server is stopped again in the moment the log
// says so. The sender is told all the same, once, with the header alone (RFC 8689 section 5).
func TestTheSenderIsToldThatAMessageWithREQUIRETLSFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	var reply atomic.Value
	reply.Store("451 4.7.1 come back later")
	to := w.receiveSecurely(t, "refuses", smtptest.Behaviour{Rcpt: func(string) string { return reply.Load().(string) }})
	home := w.receiveSecurely(t, "sender", smtptest.Behaviour{})
	rg.open(t, home.domain)

	const content = "From: Bob <bob@%>\r\nTo: ann\r\nSubject: The plan\r\nMessage-ID: <plan@%>\r\n\r\nThe SECRET itself\r\n"
	err := rg.submitSMTP(home.domain, false, &smtp.MailOptions{RequireTLS: true}, strings.ReplaceAll(content, "%", home.domain), to.address())
	if err != nil {
		t.Fatal(err)
	}
	id := "plan@" + home.domain
	first := rg.outcome(t, home.domain, id)
	if first.Severity != "temporary" || first.Status.Code != 451 {
		t.Fatalf("first attempt: %s %s %+v", first.Event, first.Severity, first.Status)
	}
	rg.stop(t)

	reply.Store("550 5.1.1 no such user, said the receiver")
	rg = w.start(t)
	rg.operate(t, "POST", "/v1/sealpost/queue/retry", url.Values{"message": {first.Storage.Key}})
	second := rg.outcomes(t, home.domain, id, 2)[1]
	if second.Severity != "permanent" || second.Status.Code != 550 {
		t.Fatalf("second attempt: %s %s %+v", second.Event, second.Severity, second.Status)
	}
	rg.stop(t)

	rg = w.start(t)
	records := rg.records(t, home.domain)
	await(t, "the notice to arrive", func() bool { return len(home.Accepted()) > 0 })
	rg.settle(t)
	rg.stop(t)
	rg = w.start(t) // and nobody is told twice
	rg.settle(t)
	got := home.Accepted()
	if len(got) != 1 {
		t.Fatalf("%d notices arrived, want 1", len(got))
	}
	n := got[0]
	if n.From != "" || len(n.Recipients) != 1 || n.Recipients[0] != "bob@"+home.domain || !n.TLS {
		t.Errorf("envelope of the notice: from %q to %q, TLS %v", n.From, n.Recipients, n.TLS)
	}
	checkNotice(t, n.Content, to.address())
	list, err := dkim.VerifyWithOptions(bytes.NewReader(n.Content), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) { return []string{records[name]}, nil }})
	if err != nil || len(list) != 1 || list[0].Err != nil || list[0].Domain != home.domain {
		t.Errorf("DKIM: %v %+v", err, list)
	}
	// In the sending domain's log the notice is a message like others.
	h, err := mail.ReadMessage(bytes.NewReader(n.Content))
	if err != nil {
		t.Fatal(err)
	}
	events := rg.of(t, home.domain, strings.Trim(h.Header.Get("Message-ID"), "<>"))
	if len(events) != 2 || events[0].Event != "accepted" || events[1].Event != "delivered" || events[0].Recipient != "bob@"+home.domain {
		t.Errorf("events of the notice: %+v", events)
	}
}

// checkNotice reads a notice as a mail program does.
func checkNotice(t *testing.T, content []byte, recipient string) {
	t.Helper()
	if bytes.Contains(content, []byte("SECRET")) {
		t.Errorf("the body came back:\n%s", content)
	}
	e, err := message.Read(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if media, params, _ := e.Header.ContentType(); media != "multipart/report" || params["report-type"] != "delivery-status" || e.Header.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("header of the notice: %s %v %s", media, params, e.Header.Get("Auto-Submitted"))
	}
	parts := map[string]string{}
	for r := e.MultipartReader(); ; {
		part, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		media, _, _ := part.Header.ContentType()
		body, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatal(err)
		}
		parts[media] = string(body)
	}
	for media, want := range map[string][]string{
		"text/plain": {"<" + recipient + ">", "> 550 5.1.1 no such user, said the receiver"},
		"message/delivery-status": {"Reporting-MTA: dns; " + serverName, "Final-Recipient: rfc822; " + recipient, "Action: failed\r\n", "Status: 5.1.1\r\n",
			"Remote-MTA: dns; mx.", "Diagnostic-Code: smtp; 550 5.1.1 no such user"},
		"text/rfc822-headers": {"Subject: The plan\r\n", "Received: by " + serverName},
	} {
		for _, w := range want {
			if !strings.Contains(parts[media], w) {
				t.Errorf("%s lacks %q:\n%s", media, w, parts[media])
			}
		}
	}
}

// A message that fails without having been marked is told of by events alone.
func TestOtherFailuresAreToldOfByEventsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	to := w.receiveSecurely(t, "refuses", smtptest.Behaviour{Rcpt: func(string) string { return "550 5.1.1 no" }})
	home := w.receiveSecurely(t, "sender", smtptest.Behaviour{})
	rg.open(t, home.domain)
	content := "From: bob@" + home.domain + "\r\nMessage-ID: <plain@" + home.domain + ">\r\n\r\nHi\r\n"
	if err := rg.submitSMTP(home.domain, false, nil, content, to.address()); err != nil {
		t.Fatal(err)
	}
	viaAPI := rg.mustSubmit(t, home.domain, "messages", form{
		{name: "from", value: "bob@" + home.domain}, {name: "to", value: to.address()}, {name: "text", value: "Hi"}, {name: "o:requiretls", value: "yes"},
	})
	for _, id := range []string{"plain@" + home.domain, viaAPI} {
		if e := rg.outcome(t, home.domain, id); e.Severity != "permanent" {
			t.Fatalf("%s: %s %s", id, e.Event, e.Severity)
		}
	}
	// The follower has passed both by when it tells of a third that came after them.
	content = "From: bob@" + home.domain + "\r\n\r\nHi\r\n"
	if err := rg.submitSMTP(home.domain, false, &smtp.MailOptions{RequireTLS: true}, content, to.address()); err != nil {
		t.Fatal(err)
	}
	await(t, "the notice to arrive", func() bool { return len(home.Accepted()) > 0 })
	rg.settle(t)
	if got := home.Accepted(); len(got) != 1 {
		t.Errorf("%d notices arrived, want 1", len(got))
	}
}

// RFC 8689 section 5: a notice should not be discarded because the next hop does not announce
// REQUIRETLS. It holds no more than a header, and travels over verified TLS all the same.
func TestANoticeIsNotLostWhereTheNextHopDoesNotKnowREQUIRETLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	to := w.receiveSecurely(t, "refuses", smtptest.Behaviour{Rcpt: func(string) string { return "550 5.1.1 no such user, said the receiver" }})
	home := w.receive(t, "sender", smtptest.Valid, smtptest.Behaviour{})
	rg.open(t, home.domain)
	content := "From: bob@" + home.domain + "\r\nSubject: The plan\r\n\r\nThe SECRET itself\r\n"
	if err := rg.submitSMTP(home.domain, false, &smtp.MailOptions{RequireTLS: true}, content, to.address()); err != nil {
		t.Fatal(err)
	}
	await(t, "the notice to arrive", func() bool { return len(home.Accepted()) > 0 })
	n := home.Accepted()[0]
	if n.From != "" || !n.TLS || strings.Contains(n.Params, "REQUIRETLS") {
		t.Errorf("envelope of the notice: from %q %s, TLS %v", n.From, n.Params, n.TLS)
	}
	checkNotice(t, n.Content, to.address())
}
