package dsn

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/textproto"

	"github.com/sealpost/sealpost/internal/mail"
)

var update = flag.Bool("update", false, "write the golden files anew")

func address(t testing.TB, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const original = "Received: by mail.server.test with ESMTPSA id 002a;\r\n\tMon, 23 Nov 2026 12:00:00 +0000\r\n" +
	"From: Bob <bob@sender.test>\r\nTo: ann@one.test\r\nSubject: The\r\n plan\r\nMessage-ID: <m1@sender.test>\r\n"

// ordinary is a notice about one recipient whom a server refused.
func ordinary(t testing.TB) Notice {
	return Notice{
		ID: 0x2a, ReportingMTA: "mail.server.test", From: address(t, "postmaster@sender.test"), To: address(t, "bob@sender.test"),
		Date: time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC), MessageID: "m1@sender.test", Subject: "The plan",
		Arrival: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), RequireTLS: true, Header: []byte(original),
		Fates: []Fate{{
			Recipient: address(t, "ann@one.test"), At: time.Date(2026, 11, 23, 12, 29, 59, 0, time.UTC),
			Code: 550, Enhanced: "5.1.1", Text: "no such user", Host: "mx.one.test",
		}},
	}
}

// goldens are notices whose octets are kept in testdata.
func goldens(t testing.TB) map[string]Notice {
	several := ordinary(t)
	several.Fates = append(several.Fates,
		Fate{Recipient: address(t, "bob@two.test"), At: several.Date, Code: 550, Enhanced: "5.7.30", Local: true, Host: "mx.two.test",
			Text: "REQUIRETLS was asked for, but the server does not offer it"},
		Fate{Recipient: address(t, "eve@three.test"), At: several.Date, Expired: true, Code: 451, Text: "4.7.1 come back\nlater", Host: "mx.three.test", Local: true},
		Fate{Recipient: address(t, `"a b"@four.test`), At: several.Date, Code: 554, Enhanced: "5.7.1", Text: "cancelled", Local: true})
	foreign := ordinary(t)
	foreign.Subject = "Größe, 大小"
	foreign.To = address(t, "jürgen@sender.test")
	foreign.Header = []byte("From: jürgen@sender.test\r\nSubject: Größe\r\n")
	foreign.Fates[0].Recipient = address(t, "änn+x@one.test")
	foreign.Fates[0].Text = "Benutzer existiert nicht: ü"
	hostile := ordinary(t)
	hostile.Subject = "a\r\nBcc: x@y.test\x1b[2J"
	hostile.MessageID = "m1 <x>@sender.test"
	hostile.Fates[0].Text = "no\x1b[31m\r\nStatus: 2.0.0\n\n--=_dsn_000000000000002a\n.\n\u202Egnol " + strings.Repeat("x", 5000)
	gone := ordinary(t)
	gone.Header = nil
	optional := ordinary(t)
	optional.RequireTLS, optional.TLSOptional, optional.Fates[0].WantOfTLS = false, true, true
	optional.Fates[0].Code, optional.Fates[0].Enhanced, optional.Fates[0].Text = 530, "5.7.0", "Must issue a STARTTLS command first"
	delayed := ordinary(t)
	delayed.Action, delayed.RequireTLS, delayed.EnvelopeID = Delayed, false, "QQ 31+4"
	delayed.Fates = []Fate{
		{Recipient: address(t, "ann@one.test"), At: delayed.Date, Code: 451, Enhanced: "4.7.1", Text: "greylisted", Host: "mx.one.test", Original: "rfc822;ann+list@first.test"},
		{Recipient: address(t, "bob@one.test"), At: delayed.Date, Code: 680, Text: "connection refused", Local: true, Original: "utf-8;änn x@first.test"},
		{Recipient: address(t, "cat@one.test"), At: delayed.Date, Code: 498, Text: "No MX", Local: true},
	}
	relayed := ordinary(t)
	relayed.Action, relayed.RequireTLS = Relayed, false
	relayed.Fates[0].Code, relayed.Fates[0].Enhanced, relayed.Fates[0].Text = 250, "2.6.0", "queued as 17"
	whole := ordinary(t)
	whole.RequireTLS, whole.Whole = false, true
	whole.Header = []byte(original + "\r\nDear Ann,\r\n\r\n.\r\n--=_dsn_\r\n")
	eight := whole
	eight.Header = []byte("Subject: Größe\r\n\r\nGröße\r\n")
	return map[string]Notice{"delayed": delayed, "relayed": relayed, "whole": whole, "whole-8bit": eight, "optional": optional, "one": ordinary(t), "several": several, "foreign": foreign, "hostile": hostile, "no-header": gone}
}

func TestGoldenNotices(t *testing.T) {
	for name, n := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			var got, again bytes.Buffer
			if _, err := n.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
			if _, err := n.WriteTo(&again); err != nil || !bytes.Equal(got.Bytes(), again.Bytes()) {
				t.Error("the same notice gave other octets")
			}
			path := filepath.Join("testdata", name+".eml")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s differs; got\n%s", path, got.Bytes())
			}
		})
	}
}

// A parsed notice is what somebody else's parser makes of one.
type parsed struct {
	header message.Header
	text   string
	fields []textproto.Header // about the message, then per recipient
	media  []string
	third  string
}

func parse(t testing.TB, octets []byte) parsed {
	t.Helper()
	m, err := message.Read(bytes.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	p := parsed{header: m.Header}
	parts := m.MultipartReader()
	if parts == nil {
		t.Fatalf("not a multipart:\n%s", octets)
	}
	for i := 0; ; i++ {
		part, err := parts.NextPart()
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		media, _, err := part.Header.ContentType()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatal(err)
		}
		p.media = append(p.media, media)
		switch i {
		case 0:
			p.text = string(body)
		case 1:
			for group := range strings.SplitSeq(strings.TrimSuffix(string(body), "\r\n"), "\r\n\r\n") {
				p.fields = append(p.fields, fieldsOf(t, strings.TrimSuffix(group, "\r\n")+"\r\n\r\n"))
			}
		case 2:
			p.third = string(body)
		}
	}
}

// TestNoticesAreReadAsTheRFCsSay parses every golden with emersion/go-message.
func TestNoticesAreReadAsTheRFCsSay(t *testing.T) {
	for name, n := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if _, err := n.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			p := parse(t, b.Bytes())
			media, params, err := p.header.ContentType()
			if err != nil || media != "multipart/report" || params["report-type"] != "delivery-status" {
				t.Errorf("RFC 3464 section 2: the type is multipart/report with report-type=delivery-status; got %s %v, %v", media, params, err)
			}
			if got := p.header.Get("Auto-Submitted"); got != "auto-replied" {
				t.Errorf("RFC 3834 section 5: Auto-Submitted is %q", got)
			}
			if got := p.header.Get("TLS-Required"); (got == "No") != (name == "optional") {
				t.Errorf("RFC 8689 section 6: TLS-Required is %q", got)
			}
			third := "text/rfc822-headers"
			switch name {
			case "foreign":
				third = "message/global-headers"
			case "whole":
				third = "message/rfc822"
			case "whole-8bit":
				third = "message/global"
			}
			want := []string{"text/plain", "message/delivery-status", third}
			if name == "no-header" {
				want = want[:2]
			}
			if !slices.Equal(p.media, want) {
				t.Errorf("RFC 6522 section 3, RFC 8689 section 5: parts are %v, want %v", p.media, want)
			}
			if p.third != string(n.Header) {
				t.Errorf("the header came back as %q", p.third)
			}
			if len(p.fields) != 1+len(n.Fates) {
				t.Fatalf("RFC 3464 section 2.1: %d groups of fields for %d recipients", len(p.fields), len(n.Fates))
			}
			if got := p.fields[0].Get("Reporting-MTA"); got != "dns; mail.server.test" {
				t.Errorf("RFC 3464 section 2.2.2: Reporting-MTA is %q", got)
			}
			if got, err := time.Parse(time.RFC1123Z, p.fields[0].Get("Arrival-Date")); err != nil || !got.Equal(n.Arrival) {
				t.Errorf("RFC 3464 section 2.2.5: Arrival-Date is %v, %v", got, err)
			}
			for i, f := range n.Fates {
				got := p.fields[1+i]
				if a := got.Get("Action"); a != n.Action.String() {
					t.Errorf("RFC 3464 section 2.3.3: Action is %q", a)
				}
				if o := got.Get("Original-Recipient"); (o != "") != (f.Original != "") {
					t.Errorf("RFC 3464 section 2.3.1: Original-Recipient is %q", o)
				}
				class := map[Action]string{Failed: "5", Delayed: "4", Relayed: "2"}[n.Action]
				if s := got.Get("Status"); !isStatus(s, class) && !(f.Expired && isStatus(s, "4")) {
					t.Errorf("RFC 3464 section 2.3.4: Status is %q", s)
				}
				if decoded := untyped(t, got.Get("Final-Recipient")); decoded != f.Recipient.String() {
					t.Errorf("RFC 3464 section 2.3.2: Final-Recipient is %q", got.Get("Final-Recipient"))
				}
				if has := got.Has("Remote-MTA"); has != (!f.Local && !f.Expired) {
					t.Errorf("RFC 3464 section 2.3.5: Remote-MTA present is %v, where our own words is %v", has, f.Local)
				}
				if code := got.Get("Diagnostic-Code"); strings.HasPrefix(code, "smtp;") != (!f.Local && !f.Expired) {
					t.Errorf("RFC 3464 section 2.3.6: Diagnostic-Code is %q", code)
				}
			}
			if got := p.fields[0].Get("Original-Envelope-Id"); got != n.EnvelopeID {
				t.Errorf("RFC 3464 section 2.2.1: Original-Envelope-Id is %q", got)
			}
			if name != "whole-8bit" {
				checkOctets(t, b.Bytes(), name == "foreign")
			}
		})
	}
}

// checkOctets checks what every hop needs: CRLF, no line too long, 7-bit.
func checkOctets(t *testing.T, octets []byte, utf8Header bool) {
	t.Helper()
	header, body, _ := bytes.Cut(octets, []byte("\r\n\r\n"))
	if !isASCII(body) || !utf8Header && !isASCII(header) {
		t.Error("RFC 3464 section 2.1: not in 7-bit")
	}
	for line := range bytes.Lines(octets) {
		if !bytes.HasSuffix(line, []byte("\r\n")) || bytes.ContainsAny(line[:len(line)-2], "\r\x00\x1b") || len(line) > 1000 {
			t.Errorf("bad line %q", line)
		}
	}
}

// untyped decodes a typed address (RFC 6533 section 3).
func untyped(t *testing.T, s string) string {
	t.Helper()
	kind, value, _ := strings.Cut(s, "; ")
	if kind == "rfc822" {
		return value
	}
	if kind != "utf-8" {
		t.Fatalf("address type %q", kind)
	}
	return decodeXtext(t, value)
}
