package submission

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

const second = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@x.test>\r\nDATA\r\nFrom: evil@example.com\r\n\r\nsecond\r\n.\r\n"

// smuggle sends a message with the octets in its middle and a second message
// behind them, and returns what was accepted and what was said after 354.
func smuggle(t *testing.T, middle string) (accepted []fakeMessage, said string) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false)
		c.do("MAIL FROM:<a@example.com>", "250")
		c.do("RCPT TO:<b@x.test>", "250")
		c.do("DATA", "354")
		c.send("From: a@example.com\r\n\r\nfirst" + middle + second + "QUIT\r\n")
		said = c.end()
		accepted = r.door.accepted()
	})
	return accepted, said
}

// SEC-01: every combination of up to three of CR, LF, NUL before a dot with every one after it.
func TestNothingIsSmuggled(t *testing.T) {
	var combinations func(n int) []string
	combinations = func(n int) []string {
		if n == 0 {
			return []string{""}
		}
		var all []string
		for _, shorter := range combinations(n - 1) {
			all = append(all, shorter)
			if len(shorter) == n-1 {
				all = append(all, shorter+"\r", shorter+"\n", shorter+"\x00")
			}
		}
		return all
	}
	all := combinations(3)
	if len(all) != 40 {
		t.Fatalf("%d combinations", len(all))
	}
	for _, before := range all {
		for _, after := range all {
			middle := before + "." + after
			want := expected(before, after)
			accepted, said := smuggle(t, middle)
			if len(accepted) != want {
				t.Errorf("%q: %d messages accepted, want %d; %s", middle, len(accepted), want, said)
			}
			for i, m := range accepted {
				if i > 0 && !(before == "\r\n" && after == "\r\n") {
					t.Errorf("%q: a second message from %s", middle, m.ReversePath)
				}
			}
			if want == 0 && !strings.HasPrefix(said, "554 5.6.0 ") {
				t.Errorf("%q: said %q, want 554 5.6.0", middle, said)
			}
			if want == 0 && strings.Count(said, "\n") != 1 {
				t.Errorf("%q: the session went on: %q", middle, said)
			}
		}
	}
}

// expected is how many messages a strict reader sees.
func expected(before, after string) int {
	clean := func(s string) bool { return !strings.ContainsAny(strings.ReplaceAll(s, "\r\n", ""), "\r\n\x00") }
	rest, ends := strings.CutPrefix(after, "\r\n")
	switch {
	case before == "\r\n" && after == "\r\n":
		return 2 // two messages, honestly sent
	case before == "\r\n" && ends:
		return 1 // the first one ended; what follows is no command
	case clean(before + "." + after):
		return 1 // one message with a dot in it, to the last dot
	default:
		_ = rest
		return 0
	}
}

// SEC-01: the sequences of the published attacks.
func TestPublishedSmugglingSequences(t *testing.T) {
	for _, s := range []string{
		"\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n",
		"\r\n\x00.\x00\r\n", "\n\n.\r\n", "\r\n.\n\n", "\n\r.\n\r", "\r\n.\r\r\n",
	} {
		accepted, said := smuggle(t, s)
		if len(accepted) != 0 || !strings.HasPrefix(said, "554 5.6.0 ") || strings.Count(said, "\n") != 1 {
			t.Errorf("%q: %d accepted, said %q", s, len(accepted), said)
		}
	}
}

func TestDotsAreUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(true)
		c.do("MAIL FROM:<a@example.com>", "250")
		c.do("RCPT TO:<b@x.test>", "250")
		c.do("DATA", "354")
		long := strings.Repeat("x", 3*maxAuthLine)
		c.send("From: a@example.com\r\n\r\n..one\r\n.two\r\n" + long + "\r\n...\r\n\r\n.\r\n")
		c.want("250 2.0.0 OK: queued as ")
		c.quit()
		want := "From: a@example.com\r\n\r\n.one\r\ntwo\r\n" + long + "\r\n..\r\n\r\n"
		if got := r.door.accepted(); len(got) != 1 || got[0].content != want {
			t.Errorf("got %d messages, %q", len(got), fmt.Sprint(got))
		}
	})
}
