package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// A leaf is one part of a message that holds no other parts, decoded.
type leaf struct {
	mediaType   string
	disposition string
	file        string
	contentID   string
	body        []byte
}

// A parsed is a message as it arrived, read by parsers that are not ours.
type parsed struct {
	header message.Header // go-message
	std    mail.Header    // net/mail
	top    string         // media type of the whole
	leaves []leaf
}

// parse reads a message with two parsers, which must agree about the header section.
func parse(t *testing.T, content []byte) parsed {
	t.Helper()
	if bytes.Contains(bytes.ReplaceAll(content, []byte("\r\n"), nil), []byte("\n")) || bytes.Contains(bytes.ReplaceAll(content, []byte("\r\n"), nil), []byte("\r")) || bytes.ContainsRune(content, 0) {
		t.Fatalf("bare CR, LF or NUL in the message:\n%.2000q", content)
	}
	e, err := message.Read(bytes.NewReader(content))
	if err != nil && !message.IsUnknownCharset(err) {
		t.Fatalf("go-message: %v\n%.2000s", err, content)
	}
	std, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("net/mail: %v\n%.2000s", err, content)
	}
	p := parsed{header: e.Header, std: std.Header}
	p.top, _, _ = e.Header.ContentType()
	var names, stdNames []string
	for f := e.Header.Fields(); f.Next(); {
		names = append(names, strings.ToLower(f.Key()))
	}
	for name, values := range std.Header {
		for range values {
			stdNames = append(stdNames, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	slices.Sort(stdNames)
	if !slices.Equal(names, stdNames) {
		t.Errorf("two parsers see different fields:\n%q\n%q", names, stdNames)
	}
	err = e.Walk(func(_ []int, part *message.Entity, err error) error {
		if err != nil && !message.IsUnknownCharset(err) {
			return err
		}
		mediaType, params, err := part.Header.ContentType()
		if err != nil {
			return fmt.Errorf("content type: %w", err)
		}
		if strings.HasPrefix(mediaType, "multipart/") {
			return nil
		}
		l := leaf{mediaType: mediaType, contentID: part.Header.Get("Content-Id")}
		disposition, dispParams, _ := part.Header.ContentDisposition()
		l.disposition, l.file = disposition, dispParams["filename"]
		if l.file == "" {
			l.file = params["name"]
		}
		l.body, err = io.ReadAll(part.Body)
		p.leaves = append(p.leaves, l)
		return err
	})
	if err != nil {
		t.Fatalf("walk: %v\n%.2000s", err, content)
	}
	return p
}

// verify checks the DKIM signatures with the record that the domain's object shows.
func verify(t *testing.T, content []byte, record map[string]string) {
	t.Helper()
	list, err := dkim.VerifyWithOptions(bytes.NewReader(content), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if v, ok := record[name]; ok {
			return []string{v}, nil
		}
		return nil, fmt.Errorf("no TXT record %s", name)
	}})
	if err != nil || len(list) != 1 || list[0].Err != nil || list[0].Domain != plainDomain {
		t.Errorf("DKIM: %v %+v", err, list)
	}
}

// records returns the TXT records that the domain's object tells to publish.
func (rg *rig) records(t *testing.T, domain string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	list, _ := rg.call(t, "GET", "/v3/domains/"+domain, nil)["sending_dns_records"].([]any)
	for _, item := range list {
		o := item.(map[string]any)
		all[o["name"].(string)] = o["value"].(string)
	}
	return all
}

// arrived waits for the message with the id and returns it as the receiver got it.
func (rg *rig) arrived(t *testing.T, to *receiver, id string) smtptest.Message {
	t.Helper()
	if e := rg.outcome(t, plainDomain, id); e.Event != "delivered" {
		t.Fatalf("%s: %+v", e.Event, e.Status)
	}
	for _, m := range to.Accepted() {
		if strings.Trim(headerOf(m.Content, "Message-Id"), "<>") == id {
			return m
		}
	}
	t.Fatal("the log says delivered, the receiver has nothing")
	return smtptest.Message{}
}

// Messages of every shape arrive as they were meant, are read alike by parsers that are
// not ours, and their signature verifies with the record that the domain shows.
func TestShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	record := rg.records(t, plainDomain)
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})
	from := form{{name: "from", value: "Bøb <bob@" + plainDomain + ">"}, {name: "to", value: "Änn <" + to.address() + ">"}, {name: "subject", value: "Grüße, 世界"}}
	const text, html = "Hello\n.\n.. dots\nFrom here: Grüße\n", "<p>Grüße &amp; <img src=\"cid:logo.png\"></p>"
	png := "\x89PNG\r\n\x1a\n\x00\r\n.\r\nnot really"
	long := strings.Repeat("x", 5000)
	for _, tt := range []struct {
		name   string
		fields []field
		want   []leaf
	}{
		{"text", []field{{name: "text", value: text}}, []leaf{{mediaType: "text/plain", body: []byte(text)}}},
		{"html", []field{{name: "html", value: html}}, []leaf{{mediaType: "text/html", body: []byte(html)}}},
		{"text and html", []field{{name: "text", value: text}, {name: "html", value: html}},
			[]leaf{{mediaType: "text/plain", body: []byte(text)}, {mediaType: "text/html", body: []byte(html)}}},
		{"long line", []field{{name: "text", value: long}}, []leaf{{mediaType: "text/plain", body: []byte(long)}}},
		{"attachment", []field{{name: "text", value: text}, {name: "attachment", file: "Übersicht 世界.pdf", mediaType: "application/pdf", value: png}},
			[]leaf{{mediaType: "text/plain", body: []byte(text)}, {mediaType: "application/pdf", disposition: "attachment", file: "Übersicht 世界.pdf", body: []byte(png)}}},
		{"inline image", []field{{name: "html", value: html}, {name: "inline", file: "logo.png", mediaType: "image/png", value: png}},
			[]leaf{{mediaType: "text/html", body: []byte(html)}, {mediaType: "image/png", disposition: "inline", file: "logo.png", contentID: "<logo.png>", body: []byte(png)}}},
		{"empty attachment", []field{{name: "text", value: "x"}, {name: "attachment", file: "empty.txt", mediaType: "text/plain", value: ""}},
			[]leaf{{mediaType: "text/plain", body: []byte("x")}, {mediaType: "text/plain", disposition: "attachment", file: "empty.txt"}}},
		{"own header", []field{{name: "text", value: text}, {name: "h:X-Own", value: "Grüße"}, {name: "h:Reply-To", value: "rep@" + plainDomain}},
			[]leaf{{mediaType: "text/plain", body: []byte(text)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := rg.mustSubmit(t, plainDomain, "messages", from.with(tt.fields...))
			content := rg.arrived(t, to, id).Content
			p := parse(t, content)
			verify(t, content, record)
			subject, err := p.header.Text("Subject")
			if err != nil || subject != "Grüße, 世界" {
				t.Errorf("subject %q %v", subject, err)
			}
			if a, err := p.std.AddressList("From"); err != nil || len(a) != 1 || a[0].Name != "Bøb" || a[0].Address != "bob@"+plainDomain {
				t.Errorf("From %v %v", a, err)
			}
			if a, err := p.std.AddressList("To"); err != nil || len(a) != 1 || a[0].Name != "Änn" || a[0].Address != to.address() {
				t.Errorf("To %v %v", a, err)
			}
			if len(p.leaves) != len(tt.want) {
				t.Fatalf("%d parts, want %d:\n%s", len(p.leaves), len(tt.want), content)
			}
			for i, want := range tt.want {
				got := p.leaves[i]
				if strings.HasPrefix(want.mediaType, "text/") {
					got.body = bytes.TrimSuffix(bytes.ReplaceAll(got.body, []byte("\r\n"), []byte("\n")), []byte("\n"))
					want.body = bytes.TrimSuffix(want.body, []byte("\n"))
				}
				if !bytes.Equal(got.body, want.body) || got.mediaType != want.mediaType || got.file != want.file ||
					want.disposition != "" && got.disposition != want.disposition || want.contentID != "" && got.contentID != want.contentID {
					t.Errorf("part %d is %s %s %q %s %.200q\nwant %s %s %q %s %.200q", i, got.mediaType, got.disposition, got.file, got.contentID, got.body,
						want.mediaType, want.disposition, want.file, want.contentID, want.body)
				}
			}
			if tt.name == "own header" {
				own, err := new(mime.WordDecoder).DecodeHeader(p.std.Get("X-Own"))
				if err != nil || own != "Grüße" || p.std.Get("Reply-To") != "rep@"+plainDomain {
					t.Errorf("X-Own %q %v, Reply-To %q", own, err, p.std.Get("Reply-To"))
				}
			}
		})
	}
}

// The largest message passes, whole; one that is larger is refused by its door, and
// leaves nothing behind.
func TestLargestMessage(t *testing.T) {
	t.Parallel()
	const limit = 25 << 20
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	record := rg.records(t, plainDomain)
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})
	// Base64 in lines of 76 with CRLF makes 78 octets of 57.
	fits := bytes.Repeat([]byte("0123456789abcdef"), (limit-20_000)/78*57/16)
	file := field{name: "attachment", file: "big.bin", value: string(fits)}
	id := rg.mustSubmit(t, plainDomain, "messages", short(to.address()).with(file))
	content := rg.arrived(t, to, id).Content
	verify(t, content, record)
	if p := parse(t, content); len(p.leaves) != 2 || !bytes.Equal(p.leaves[1].body, fits) {
		t.Errorf("the attachment is not what it was")
	}
	file.value += strings.Repeat("x", 40_000)
	status, data, err := rg.post("/v3/"+plainDomain+"/messages", short(to.address()).with(file))
	if err != nil || status != http.StatusRequestEntityTooLarge && status != http.StatusBadRequest || !bytes.Contains(data, []byte("limit")) {
		t.Errorf("just above the limit: %d %s %v", status, data, err)
	}
	head := "From: bob@" + plainDomain + "\r\nSubject: x\r\n\r\n"
	err = rg.submitSMTP(plainDomain, false, &smtp.MailOptions{}, head+strings.Repeat(strings.Repeat("y", 76)+"\r\n", limit/78+1), to.address())
	var refusal *smtp.SMTPError
	if !errors.As(err, &refusal) || refusal.Code != 552 {
		t.Errorf("SMTP just above the limit: %v", err)
	}
	if n := len(to.Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
	if left := w.folder(t, "tmp"); len(left) > 0 {
		t.Errorf("left in the spool folder: %q", left)
	}
}

// A thousand recipients get the message, each once and with an outcome of its own; one
// more is refused.
func TestThousandRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	here := w.receive(t, "here", smtptest.Valid, smtptest.Behaviour{Rcpt: func(a string) string {
		if strings.HasPrefix(a, "r13@") {
			return "550 5.1.1 no such user"
		}
		return ""
	}})
	there := w.receive(t, "there", smtptest.Valid, smtptest.Behaviour{})
	var to []string
	for i := range 1000 {
		r := here
		if i%10 == 0 {
			r = there
		}
		to = append(to, fmt.Sprintf("r%d@%s", i, r.domain))
	}
	message := short(to[0]).with(field{name: "cc", value: strings.Join(to[1:10], ", ")}, field{name: "bcc", value: strings.Join(to[10:], ", ")})
	id := rg.mustSubmit(t, plainDomain, "messages", message)
	rg.settle(t)
	list, err := rg.events(plainDomain, url.Values{"message-id": {id}, "event": {"delivered OR failed"}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(map[string]string)
	for _, e := range list {
		outcomes[e.Recipient] += e.Event + e.Severity
	}
	got := make(map[string]int)
	for _, r := range []*receiver{here, there} {
		for _, m := range r.Accepted() {
			if bytes.Contains(m.Content, []byte(to[10])) {
				t.Error("a Bcc address travelled with the message")
			}
			for _, rcpt := range m.Recipients {
				got[rcpt]++
			}
		}
	}
	for i, a := range to {
		want, copies := "delivered", 1
		if i == 13 {
			want, copies = "failedpermanent", 0
		}
		if outcomes[a] != want || got[a] != copies {
			t.Errorf("%s: %q and %d copies, want %s and %d", a, outcomes[a], got[a], want, copies)
		}
	}
	status, data, err := rg.post("/v3/"+plainDomain+"/messages", message.with(field{name: "cc", value: "one.more@" + here.domain}))
	if err != nil || status != http.StatusBadRequest || !strings.Contains(string(data), "Too many recipients") {
		t.Errorf("one more: %d %s %v", status, data, err)
	}
}

// Mail for an internationalised domain goes to its A-label, whatever form the sender
// wrote; an internationalised local part goes only where SMTPUTF8 is offered.
func TestInternationalAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	modern := w.receive(t, "utf8", smtptest.Valid, smtptest.Behaviour{})
	old := w.receive(t, "ascii", smtptest.Valid, smtptest.Behaviour{Extensions: []string{"PIPELINING", "SIZE 52428800", "8BITMIME"}})
	w.publish(t, "xn--bcher-kva.test", "@ MX 10 "+modern.host+".")
	w.publish(t, "xn--bchlein-n2a.test", "@ MX 10 "+old.host+".")
	for _, tt := range []struct {
		name, to string
		at       *receiver
		rcpt     string // as the receiver saw it; empty: not delivered
		utf8     bool   // MAIL had SMTPUTF8
	}{
		{"U-label", "ann@bücher.test", modern, "ann@xn--bcher-kva.test", false},
		{"A-label", "ann@XN--BCHER-KVA.test", modern, "ann@xn--bcher-kva.test", false},
		{"U-label, old receiver", "ann@büchlein.test", old, "ann@xn--bchlein-n2a.test", false},
		{"local part", "änn@" + modern.domain, modern, "änn@" + modern.domain, true},
		{"both", "änn@bücher.test", modern, "änn@xn--bcher-kva.test", true},
		{"local part, old receiver", "änn@" + old.domain, old, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := rg.mustSubmit(t, plainDomain, "messages", short(tt.to))
			before := len(tt.at.Messages())
			e := rg.outcome(t, plainDomain, id)
			if tt.rcpt == "" {
				if e.Event != "failed" || e.Severity != "permanent" || e.Status.Enhanced != "5.6.7" || len(tt.at.Messages()) != before {
					t.Errorf("%s %s %+v", e.Event, e.Severity, e.Status)
				}
				return
			}
			m := rg.arrived(t, tt.at, id)
			if got := m.Recipients[0]; got != tt.rcpt {
				t.Errorf("RCPT TO:<%s>, want <%s>", got, tt.rcpt)
			}
			if strings.Contains(m.Params, "SMTPUTF8") != tt.utf8 {
				t.Errorf("MAIL parameters %q", m.Params)
			}
			parse(t, m.Content)
		})
	}
	// The same over SMTP.
	s := "From: bob@" + plainDomain + "\r\nTo: änn@" + modern.domain + "\r\nMessage-ID: <smtp@utf8.test>\r\n\r\nHello\r\n"
	if err := rg.submitSMTP(plainDomain, false, &smtp.MailOptions{UTF8: true}, s, "änn@"+modern.domain); err != nil {
		t.Fatal(err)
	}
	if m := rg.arrived(t, modern, "smtp@utf8.test"); !strings.Contains(m.Params, "SMTPUTF8") || m.Recipients[0] != "änn@"+modern.domain {
		t.Errorf("over SMTP: %q %q", m.Recipients, m.Params)
	}
}

// SEC-41: whatever a recipient domain's DNS says, we never connect to ourselves.
func TestNeverConnectsToItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	rg.stop(t)
	_, port, _ := strings.Cut(rg.starttls, ":")
	w.publish(t, "loop.test", "@ MX 10 mx\nmx A 127.0.0.1")
	// The submission door gets the port that MX hosts are expected on.
	settings := bytes.ReplaceAll(w.settings(""), fmt.Appendf(nil, "port = %d", w.port), []byte("port = "+port))
	settings = bytes.Replace(settings, []byte("[submission]\nlisten = \"127.0.0.1:0\""), []byte("[submission]\nlisten = \"127.0.0.1:"+port+"\""), 1)
	rg = w.startWith(t, settings)
	id := rg.mustSubmit(t, plainDomain, "messages", short("ann@loop.test"))
	e := rg.outcome(t, plainDomain, id)
	if e.Event != "failed" || e.Severity != "permanent" || e.Status.Enhanced != "5.4.6" {
		t.Errorf("%s %s %+v", e.Event, e.Severity, e.Status)
	}
}
