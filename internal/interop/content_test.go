package interop

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/sealpost/sealpost/internal/realmta"
)

// What a receiver has is what the sender gave, whatever it was encoded in on its way, and
// its signature verifies against the record that the domain has published.
func TestContentArrivesIntact(t *testing.T) {
	t.Parallel()
	var receivers []receiver
	for _, mta := range []string{"postfix", "exim"} {
		receivers = append(receivers,
			receiver{mta: mta, label: "bdat", cert: validCert},
			receiver{mta: mta, label: "data", cert: validCert, noChunking: true},
		)
	}
	r := newRig(t, receivers...)
	servers := r.startAll(t, receivers)
	t.Run("receivers", func(t *testing.T) { // returns when all of them are done
		for _, v := range receivers {
			t.Run(v.name(), func(t *testing.T) {
				t.Parallel()
				server := servers[v.name()]
				severalRecipients(t, r, v, server)
				eightBitText(t, r, v, server)
				if !v.noChunking {
					largeAttachment(t, r, v, server)
				}
				nonASCIIAddress(t, r, v, server)
			})
		}
	})
	r.stop() // ends all sessions; receivers count commands then
	for _, v := range receivers {
		checkCommands(t, v, servers[v.name()])
	}
}

// severalRecipients: three recipients at one next hop are one transaction.
func severalRecipients(t *testing.T, r *rig, v receiver, server *realmta.Server) {
	to := []string{"to@" + v.domain(), "cc@" + v.domain(), "bcc@" + v.domain()}
	id := r.send(t,
		part{name: "from", value: "Ann <ann@" + sendingDomain + ">"}, part{name: "subject", value: "Three"},
		part{name: "to", value: to[0]}, part{name: "cc", value: to[1]}, part{name: "bcc", value: to[2]},
		part{name: "text", value: "To all of you."},
	)
	ids := make(map[string]bool)
	for _, recipient := range to {
		if o := r.outcome(t, id, recipient); !o.delivered() {
			t.Fatalf("%s: %+v", recipient, o)
		}
		m := arrived(t, server, recipient)
		ids[parseReceived(t, m).id] = true
		if got := readMessage(t, r, m); got.text != "To all of you.\n" || got.header.Get("Bcc") != "" || strings.Contains(string(m.Data), to[2]+"\n") && recipient != to[2] {
			t.Errorf("%s got %q", recipient, m.Data)
		}
	}
	if len(ids) != 1 {
		t.Errorf("three recipients came as %d messages, want 1", len(ids))
	}
}

// eightBitText: a subject, a name and a text beyond ASCII, as parts and as MIME.
func eightBitText(t *testing.T, r *rig, v receiver, server *realmta.Server) {
	const subject, text = "Grüße — 你好 🎉", "Zażółć gęślą jaźń.\n.\n..dots\nFrom the start of a line\n€\n"
	check := func(recipient, id string) {
		t.Helper()
		if o := r.outcome(t, id, recipient); !o.delivered() {
			t.Fatalf("%s: %+v", recipient, o)
		}
		m := arrived(t, server, recipient)
		got := readMessage(t, r, m)
		from, err := mail.ParseAddress(got.header.Get("From"))
		if err != nil || from.Name != "Jürgen Größe" || from.Address != "j@"+sendingDomain {
			t.Errorf("%s: From: got %v, %v", recipient, from, err)
		}
		if got.subject != subject || got.text != text {
			t.Errorf("%s: got %q, %q; want %q, %q", recipient, got.subject, got.text, subject, text)
		}
	}
	recipient := "parts@" + v.domain()
	check(recipient, r.send(t,
		part{name: "from", value: "Jürgen Größe <j@" + sendingDomain + ">"}, part{name: "to", value: recipient},
		part{name: "subject", value: subject}, part{name: "text", value: text},
	))
	recipient = "mime@" + v.domain()
	check(recipient, r.sendMIME(t, recipient, crlf("From: Jürgen Größe <j@"+sendingDomain+">\nTo: "+recipient+"\nSubject: "+subject+
		"\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"+text)))
}

// nonASCIIAddress needs SMTPUTF8 (RFC 6531) on the way.
func nonASCIIAddress(t *testing.T, r *rig, v receiver, server *realmta.Server) {
	recipient := "jürgen@" + v.domain()
	id := r.send(t,
		part{name: "from", value: "app@" + sendingDomain}, part{name: "to", value: recipient},
		part{name: "subject", value: "SMTPUTF8"}, part{name: "text", value: "Hallo."},
	)
	if o := r.outcome(t, id, recipient); !o.delivered() {
		t.Fatalf("%s: %+v", recipient, o)
	}
	m := arrived(t, server, recipient)
	// Exim has a name of its own for it: utf8esmtps.
	if got := parseReceived(t, m).protocol; got != "UTF8SMTPS" && got != "UTF8ESMTPS" {
		t.Errorf("Received: got %q, want it to say with UTF8SMTPS", m.Received())
	}
	if got := readMessage(t, r, m); got.text != "Hallo.\n" || !strings.Contains(got.header.Get("To"), "jürgen@") {
		t.Errorf("got %q", m.Data)
	}
}

// largeAttachment: 5 MB, which are several chunks of BDAT.
func largeAttachment(t *testing.T, r *rig, v receiver, server *realmta.Server) {
	data := make([]byte, 5_000_000)
	random := rand.NewChaCha8(sha256.Sum256([]byte(v.name())))
	random.Read(data)
	recipient := "large@" + v.domain()
	id := r.send(t,
		part{name: "from", value: "app@" + sendingDomain}, part{name: "to", value: recipient}, part{name: "subject", value: "Large"},
		part{name: "text", value: "See the files."}, part{name: "html", value: "<p>See the files.</p>"},
		part{name: "attachment", filename: "Bericht für Ä.bin", value: string(data)},
		part{name: "attachment", filename: "small.txt", value: "a\r\n.\r\nb\n.\nc"},
	)
	if o := r.outcome(t, id, recipient); !o.delivered() {
		t.Fatalf("%s: %+v", recipient, o)
	}
	got := readMessage(t, r, arrived(t, server, recipient))
	if got.text != "See the files.\n" || !strings.Contains(got.html, "<p>See the files.</p>") {
		t.Errorf("texts: got %q, %q", got.text, got.html)
	}
	if !bytes.Equal(got.files["Bericht für Ä.bin"], data) {
		t.Errorf("the attachment has %d octets, not the %d that were sent", len(got.files["Bericht für Ä.bin"]), len(data))
	}
	if want := "a\r\n.\r\nb\n.\nc"; string(got.files["small.txt"]) != want || len(got.files) != 2 {
		t.Errorf("small attachment: got %q, want %q", got.files["small.txt"], want)
	}
}

// checkCommands makes sure that the test tested what it says: BDAT, or DATA.
func checkCommands(t *testing.T, v receiver, server *realmta.Server) {
	t.Helper()
	chunked, whole := " bdat=", " data="
	if v.mta == "exim" {
		chunked, whole = " K S=", " CV=no S="
	} else {
		until(t, v.name()+" logs the end of a session", func() bool {
			return strings.Contains(server.Log(), chunked) || strings.Contains(server.Log(), whole)
		})
	}
	log := server.Log()
	if got := strings.Contains(log, chunked); got == v.noChunking {
		t.Errorf("%s: BDAT was used: got %v, want %v", v.name(), got, !v.noChunking)
	}
	if got := strings.Contains(log, whole); got != v.noChunking {
		t.Errorf("%s: DATA was used: got %v, want %v", v.name(), got, v.noChunking)
	}
}

// A parsed message is what Go's own parsers find in it.
type parsed struct {
	header     mail.Header
	subject    string // decoded
	text, html string // with LF
	files      map[string][]byte
}

// readMessage takes a stored message apart and verifies its signature.
func readMessage(t *testing.T, r *rig, m realmta.Message) parsed {
	t.Helper()
	r.verifySignature(t, m)
	message, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatalf("%v in %.2000q", err, m.Data)
	}
	p := parsed{header: message.Header, files: make(map[string][]byte)}
	if p.subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	p.add(t, message.Header.Get, message.Body)
	return p
}

// add takes in an entity with all that is in it.
func (p *parsed) add(t *testing.T, field func(string) string, body io.Reader) {
	t.Helper()
	contentType := cmp.Or(field("Content-Type"), "text/plain") // RFC 2045 section 5.2
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatalf("Content-Type %q: %v", contentType, err)
	}
	if strings.HasPrefix(media, "multipart/") {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p.add(t, part.Header.Get, part)
		}
	}
	switch strings.ToLower(field("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	disposition, dispositionParams, _ := mime.ParseMediaType(field("Content-Disposition"))
	// The line end that ends a text is not part of it everywhere; here all have it.
	text := strings.TrimSuffix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n") + "\n"
	switch {
	case disposition == "attachment":
		p.files[dispositionParams["filename"]] = data
	case media == "text/plain":
		p.text = text
	case media == "text/html":
		p.html = text
	default:
		t.Fatalf("unexpected part %s", media)
	}
}

// verifySignature verifies the message as it arrived, with the receiver's fields on
// top, against what DNS says.
func (r *rig) verifySignature(t *testing.T, m realmta.Message) {
	t.Helper()
	verifications, err := dkim.VerifyWithOptions(strings.NewReader(crlf(string(m.Data))), &dkim.VerifyOptions{LookupTXT: r.zones.LookupTXT})
	if err != nil || len(verifications) != 1 || verifications[0].Err != nil || verifications[0].Domain != sendingDomain {
		for _, v := range verifications {
			err = fmt.Errorf("%w; %s: %w", err, v.Domain, v.Err)
		}
		t.Errorf("DKIM: %d signatures, %v in %.2000q", len(verifications), err, m.Data)
	}
}

// sendMIME submits a whole message and returns its id.
func (r *rig) sendMIME(t *testing.T, to, message string) string {
	t.Helper()
	var answer struct {
		ID string `json:"id"`
	}
	r.mustCall(t, &answer, "POST", "/v3/"+sendingDomain+"/messages.mime",
		part{name: "to", value: to}, part{name: "message", filename: "message.eml", value: message})
	return strings.Trim(answer.ID, "<>")
}

// crlf turns LF into CRLF.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }
