package interop

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/realmta"
)

// A raw client speaks to our submission as no library would.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dialRaw opens an authenticated session.
func dialRaw(t *testing.T, r *rig) *raw {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.pki.RootPEM)
	conn, err := tls.Dial("tcp", r.at.SubmissionTLS.String(), &tls.Config{ServerName: hostname, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(3 * patience)); err != nil {
		t.Fatal(err)
	}
	c := &raw{t, conn, bufio.NewReader(conn)}
	c.want("220")
	c.do("EHLO client.test", "250")
	c.do("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+password)), "235")
	return c
}

func (c *raw) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *raw) reply() string {
	c.t.Helper()
	var b strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", b.String(), err)
		}
		b.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			return b.String()
		}
	}
}

func (c *raw) want(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %s", got, prefix)
	}
	return got
}

func (c *raw) do(line, prefix string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.want(prefix)
}

// A message that is twice as large as allowed is refused with SIZE, without it by DATA, and by
// BDAT; the session lives on, and the next message is delivered, in chunks and in one segment.
func TestLargeAndChunkedMessages(t *testing.T) {
	t.Parallel()
	v := receiver{mta: "postfix", label: "valid", cert: validCert}
	r := newRig(t, v)
	server := r.start(t, v)
	r.addLogin(t)
	c := dialRaw(t, r)
	const size = 50_000_000
	to := "chunks@" + v.domain()
	envelope := "MAIL FROM:<" + login + ">\r\nRCPT TO:<" + to + ">\r\n"
	header := "From: " + login + "\r\nTo: " + to + "\r\nSubject: in chunks\r\n\r\n"
	block := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10_000) // 1 MB

	c.do(fmt.Sprintf("MAIL FROM:<%s> SIZE=%d", login, size), "552 5.3.4")
	c.send(envelope + "DATA\r\n")
	for _, code := range []string{"250", "250", "354"} {
		c.want(code)
	}
	c.send(header)
	for range size / len(block) {
		c.send(block)
	}
	c.do(".", "552 5.3.4")
	c.send(envelope)
	c.want("250")
	c.want("250")
	c.send(fmt.Sprintf("BDAT %d\r\n%s", len(header), header))
	c.want("250 2.0.0 ")
	refused := 0
	for n := range size / len(block) {
		c.send(fmt.Sprintf("BDAT %d\r\n", len(block)))
		c.send(block)
		if got := c.reply(); strings.HasPrefix(got, "552 5.3.4") {
			refused = n + 1
			break
		} else if !strings.HasPrefix(got, "250 2.0.0 ") {
			t.Fatalf("chunk %d: %q", n, got)
		}
	}
	if refused < 25 || refused > 28 {
		t.Errorf("refused at chunk %d of 1 MB", refused)
	}
	c.do("BDAT 0 LAST", "503")

	c.send(envelope + fmt.Sprintf("BDAT %d\r\n%s", len(header), header) + "BDAT 9 LAST\r\nHello.\r\n." + "NOOP\r\n")
	for _, code := range []string{"250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0 OK: queued as ", "250 2.0.0 OK"} {
		c.want(code)
	}
	if got := readMessage(t, r, arrived(t, server, to)); got.subject != "in chunks" || !strings.HasPrefix(got.text, "Hello.\n.") {
		t.Errorf("got %q", got.text)
	}
	c.do("QUIT", "221")
}

// RFC 3461 with a Postfix in front of us and another behind: what is asked of the first is
// passed on to the last, which tells of its delivery itself; where the last knows no DSN, we do.
func TestPostfixAsksForNotices(t *testing.T) {
	t.Parallel()
	with := receiver{mta: "postfix", label: "with", cert: validCert}
	without := receiver{mta: "postfix", label: "without", cert: validCert, noDSN: true}
	r := newRig(t, with, without)
	behind := r.start(t, with)
	server := r.start(t, without)
	r.addLogin(t)
	client := realmta.StartPostfix(t, realmta.Options{Hostname: "client." + sendingDomain, Domains: []string{"local.test"},
		Relay: &realmta.Relay{Addr: r.at.Submission.String(), Name: hostname, CA: r.pki.RootPEM, Login: login, Password: password}})
	for _, to := range []string{"ann@" + with.domain(), "bob@" + without.domain()} {
		conn, err := net.Dial("tcp", client.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &raw{t, conn, bufio.NewReader(conn)}
		c.want("220")
		c.do("EHLO program.test", "250")
		c.do("MAIL FROM:<"+login+"> RET=HDRS ENVID=42+2B1", "250")
		c.do("RCPT TO:<"+to+"> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bx@program.test", "250")
		c.do("DATA", "354")
		c.do("From: "+login+"\r\nTo: "+to+"\r\nSubject: asking\r\n\r\nHi\r\n.", "250")
	}
	arrived(t, behind, "ann@"+with.domain())
	arrived(t, server, "bob@"+without.domain())
	until(t, "the last Postfix tells of its delivery", func() bool { return strings.Contains(behind.Log(), "sender delivery status notification") })
	var notices []outcome
	until(t, "we tell where the last server does not", func() bool {
		notices = nil
		for _, o := range r.events(t, "", "event", "accepted") {
			if o.Recipient == login {
				notices = append(notices, o)
			}
		}
		return len(notices) > 0
	})
	if len(notices) != 1 || notices[0].Message.Headers.Subject != "Your message was handed on" {
		t.Errorf("notices %+v", notices)
	}
}
