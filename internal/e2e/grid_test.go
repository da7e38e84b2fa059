package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// A peer is a receiver's behaviour and what the contract says about mail for it.
type peer struct {
	name      string
	cert      smtptest.CertKind
	behaviour smtptest.Behaviour
	// kind selects the row of the outcome matrix; err is the verify error of bad
	// certificates. refused is the last part of the result's name.
	kind    peerKind
	err     string
	refused string
	// conns are the connections that (f,f), (f,t), (t,f), (t,t) need.
	conns [4]int
}

type peerKind uint8

const (
	good     peerKind = iota // G of the contract: TLS works and verifies
	badCert                  // B: TLS works, the certificate does not verify
	noTLS                    // U: no TLS session is possible
	severed                  // U, and plaintext needs a fresh connection
	untimely                 // severed without an answer, so a small ClientHello is tried first
)

func peers() []peer {
	reject := func(reply string) smtptest.Behaviour {
		return smtptest.Behaviour{STARTTLS: smtptest.TLSReject, STARTTLSReply: reply}
	}
	mode := func(m smtptest.STARTTLSMode) smtptest.Behaviour { return smtptest.Behaviour{STARTTLS: m} }
	bad := func(name string, kind smtptest.CertKind, err string) peer {
		return peer{name: name, cert: kind, kind: badCert, err: err, refused: "verify-failed", conns: [4]int{2, 1, 1, 1}}
	}
	fresh := [4]int{2, 2, 1, 1}
	small := [4]int{3, 3, 2, 2}
	once := [4]int{1, 1, 1, 1}
	return []peer{
		{name: "valid", kind: good, conns: once},
		bad("self-signed", smtptest.SelfSigned, "self-signed"),
		{name: "no-starttls", behaviour: mode(smtptest.TLSNotOffered), kind: noTLS, refused: "not-offered", conns: once},
		bad("wrong-name", smtptest.WrongName, "name-mismatch"),
		bad("expired", smtptest.Expired, "expired"),
		bad("not-yet-valid", smtptest.NotYetValid, "not-yet-valid"),
		bad("unknown-ca", smtptest.UnknownCA, "unknown-ca"),
		{name: "starttls-454", behaviour: reject("454 4.7.0 not now"), kind: noTLS, refused: "starttls-rejected", conns: once},
		{name: "starttls-502", behaviour: reject("502 5.5.1 no"), kind: noTLS, refused: "starttls-rejected", conns: once},
		{name: "handshake-closed", behaviour: mode(smtptest.TLSCloseAfterHello), kind: untimely, refused: "handshake-failed", conns: small},
		{name: "handshake-garbage", behaviour: mode(smtptest.TLSGarbage), kind: severed, refused: "handshake-failed", conns: fresh},
		{name: "handshake-stalled", behaviour: mode(smtptest.TLSStall), kind: untimely, refused: "handshake-failed", conns: small},
		{name: "tls10", behaviour: mode(smtptest.TLSOffered), kind: severed, refused: "handshake-failed", conns: fresh},
	}
}

// A way is how flags reach the server: which domain sends, and which values the message
// itself carries ("" is none).
type way struct {
	name     string
	endpoint string // messages, messages.mime, smtp or smtps
	all      bool   // against every peer, not only the first three
	domain   func(require, skip bool) string
	message  func(require, skip bool) (string, string)
	sources  [2]string // of require-tls and skip-verification
}

// domainFor names the sending domain whose settings are these.
func domainFor(require, skip bool) string { return fmt.Sprintf("%s-%s.test", tf(require), tf(skip)) }

// plainDomain is a sending domain without settings.
const plainDomain = "sender.test"

func tf(b bool) string {
	if b {
		return "t"
	}
	return "f"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func ways() []way {
	unset := func(bool, bool) string { return plainDomain }
	same := domainFor
	contrary := func(r, s bool) string { return domainFor(!r, !s) }
	none := func(bool, bool) (string, string) { return "", "" }
	both := func(r, s bool) (string, string) { return yesNo(r), yesNo(s) }
	message := [2]string{"message", "message"}
	list := []way{
		{"message", "messages", true, unset, both, message},
		{"domain", "messages", true, same, none, [2]string{"domain", "domain"}},
		{"message-over-domain", "messages", true, contrary, both, message},
		{
			"require-by-message", "messages", false,
			func(r, s bool) string { return domainFor(!r, s) },
			func(r, _ bool) (string, string) { return yesNo(r), "" }, [2]string{"message", "domain"},
		},
		{
			"skip-by-message", "messages", false,
			func(r, s bool) string { return domainFor(r, !s) },
			func(_, s bool) (string, string) { return "", yesNo(s) }, [2]string{"domain", "message"},
		},
	}
	for _, endpoint := range []string{"messages.mime", "smtp", "smtps"} {
		list = append(list,
			way{"message", endpoint, false, unset, both, message},
			way{"message-over-domain", endpoint, false, contrary, both, message})
	}
	return list
}

// A cell is one message to one fresh receiver.
type cell struct {
	name          string
	p             peer
	w             way
	require, skip bool
	domain        string
	to            *receiver
	id            string
	event         Event
}

func (c *cell) pair() int {
	n := 0
	if c.require {
		n = 2
	}
	if c.skip {
		n++
	}
	return n
}

// REL-50, T1–T5, T9, T11: for every pair of flags, given in every way, against every
// behaviour of a receiver, the outcome is the contract's, the log says what the receiver
// saw, and no required message ever meets MAIL in plaintext.
//
// All messages are sent first, so that the stalled handshakes stall together.
func TestGrid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	for pair := range 4 {
		require, skip := pair >= 2, pair%2 == 1
		d := domainFor(require, skip)
		rg.openDomain(t, d, nil)
		rg.call(t, "PUT", "/v3/domains/"+d+"/connection", url.Values{"require_tls": {fmt.Sprint(require)}, "skip_verification": {fmt.Sprint(skip)}})
	}
	var cells []*cell
	for _, way := range ways() {
		list := peers()
		if !way.all {
			list = list[:3]
		}
		for _, p := range list {
			for pair := range 4 {
				c := &cell{p: p, w: way, require: pair >= 2, skip: pair%2 == 1}
				c.name = fmt.Sprintf("%s/%s/%s/%s,%s", way.endpoint, way.name, p.name, tf(c.require), tf(c.skip))
				c.domain = way.domain(c.require, c.skip)
				c.start(t, w)
				cells = append(cells, c)
			}
		}
	}
	rg.sendAll(t, cells)
	for _, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			c.event = rg.outcome(t, c.domain, c.id)
			c.checkEvent(t)
			c.checkReceiver(t)
		})
	}
	rg.stop(t)
	for _, c := range cells { // what came after the event
		t.Run(c.name+"/afterwards", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := c.to.WaitClosed(ctx, c.p.conns[c.pair()]); err != nil {
				t.Fatalf("connections left open: %v", err)
			}
			c.checkReceiver(t)
		})
	}
}

// start starts the cell's receiver.
func (c *cell) start(t *testing.T, w *world) {
	b := c.p.behaviour
	if c.p.name == "tls10" {
		b.TLSConfig = &tls.Config{Certificates: []tls.Certificate{w.pki.Cert(t, smtptest.Valid, "unused.test")}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	}
	c.to = w.receive(t, c.p.name, c.p.cert, b)
}

func (rg *rig) sendAll(t *testing.T, cells []*cell) {
	t.Helper()
	for _, c := range cells {
		require, skip := c.w.message(c.require, c.skip)
		var err error
		if c.id, err = rg.submitFlags(c.w.endpoint, c.domain, c.to.address(), require, skip); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
}

// submitFlags sends a short message through one of the doors, with the flags written as
// they are; "" is none. Message ids of SMTP are made here, for that door returns none.
func (rg *rig) submitFlags(endpoint, domain, to, require, skip string) (string, error) {
	f := form{{name: "to", value: to}}
	var control strings.Builder
	for _, flag := range []struct{ param, header, value string }{
		{"o:require-tls", "X-Mailgun-Require-TLS", require},
		{"o:skip-verification", "X-Mailgun-Skip-Verification", skip},
	} {
		if flag.value == "" {
			continue
		}
		value := strings.TrimSuffix(flag.value, emptyValue)
		f = f.with(field{name: flag.param, value: value})
		fmt.Fprintf(&control, "%s: %s\r\n", flag.header, value)
	}
	text := "From: Bob <bob@" + domain + ">\r\nTo: " + to + "\r\nSubject: grid\r\n"
	const body = "\r\nHello\r\n"
	switch endpoint {
	case "messages":
		return rg.submit(domain, endpoint, f.with(
			field{name: "from", value: "Bob <bob@" + domain + ">"}, field{name: "subject", value: "grid"}, field{name: "text", value: "Hello"}))
	case "messages.mime":
		return rg.submit(domain, endpoint, f.with(field{name: "message", file: "message.eml", value: text + body}))
	}
	id := fmt.Sprintf("%d.%s", time.Now().UnixNano(), to)
	text += "Message-ID: <" + id + ">\r\n" + control.String() + body
	return id, rg.submitSMTP(domain, endpoint == "smtps", &smtp.MailOptions{}, text, to)
}

// emptyValue stands for a flag that is given, as an empty string.
const emptyValue = "(empty)"

// An outcome is what the contract says about a cell.
type outcome struct {
	delivered, tls, verified bool
	result                   string
}

// want is the outcome matrix of the contract.
func (c *cell) want() outcome {
	switch {
	case c.p.kind == good:
		return outcome{true, true, true, "verified-pkix"}
	case c.p.kind == badCert && c.skip:
		return outcome{true, true, false, "unverified"}
	case c.require:
		return outcome{false, false, false, "refused-" + c.p.refused}
	}
	return outcome{true, false, false, "plaintext-" + c.p.refused}
}

// checkEvent holds the event to the contract.
func (c *cell) checkEvent(t *testing.T) {
	t.Helper()
	want, e := c.want(), c.event
	s := e.Status
	if s == nil || s.TLS == nil || s.Verified == nil || s.MXHost == nil || s.Description == nil || s.Detail == nil {
		t.Fatalf("delivery-status lacks fields: %+v", s)
	}
	got := outcome{e.Event == "delivered", *s.TLS, *s.Verified, s.Detail.Result}
	if got != want {
		t.Fatalf("the event says %+v, want %+v: %d %s %s", got, want, s.Code, s.Enhanced, s.Message)
	}
	if *s.MXHost != c.to.host {
		t.Errorf("mx-host %q, want %q", *s.MXHost, c.to.host)
	}
	if d := s.Detail; d.Require != (Flag{c.require, c.w.sources[0]}) || d.Skip != (Flag{c.skip, c.w.sources[1]}) {
		t.Errorf("flags %+v %+v, want %t %t from %v", d.Require, d.Skip, c.require, c.skip, c.w.sources)
	}
	if class := [4]string{"OV", "OA", "RV", "RA"}[c.pair()]; s.Detail.Requirement != class {
		t.Errorf("requirement %q, want %q", s.Detail.Requirement, class)
	}
	if errs := strings.Join(s.Detail.VerifyErrors, ","); errs != c.p.err {
		t.Errorf("verify-errors %q, want %q", errs, c.p.err)
	}
	if s.Attempt != 1 {
		t.Errorf("attempt-no %d", s.Attempt)
	}
	if want.delivered {
		if s.Code != 250 || e.Severity != "" || s.Retry != nil || s.UTF8 == nil || !*s.UTF8 {
			t.Errorf("delivered with code %d, severity %q, retry %v", s.Code, e.Severity, s.Retry)
		}
		return
	}
	enhanced := "4.7.10"
	if c.p.kind == badCert {
		enhanced = "4.7.5"
	}
	if e.Event != "failed" || e.Severity != "temporary" || e.Reason != "generic" || s.Code != 450 || s.Enhanced != enhanced || s.Retry == nil || *s.Retry < 500 {
		t.Errorf("refused as %s %s %s %d %s retry %v, want temporary 450 %s", e.Event, e.Severity, e.Reason, s.Code, s.Enhanced, s.Retry, enhanced)
	}
	if !strings.Contains(s.Message, "TLS") {
		t.Errorf("message %q does not name the condition", s.Message)
	}
}

// checkReceiver compares the event with what the receiver saw.
func (c *cell) checkReceiver(t *testing.T) {
	t.Helper()
	want, accepted, conns := c.want(), c.to.Accepted(), c.to.Connections()
	if len(accepted) != map[bool]int{true: 1}[want.delivered] {
		t.Fatalf("the receiver took %d messages", len(accepted))
	}
	if len(conns) != c.p.conns[c.pair()] {
		t.Errorf("%d connections, want %d", len(conns), c.p.conns[c.pair()])
	}
	for _, conn := range conns {
		if c.require && conn.PlaintextMail() { // T11
			t.Errorf("MAIL in plaintext: %q", conn.Verbs())
		}
		if conn.TLS && conn.SNI != c.to.host {
			t.Errorf("SNI %q, want %q", conn.SNI, c.to.host)
		}
		if slices.Contains(conn.Verbs(), "AUTH") {
			t.Error("AUTH was sent")
		}
	}
	for _, m := range accepted {
		if m.TLS != want.tls {
			t.Errorf("the message came with TLS %t, the event says %t", m.TLS, want.tls)
		}
		if !slices.Equal(m.Recipients, []string{c.to.address()}) {
			t.Errorf("for %v", m.Recipients)
		}
		for _, name := range []string{"require-tls", "skip-verification"} { // T9
			if strings.Contains(strings.ToLower(string(m.Content)), name) {
				t.Errorf("%s travelled with the message:\n%s", name, m.Content)
			}
		}
		if d := c.event.Status.Detail; m.TLS && d.Version != tls.VersionName(conns[m.Conn-1].Version) {
			t.Errorf("the event says %s, the receiver saw %s", d.Version, tls.VersionName(conns[m.Conn-1].Version))
		}
	}
}
