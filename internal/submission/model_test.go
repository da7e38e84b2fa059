package submission

import (
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// A model is what a session must remember, and nothing more (SEC-04).
type model struct {
	trusted, secure, helo, login, mail bool
	chunks                             bool // a message has begun to come by BDAT
	rcpt, accepted                     int
}

// step returns the class of the reply to a command, as one digit.
func (m *model) step(command string) string {
	may := m.trusted || m.login
	if m.chunks {
		switch command { // what does not end the message by being said
		case "NOOP", "VRFY x":
			return "2"
		case moreChunks:
			return "2"
		case lastChunk, badChunk:
			m.chunks, m.mail, m.rcpt = false, false, 0
			if command == lastChunk {
				m.accepted++
				return "2"
			}
			return "5"
		case "EHLO client.test", "RSET":
			m.chunks = false
		default:
			return "5"
		}
	}
	switch command {
	case "EHLO client.test":
		m.helo, m.mail, m.rcpt = true, false, 0
		return "2"
	case "RSET":
		m.mail, m.rcpt = false, 0
		return "2"
	case "NOOP", "VRFY x":
		return "2"
	case "STARTTLS":
		if m.secure {
			return "5"
		}
		m.secure, m.helo, m.mail, m.rcpt = true, false, false, 0
		return "2"
	case authenticate:
		if !m.secure || !m.helo || m.login || m.mail {
			return "5"
		}
		m.login = true
		return "2"
	case "MAIL FROM:<a@example.com>":
		if !may || !m.helo || m.mail {
			return "5"
		}
		m.mail = true
		return "2"
	case "RCPT TO:<b@x.test>":
		if !may || !m.mail {
			return "5"
		}
		m.rcpt++
		return "2"
	case goodData, badData:
		if !may || !m.mail || m.rcpt == 0 {
			return "5"
		}
		m.mail, m.rcpt = false, 0
		if command == goodData {
			m.accepted++
			return "2"
		}
		return "5"
	case moreChunks, lastChunk, badChunk:
		if !may || !m.mail || m.rcpt == 0 {
			return "5"
		}
		if command == moreChunks {
			m.chunks = true
			return "2"
		}
		m.mail, m.rcpt = false, 0
		if command == lastChunk {
			m.accepted++
			return "2"
		}
		return "5"
	}
	return "5"
}

const (
	authenticate = "AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ="
	goodData     = "DATA"
	badData      = "DATA, refused"
	moreChunks   = "BDAT 23\r\n" + header
	lastChunk    = "BDAT 23 LAST\r\n" + header
	badChunk     = "BDAT 23 LAST\r\n" + header + ", refused"
)

func TestSessionsFollowTheModel(t *testing.T) {
	commands := []string{
		"EHLO client.test", "RSET", "NOOP", "VRFY x", "STARTTLS", authenticate, "MAIL FROM:<a@example.com>", "MAIL FROM:<a@x.test>", "MAIL FROM:<a@example.com> SIZE=99999999",
		"RCPT TO:<b@x.test>", "RCPT TO:<b>", goodData, badData, moreChunks, lastChunk, badChunk, "BOGUS", "MAIL FROM:<a@example.com> FOO=1",
	}
	rapid.Check(t, func(rt *rapid.T) {
		trusted := rapid.Bool().Draw(rt, "trusted")
		list := rapid.SliceOfN(rapid.SampledFrom(commands), 1, 60).Draw(rt, "commands")
		synctest.Test(t, func(t *testing.T) { dialogue(t, rt, trusted, list) })
	})
}

func dialogue(t *testing.T, rt *rapid.T, trusted bool, list []string) {
	r := newRig(t)
	from := stranger
	if trusted {
		from = friendly
	}
	c := r.dial(from, false)
	defer func() {
		c.conn.Close()
		for range c.lines {
		}
		r.server.running.Wait()
	}()
	c.want("220")
	m := model{trusted: trusted}
	for i, command := range list {
		want := m.step(command)
		r.door.err = nil
		if command == badChunk {
			r.door.err = errSyntax
		}
		said, _ := strings.CutSuffix(command, ", refused")
		if !strings.HasPrefix(command, "BDAT") {
			said += "\r\n"
		}
		c.send(said)
		got := c.reply()
		if strings.HasPrefix(got, "354") {
			r.door.err = nil
			if command == badData {
				r.door.err = errSyntax
			}
			c.send("From: a@example.com\r\n\r\nx\r\n.\r\n")
			if got = c.reply(); got[0] == '4' { // what a refusal without a code becomes
				got = "5"
			}
		}
		if command == badChunk && strings.HasPrefix(got, "451") { // likewise
			got = "5"
		}
		if strings.HasPrefix(got, "421") {
			return // too many mistakes; another test's business
		}
		if got == "" || got[:1] != want {
			rt.Fatalf("%q, command %d %s: got %q, want %s", list, i, command, got, want)
		}
		if command == "STARTTLS" && want == "2" {
			c = c.tls()
		}
	}
	if got := len(r.door.accepted()); got != m.accepted {
		rt.Fatalf("%q: %d accepted, want %d", list, got, m.accepted)
	}
}
