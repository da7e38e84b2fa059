package submission

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
)

func TestASubmission(t *testing.T) {
	for _, auth := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			c := r.ready(auth)
			c.do("MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME", "250 2.1.0")
			c.do("RCPT TO:<b@x.test>", "250 2.1.5")
			c.do("DATA", "354 ")
			c.send("From: a@example.com\r\n\r\nhi\r\n.\r\n")
			c.want("250 2.0.0 OK: queued as 0000000000000001")
			c.quit()
			m := r.door.accepted()[0]
			if m.Sender.Domain != "example.com" || m.Sender.Authenticated != auth || m.Sender.Door != accept.SMTP || m.ReversePath.String() != "a@example.com" || len(m.Recipients) != 1 {
				t.Errorf("%+v", m.Submission)
			}
			want, key := "ESMTP", ""
			if auth {
				want, key = "ESMTPSA", "app@example.com"
			}
			if m.Sender.Protocol != want || m.Sender.KeyID != key {
				t.Errorf("protocol %s, key %q", m.Sender.Protocol, m.Sender.KeyID)
			}
		})
	}
}

// RFC 2920: a whole transaction in one write, its replies in order.
func TestPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false)
		c.send("RSET\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\nRCPT TO:<bad>\r\nRCPT TO:<c@x.test>\r\nDATA\r\nFrom: a@example.com\r\n\r\nhi\r\n.\r\nNOOP\r\nQUIT\r\n")
		for _, code := range []string{"250 2.0.0", "250 2.1.0", "250 2.1.5", "553 5.1.3", "250 2.1.5", "354", "250 2.0.0 OK: queued", "250 2.0.0 OK\r\n", "221"} {
			c.want(code)
		}
		c.end()
		if m := r.door.accepted(); len(m) != 1 || len(m[0].Recipients) != 2 {
			t.Errorf("%d messages", len(m))
		}
	})
}

// SEC-03: what came behind STARTTLS in the same segment is never executed, and the session begins anew.
func TestNothingIsInjectedBeforeTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.dial(friendly, false)
		c.want("220")
		c.do("EHLO client.test", "250")
		c.do("MAIL FROM:<a@example.com>", "250")
		c.do("RCPT TO:<b@x.test>", "250")
		c.send("STARTTLS\r\nNOOP\r\nEHLO injected.test\r\n")
		c.want("220")
		c = c.tls()
		c.do("DATA", "503")                            // no MAIL, no RCPT
		c.do("MAIL FROM:<a@example.com>", "503 5.5.1") // no EHLO
		c.do("EHLO client.test", "250-")
		c.do("STARTTLS", "503")
		c.quit()
	})
}

// SEC-05: after TLS ends nothing is read any more, least of all in the clear.
func TestTheSessionEndsWithTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ours, theirs := net.Pipe()
		r.server.start(t.Context(), pipeEnd{theirs, &net.TCPAddr{IP: net.ParseIP(friendly)}}, true)
		conn := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		tc := newClient(t, conn)
		tc.want("220")
		tc.do("EHLO client.test", "250")
		tc.do("MAIL FROM:<a@example.com>", "250")
		tc.do("RCPT TO:<b@x.test>", "250")
		tc.do("DATA", "354")
		tc.send("From: a@example.com\r\n\r\nhi")
		conn.CloseWrite() // close_notify in the middle of the message
		go io.WriteString(ours, "\r\n.\r\nMAIL FROM:<a@example.com>\r\n")
		if said := tc.end(); said != "" {
			t.Errorf("said %q", said)
		}
		if got := r.door.accepted(); len(got) != 0 {
			t.Errorf("%d messages accepted", len(got))
		}
	})
}

// SEC-06: AUTH is neither offered nor taken in the clear.
func TestNoAuthInTheClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, from := range []string{stranger, friendly, "127.0.0.1"} {
			c := r.dial(from, false)
			c.want("220")
			if offer := c.do("EHLO client.test", "250"); strings.Contains(offer, "AUTH") || strings.Contains(offer, "REQUIRETLS") || !strings.Contains(offer, "250-STARTTLS\r\n") {
				t.Errorf("offered %q", offer)
			}
			c.do("AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "538 5.7.11")
			c.do("AUTH LOGIN", "538 5.7.11")
			if from != friendly {
				c.do("MAIL FROM:<a@example.com>", "530 5.7.0")
				c.do("RCPT TO:<b@x.test>", "550 5.7.1 Relaying denied")
				c.do("DATA", "530 5.7.0")
			}
			c.quit()
		}
		c := r.dial(stranger, false)
		c.want("220")
		c.do("EHLO client.test", "250")
		c.do("STARTTLS", "220")
		c = c.tls()
		if offer := c.do("EHLO client.test", "250"); !strings.Contains(offer, "250-AUTH PLAIN LOGIN\r\n") || strings.Contains(offer, "STARTTLS") || !strings.Contains(offer, "SIZE 26214400") {
			t.Errorf("offered %q", offer)
		}
		c.do("MAIL FROM:<a@example.com>", "530 5.7.0")
		c.quit()
		if r.creds.tried != 0 {
			t.Error("a password was looked at")
		}
	})
}

func TestAuth(t *testing.T) {
	enc := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const user, pass = "app@example.com", "secret"
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"plain, initial":        {[]string{"AUTH PLAIN " + enc("\x00"+user+"\x00"+pass)}, []string{"235"}},
		"plain, own authzid":    {[]string{"auth plain " + enc(user+"\x00"+user+"\x00"+pass)}, []string{"235"}},
		"plain, asked":          {[]string{"AUTH PLAIN", enc("\x00" + user + "\x00" + pass)}, []string{"334 \r\n", "235"}},
		"login":                 {[]string{"AUTH LOGIN", enc(user), enc(pass)}, []string{"334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235"}},
		"login, initial":        {[]string{"AUTH LOGIN " + enc(user), enc(pass)}, []string{"334 UGFzc3dvcmQ6", "235"}},
		"wrong password":        {[]string{"AUTH PLAIN " + enc("\x00"+user+"\x00x")}, []string{"535 5.7.1"}},
		"another's authzid":     {[]string{"AUTH PLAIN " + enc("boss@x.test\x00"+user+"\x00"+pass)}, []string{"501"}},
		"not base64":            {[]string{"AUTH PLAIN !!"}, []string{"501 5.5.2"}},
		"cancelled":             {[]string{"AUTH LOGIN", "*"}, []string{"334", "501"}},
		"too many parts":        {[]string{"AUTH PLAIN " + enc("\x00"+user+"\x00"+pass+"\x00")}, []string{"501"}},
		"nothing":               {[]string{"AUTH PLAIN ="}, []string{"501"}},
		"unknown mechanism":     {[]string{"AUTH CRAM-MD5"}, []string{"504"}},
		"not now":               {[]string{"AUTH PLAIN " + enc("\x00"+user+"\x00busy")}, []string{"421 4.7.0"}},
		"three failures":        {[]string{"AUTH LOGIN " + enc("a"), enc("b"), "AUTH LOGIN " + enc("a"), enc("b"), "AUTH LOGIN " + enc("a"), enc("b")}, []string{"334", "535", "334", "535", "334", "421"}},
		"again":                 {[]string{"AUTH PLAIN " + enc("\x00"+user+"\x00"+pass), "AUTH LOGIN"}, []string{"235", "503"}},
		"line beyond its limit": {[]string{"AUTH PLAIN", strings.Repeat("A", maxAuthLine)}, []string{"334", "500 5.5.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				cl := r.dialTLS(stranger)
				cl.do("EHLO client.test", "250")
				for i, line := range c.lines {
					cl.do(line, c.want[i])
				}
				cl.conn.Close()
				for range cl.lines {
				}
			})
		})
	}
}

// SEC-07: the forms of open relay tests, from nobody: none is accepted.
func TestNoOpenRelay(t *testing.T) {
	senders := []string{"<>", "<a@example.com>", "<user@x.test>", "<postmaster@mx.sealpost.test>", "<a@[192.0.2.1]>", "<a@localhost>"}
	recipients := []string{
		"<user@x.test>", "<user%x.test@example.com>", "<@example.com:user@x.test>", `<"user@x.test"@example.com>`, "<x.test!user>", "<x.test!user@example.com>",
		`<"user@x.test">`, "<user%x.test>", "<user@x.test@example.com>", "<user@[192.0.2.1]>", "<postmaster@example.com>", "<postmaster>", "<@a,@b:user@x.test>",
		`<"user%x.test"@example.com>`, "<user@example.com>",
	}
	for _, tlsFirst := range []bool{false, true} {
		for _, from := range senders {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				for _, to := range recipients {
					var c *client
					if tlsFirst {
						c = r.dialTLS(stranger)
					} else {
						c = r.dial(stranger, false)
						c.want("220")
					}
					c.do("EHLO client.test", "250")
					c.send("MAIL FROM:" + from + "\r\nRCPT TO:" + to + "\r\nDATA\r\n")
					c.want("530 5.7.0")
					c.want("550 5.7.1")
					c.want("530 5.7.0")
					c.quit()
				}
				if len(r.door.accepted()) != 0 {
					t.Error("relayed")
				}
			})
		}
	}
	// With authentication a recipient is an address and nothing else, and the sender one's own.
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(true)
		for from, want := range map[string]string{"<user@x.test>": "550 5.7.1", "<a@other.example.com.x.test>": "550 5.7.1", "<a@[192.0.2.1]>": "553 5.1.3", "<@x.test:a@example.com>": "553 5.1.3"} {
			c.do("MAIL FROM:"+from, want)
		}
		c.do("MAIL FROM:<>", "250")
		for _, to := range []string{"<@example.com:user@x.test>", "<x.test!user>", "<user@x.test@example.com>", "<user@[192.0.2.1]>", "<postmaster>", `<"a@evil> ORCPT=x"@x.test>`} {
			c.do("RCPT TO:"+to, "55")
		}
		c.do("RCPT TO:<user%x.test@example.com>", "250")
		c.do(`RCPT TO:<"user@x.test"@example.com>`, "250")
		c.do("DATA", "354")
		c.send("From: a@example.com\r\n\r\nx\r\n.\r\n")
		c.want("250")
		c.quit()
		for _, a := range r.door.accepted()[0].Recipients {
			if a.Domain != "example.com" {
				t.Errorf("%s would be relayed to %s", a, a.Domain)
			}
		}
	})
}

func TestTrustedNetworksSendForRegisteredDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false)
		c.do("MAIL FROM:<a@x.test>", "550 5.7.1")
		c.do("MAIL FROM:<>", "250")
		c.do("RCPT TO:<b@x.test>", "250")
		c.do("DATA", "354")
		c.send("From: a@example.com\r\n\r\nx\r\n.\r\n")
		c.want("250")
		c.quit()
		if s := r.door.accepted()[0].Sender; s.Domain != "" || s.Authenticated {
			t.Errorf("%+v", s)
		}
	})
}

// SEC-08
func TestWhoTalksFirstIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.dial(friendly, false)
		c.send("EHLO client.test\r\n" + second)
		if said := c.end(); !strings.HasPrefix(said, "554 5.5.1") || strings.Count(said, "\n") != 1 {
			t.Errorf("said %q", said)
		}
	})
	for _, line := range []string{"GET / HTTP/1.1", "POST /x HTTP/1.0", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2", "BDAT ten LAST"} { // SEC-13
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			c := r.ready(false)
			c.send(line + "\r\nHost: x\r\n\r\n" + second)
			if said := c.end(); strings.Count(said, "\n") != 1 || said[0] != '5' {
				t.Errorf("%s: said %q", line, said)
			}
			if len(r.door.accepted()) != 0 {
				t.Error("accepted")
			}
		})
	}
}

// SEC-10, SEC-11
func TestCommandLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, line := range []string{
			strings.Repeat("x", maxLine) + "\r\n", strings.Repeat("x", maxAuthLine+100), "NOOP\n", "NO\rOP\r\n", "NOOP \x00\r\n", "MAIL FROM:<a@example.com>\nRCPT TO:<b@x.test>\r\n",
		} {
			r := newRig(t)
			c := r.ready(false)
			c.send(line + second)
			if said := c.end(); !strings.HasPrefix(said, "500 5.5.2") || strings.Count(said, "\n") != 1 {
				t.Errorf("%.20q: said %q", line, said)
			}
		}
		r := newRig(t)
		c := r.ready(false)
		c.do("NOOP "+strings.Repeat("x", maxLine-len("NOOP \r\n")), "250")
		c.do("VRFY postmaster", "252")
		c.do("EXPN list", "502")
		c.do("HELP", "214")
		c.do("HELO client.test", "250 mx")
		c.do("EHLO", "501")
		c.do("XCLIENT ADDR=10.0.0.1", "500")
		c.do("RCPT TO:<b@x.test>", "503")
		c.do("STARTTLS now", "501")
		c.quit()
	})
}

func TestTooManyErrorsAndCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false)
		for range maxBad {
			c.do("NONSENSE", "500")
		}
		c.do("NONSENSE", "421 4.7.0")
		c.end()
		c = r.ready(false) // one EHLO spent
		for range 99 {
			c.do("RSET", "250")
		}
		c.do("NOOP", "421 4.7.0")
		c.end()
		c = r.ready(false)
		c.do("MAIL FROM:<a@example.com>", "250")
		for i := range accept.MaxRecipients {
			c.do(fmt.Sprintf("RCPT TO:<u%d@x.test>", i), "250")
		}
		c.do("RCPT TO:<one-more@x.test>", "452 4.5.3")
		c.quit()
	})
}

// The room's refusals are the client's replies, and the session goes on.
func TestRefusalsOfTheRoom(t *testing.T) {
	for _, early := range []bool{false, true} {
		for _, c := range []struct {
			err  error
			want string
			ends bool
		}{
			{&accept.Error{Code: 554, Enhanced: "5.6.0", Message: "X-Mailgun-Require-TLS must be yes,\r\n250 OK"}, "554 5.6.0 X-Mailgun-Require-TLS must be yes,??250 OK\r\n", false},
			{&accept.Error{Code: 452, Enhanced: "4.3.1", Message: "Insufficient storage"}, "452 4.3.1 ", false},
			{&accept.Error{Code: 421, Enhanced: "4.3.2", Message: "x"}, "421 4.3.2 ", true},
			{errors.New("what is this"), "451 4.3.0 ", false},
		} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.door.err, r.door.early = c.err, early
				s := r.ready(false)
				s.do("MAIL FROM:<a@example.com>", "250")
				s.do("RCPT TO:<b@x.test>", "250")
				s.do("DATA", "354")
				s.send("From: a@example.com\r\n\r\n" + strings.Repeat("x\r\n", 100_000) + ".\r\n")
				s.want(c.want)
				if c.ends {
					s.end()
					return
				}
				s.do("DATA", "503") // SEC-04
				s.do("MAIL FROM:<a@example.com>", "250")
				s.quit()
			})
		}
	}
}

// dialTLS opens a session with implicit TLS and reads the greeting.
func (r *rig) dialTLS(from string) *client {
	r.t.Helper()
	ours, theirs := net.Pipe()
	r.server.start(context.Background(), pipeEnd{theirs, &net.TCPAddr{IP: net.ParseIP(from), Port: 4025}}, true)
	conn := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		r.t.Fatal("handshake: ", err)
	}
	c := newClient(r.t, conn)
	c.want("220")
	return c
}

// SEC-09: drips and silence are cut within the budget, wherever they are.
func TestSlowSenders(t *testing.T) {
	drip := func(c *client, text string, every time.Duration) {
		for i := range len(text) {
			if _, err := io.WriteString(c.conn, text[i:i+1]); err != nil {
				return
			}
			time.Sleep(every)
		}
	}
	for name, c := range map[string]struct {
		slow   func(*client)
		within time.Duration
	}{
		"silence":           {func(*client) {}, commandTimeout},
		"drip in a command": {func(c *client) { drip(c, "NOOP "+strings.Repeat("x", 2000)+"\r\n", 10*time.Second) }, commandTimeout},
		"commands for ever": {func(c *client) { drip(c, strings.Repeat("NOOP\r\n", 1000), 5*time.Second) }, idleBudget},
		"drip in data": {func(c *client) {
			c.data()
			drip(c, "From: a@example.com\r\n\r\n"+strings.Repeat("x", 2000), 10*time.Second)
		}, 2*dataWindow + 10*time.Second},
		"silence in data":     {func(c *client) { c.data() }, 2 * dataWindow},
		"900 octets a second": {func(c *client) { c.data(); c.stream(900, 7200) }, 3 * dataWindow},
		"for hours":           {func(c *client) { c.data(); c.stream(2000, 7200) }, sessionBudget + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				cl := r.ready(false)
				start := time.Now()
				over := make(chan struct{})
				go func() {
					c.slow(cl)
					close(over)
				}()
				said := ""
				for line := range cl.lines {
					said = line
				}
				if took := time.Since(start); took > c.within+lingerTime+time.Second {
					t.Errorf("held for %v, want at most %v", took, c.within)
				}
				if !strings.HasPrefix(said, "421 4.4.2") {
					t.Errorf("last words %q", said)
				}
				cl.conn.Close()
				<-over
				if len(r.door.accepted()) != 0 {
					t.Error("accepted")
				}
			})
		})
	}
}

func (c *client) data() {
	c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n")
}

// stream sends n octets a second for that many seconds.
func (c *client) stream(n, seconds int) {
	line := strings.Repeat("x", 98) + "\r\n"
	c.send("From: a@example.com\r\n\r\n")
	for range seconds {
		if _, err := io.WriteString(c.conn, strings.Repeat(line, n/100)); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func TestAnHonestSlowSenderIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false)
		c.data()
		c.want("250")
		c.want("250")
		c.want("354")
		c.stream(1500, 1200) // 20 minutes, longer than the idle budget
		c.send(".\r\n")
		c.want("250 2.0.0 OK: queued")
		time.Sleep(4 * time.Minute)
		c.do("NOOP", "250")
		c.quit()
	})
}

func TestSessionsAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxSessions, c.MaxPerAddress = 4, 2 })
		greet := func(from, want string) *client {
			c := r.dial(from, false)
			c.want(want)
			return c
		}
		var open []*client
		for _, from := range []string{"192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2"} {
			open = append(open, greet(from, "220"))
		}
		greet("192.0.2.1", "421 4.7.0").end()
		greet("2001:db8::3", "421 4.7.0").end()
		greet("192.0.2.9", "421 4.3.2").end() // full, and nobody idle long enough
		time.Sleep(2 * shedAfter)
		open[0].do("NOOP", "250")
		open = append(open, greet("192.0.2.9", "220")) // the idlest made room
		open[1].want("421 4.3.2")
		for _, c := range open {
			c.conn.Close()
		}
	})
}

// REL-07
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		idle, sending, cut := r.ready(true), r.ready(false), r.ready(false)
		between := r.ready(false)
		between.do("MAIL FROM:<a@example.com>", "250")
		for _, c := range []*client{sending, cut} {
			c.data()
			c.want("250")
			c.want("250")
			c.want("354")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- r.server.Shutdown(ctx) }()
		idle.want("421 4.3.2")
		between.want("421 4.3.2")
		late := r.dial(friendly, false)
		late.want("421 4.3.2")
		time.Sleep(20 * time.Second)
		sending.send("From: a@example.com\r\n\r\nx\r\n.\r\n")
		sending.want("250 2.0.0 OK: queued")
		sending.want("421 4.3.2")
		cut.send("From: a@example.com\r\n\r\nx\r\n")
		cut.want("421 4.3.2")
		start := time.Now()
		for _, c := range []*client{idle, between, late, sending, cut} {
			c.end()
		}
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, since one was cut short", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if got := len(r.door.accepted()); got != 1 {
			t.Errorf("%d messages", got)
		}
	})
}

// A message that came to its dot before the drain time was over is answered, however long storing takes.
func TestShutdownWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.door.hold = make(chan struct{})
		c := r.ready(false)
		c.data()
		c.want("250")
		c.want("250")
		c.want("354")
		c.send("From: a@example.com\r\n\r\nx\r\n.\r\n")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			time.Sleep(10 * time.Second)
			close(r.door.hold)
		}()
		go r.server.Shutdown(ctx)
		c.want("250 2.0.0 OK: queued")
		c.want("421")
		c.end()
	})
}
