package interop

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/realmta"
)

// endings are the octets known from SMTP smuggling: some server or other takes them for the end of
// the data, although CRLF.CRLF alone is (SEC-01).
func endings() []string {
	return []string{
		"\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r",
		"\r\r\n.\r\r\n", "\r\r\n.\r\n", "\r\n.\r\r\n", "\n\n.\r\n",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\x00\r\n.\r\n",
	}
}

// allEndings adds every combination of one or two CR, LF and NUL on both sides of a dot.
func allEndings() []string {
	var sides []string
	for _, a := range []string{"\r", "\n", "\x00"} {
		sides = append(sides, a)
		for _, b := range []string{"\r", "\n", "\x00"} {
			sides = append(sides, a+b)
		}
	}
	all := endings()
	for _, before := range sides {
		for _, after := range sides {
			if ending := before + "." + after; ending != "\r\n.\r\n" {
				all = append(all, ending)
			}
		}
	}
	return all
}

const (
	login, password = "app@" + sendingDomain, "correct-horse-battery"
	victim          = "victim@" // of a second message; whose domain depends
)

// addLogin makes the submission login.
func (r *rig) addLogin(t *testing.T) {
	t.Helper()
	var answer struct{}
	r.mustCall(t, &answer, "POST", "/v3/domains/"+sendingDomain+"/credentials", part{name: "login", value: login}, part{name: "password", value: password})
}

// secondMessage is what an attacker puts behind a false end.
func secondMessage(domain string) string {
	return "MAIL FROM:<app@" + sendingDomain + ">\r\nRCPT TO:<" + victim + domain + ">\r\nDATA\r\n" +
		"From: app@" + sendingDomain + "\r\nTo: " + victim + domain + "\r\nSubject: second\r\n\r\nsecond\r\n"
}

// SEC-01: a second message behind a false end of the first. Neither is accepted, the client is
// told 554, nothing more is said, and the connection closes.
func TestSubmissionRefusesSmuggledMessages(t *testing.T) {
	t.Parallel()
	v := receiver{mta: "exim", label: "valid", cert: validCert}
	r := newRig(t, v)
	server := r.start(t, v)
	r.addLogin(t)
	for _, ending := range allEndings() {
		for _, implicit := range []bool{true, false} {
			if implicit != (len(ending)%2 == 0) && len(ending) > 4 {
				continue // both doors for the short ones
			}
			c := r.dialSubmission(t, implicit)
			c.begin(t, "first@"+v.domain())
			c.write(t, "From: app@"+sendingDomain+"\r\nTo: first@"+v.domain()+"\r\nSubject: first\r\n\r\nfirst"+ending+secondMessage(v.domain())+".\r\nQUIT\r\n")
			replies := c.rest(t)
			if len(replies) != 1 || !strings.HasPrefix(replies[0], "554 ") {
				t.Fatalf("%q: got %q, want one 554 and the end", ending, replies)
			}
		}
	}
	if events := r.events(t, ""); len(events) != 0 {
		t.Errorf("%d events, want none: %+v", len(events), events)
	}

	// The same with the true end is two messages, so this test can fail.
	c := r.dialSubmission(t, true)
	c.begin(t, "first@"+v.domain())
	c.write(t, "From: app@"+sendingDomain+"\r\nTo: first@"+v.domain()+"\r\nSubject: first\r\n\r\nfirst\r\n.\r\n"+secondMessage(v.domain())+".\r\nQUIT\r\n")
	if replies := c.rest(t); len(replies) != 6 || !strings.HasPrefix(replies[4], "250 ") {
		t.Errorf("true end: got %q, want 250 250 250 354 250 221", replies)
	}
	arrived(t, server, "first@"+v.domain())
	arrived(t, server, victim+v.domain())
	if got := taken(v.mta, server.Log()); got != 2 {
		t.Errorf("the receiver took %d messages, want the 2 of the true end", got)
	}
}

// SEC-01, SEC-02: the same octets through the HTTP API, where some are taken in an encoded or
// corrected form, and out again to receivers over BDAT and over DATA. One message in is at
// most one message out, and what arrives is what was sent, line by line.
func TestAPIDoesNotSmuggle(t *testing.T) {
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
	var all []smuggled
	// Honest dots come along; they must survive as well.
	for i, ending := range append(endings(), "\r\n.\r\n", "\r\n..\r\n", "\n.x\n", "\n..\n.\n") {
		for _, form := range []string{"mime-crlf", "mime-lf", "text", "html", "file"} {
			m := smuggled{name: fmt.Sprintf("%s-%d", form, i), form: form, ending: ending}
			all = append(all, r.smuggle(t, m, receivers))
		}
	}
	accepted := 0
	for _, m := range all {
		if m.id == "" {
			continue
		}
		accepted++
		for _, v := range receivers {
			if o := r.outcome(t, m.id, m.recipient(v)); !o.delivered() {
				t.Errorf("%s %q: %+v", m.recipient(v), m.ending, o)
			}
		}
	}
	for _, v := range receivers {
		// What came behind a false end would have come before this one.
		sentinel := r.smuggle(t, smuggled{name: "sentinel", form: "text", ending: "\n"}, []receiver{v})
		r.outcome(t, sentinel.id, sentinel.recipient(v))
		checkMailbox(t, r, servers[v.name()], v, append(all, sentinel), accepted+1)
	}
}

// checkMailbox compares what a receiver has with what was sent: one message for each that
// was accepted, and nothing else.
func checkMailbox(t *testing.T, r *rig, server *realmta.Server, v receiver, sent []smuggled, accepted int) {
	t.Helper()
	mailbox := make(map[string]realmta.Message)
	for _, m := range server.Wait(t, accepted) {
		if _, twice := mailbox[m.Recipient]; twice {
			t.Errorf("%s has more than one message for %s", v.name(), m.Recipient)
		}
		mailbox[m.Recipient] = m
	}
	for _, m := range sent {
		if got, ok := mailbox[m.recipient(v)]; ok == (m.id == "") {
			t.Errorf("%s %q: arrived: got %v, accepted: %v", m.recipient(v), m.ending, ok, m.id != "")
		} else if ok {
			m.check(t, v, readMessage(t, r, got))
		}
	}
	if len(mailbox) != accepted {
		t.Errorf("%s has %d messages, want %d", v.name(), len(mailbox), accepted)
	}
	if got := taken(v.mta, server.Log()); got != accepted {
		t.Errorf("%s took %d messages, want %d", v.name(), got, accepted)
	}
	if strings.Contains(server.Log(), victim) {
		t.Errorf("the log of %s names the victim", v.name())
	}
}

// A smuggled message is one that tries to be two.
type smuggled struct {
	name, form, ending string
	domain             string // of the victim
	id                 string // empty if it was refused
}

// body is the text with the false end and all that is behind it.
func (m smuggled) body() string { return "first" + m.ending + secondMessage(m.domain) }

// smuggle submits the message to a recipient at each of the receivers. It may be
// refused, with 400, if its octets cannot be a message.
func (r *rig) smuggle(t *testing.T, m smuggled, receivers []receiver) smuggled {
	t.Helper()
	path := "/v3/" + sendingDomain + "/messages"
	parts := []part{{name: "from", value: "app@" + sendingDomain}, {name: "subject", value: m.name}}
	for _, v := range receivers {
		parts = append(parts, part{name: "to", value: m.recipient(v)})
	}
	m.domain = receivers[0].domain()
	body := m.body()
	mayRefuse := strings.Contains(body, "\x00")
	switch m.form {
	case "text", "html":
		parts = append(parts, part{name: m.form, value: body})
	case "file":
		parts = append(parts, part{name: "text", value: "see the file"}, part{name: "attachment", filename: "false end.bin", value: body})
		mayRefuse = false // any octets are a file
	default:
		path += ".mime"
		message := crlf("From: app@"+sendingDomain+"\nSubject: "+m.name+"\n\n") + body
		if m.form == "mime-lf" { // like a file on a disk, but for the ending
			head, tail, _ := strings.Cut(message, m.ending)
			message = strings.ReplaceAll(head, "\r", "") + m.ending + strings.ReplaceAll(tail, "\r", "")
		}
		parts = append(parts[2:], part{name: "message", filename: "m.eml", value: message})
		mayRefuse = !oneLineEnd(message) || mayRefuse
	}
	status, answer := r.call(t, "POST", path, parts...)
	switch {
	case status == http.StatusOK:
		var accepted struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(answer, &accepted); err != nil {
			t.Fatal(err)
		}
		m.id = strings.Trim(accepted.ID, "<>")
	case status != http.StatusBadRequest || !mayRefuse:
		t.Errorf("%s %q: got %d %s", m.form, m.ending, status, answer)
	}
	return m
}

// oneLineEnd reports whether all lines end in CRLF, or all in LF. Only those can be read in one
// way, and so they must be accepted.
func oneLineEnd(message string) bool {
	pairs, cr, lf := strings.Count(message, "\r\n"), strings.Count(message, "\r"), strings.Count(message, "\n")
	return cr == 0 || cr == pairs && lf == pairs
}

func (m smuggled) recipient(v receiver) string { return m.name + "@" + v.domain() }

// check compares what arrived with what was sent.
func (m smuggled) check(t *testing.T, v receiver, got parsed) {
	t.Helper()
	sent, recipient := m.body(), m.recipient(v)
	switch m.form {
	case "file":
		if string(got.files["false end.bin"]) != sent {
			t.Errorf("%s %q: got %q, want %q", recipient, m.ending, got.files["false end.bin"], sent)
		}
	case "html":
		if got.html != lines(sent) {
			t.Errorf("%s %q: got %q, want %q", recipient, m.ending, got.html, lines(sent))
		}
	default:
		if got.text != lines(sent) {
			t.Errorf("%s %q: got %q, want %q", recipient, m.ending, got.text, lines(sent))
		}
	}
}

// lines turns every line end, CRLF, LF or CR, into LF.
func lines(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// A rawClient speaks SMTP octet by octet.
type rawClient struct {
	conn net.Conn
	r    *bufio.Reader
}

// dialSubmission connects, with TLS from the start or by STARTTLS.
func (r *rig) dialSubmission(t *testing.T, implicit bool) *rawClient {
	t.Helper()
	at := r.at.Submission
	if implicit {
		at = r.at.SubmissionTLS
	}
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := &rawClient{conn, bufio.NewReader(conn)}
	if !implicit {
		c.expect(t, "220")
		c.say(t, "EHLO client.test", "250")
		c.say(t, "STARTTLS", "220")
	}
	c.conn = tls.Client(conn, r.clientTLS())
	c.r = bufio.NewReader(c.conn)
	if implicit {
		c.expect(t, "220")
	}
	return c
}

// begin logs in and opens a transaction, up to the 354.
func (c *rawClient) begin(t *testing.T, to string) {
	t.Helper()
	c.login(t)
	c.say(t, "MAIL FROM:<app@"+sendingDomain+">", "250")
	c.say(t, "RCPT TO:<"+to+">", "250")
	c.say(t, "DATA", "354")
}

func (c *rawClient) login(t *testing.T) {
	t.Helper()
	c.say(t, "EHLO client.test", "250")
	c.say(t, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+password)), "235")
}

func (c *rawClient) write(t *testing.T, text string) {
	t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (c *rawClient) say(t *testing.T, command, code string) {
	t.Helper()
	c.write(t, command+"\r\n")
	c.expect(t, code)
}

// expect reads one reply.
func (c *rawClient) expect(t *testing.T, code string) {
	t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, code) {
			t.Fatalf("got %q, %v; want %s", line, err, code)
		}
		if !strings.HasPrefix(line, code+"-") {
			return
		}
	}
}

// rest reads all replies until the server closes.
func (c *rawClient) rest(t *testing.T) []string {
	t.Helper()
	defer c.conn.Close()
	var replies []string
	for {
		line, err := c.r.ReadString('\n')
		if line != "" {
			replies = append(replies, strings.TrimSpace(line))
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the connection ended with %v, not closed by the server", err)
			}
			return replies
		}
	}
}
