package dsn

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Whatever a server answered and a sender wrote: the notice has its three parts, its two
// groups of fields, the right recipient, and lines that every hop takes.
func FuzzNotice(f *testing.F) {
	f.Add("ann@one.test", "no such user", "5.1.1", "The plan", "m1@sender.test", "mx.one.test", 550, false)
	f.Add("änn@one.test", "a\r\nStatus: 2.0.0\n\n--=_dsn_000000000000002a--\n.\n", "5.1", "x\r\ny", "a b", "mx\r\n.test", 99999, true)
	f.Add(`"a b"@one.test`, strings.Repeat("ü", 3000)+"\xff\x00", "4.7.1\r\n", "\u202e", "", "", -1, true)
	f.Fuzz(func(t *testing.T, recipient, text, enhanced, subject, messageID, host string, code int, expired bool) {
		a, err := mail.ParseAddress(recipient)
		if err != nil {
			return
		}
		n := ordinary(t)
		n.Subject, n.MessageID = subject, messageID
		n.Fates = []Fate{{Recipient: a, At: time.Unix(1<<30, 0), Code: code, Enhanced: enhanced, Text: text, Host: host, Expired: expired}}
		var b bytes.Buffer
		if _, err := n.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		checkOctets(t, b.Bytes(), false)
		p := parse(t, b.Bytes())
		if len(p.media) != 3 || p.third != original {
			t.Fatalf("parts %v", p.media)
		}
		if len(p.fields) != 2 {
			t.Fatalf("%d groups of fields", len(p.fields))
		}
		got := p.fields[1]
		if values := got.Values("Status"); len(values) != 1 || !isStatus(values[0], "4") && !isStatus(values[0], "5") {
			t.Errorf("status %q", values)
		}
		if values := got.Values("Final-Recipient"); len(values) != 1 || untyped(t, values[0]) != a.String() {
			t.Errorf("recipient %q", values)
		}
	})
}
