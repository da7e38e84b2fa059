package submission

import (
	"strings"
	"testing"
	"testing/synctest"
)

// tls-policy.md section 8: announced only inside TLS; the parameter outside of it is an
// error. RFC 8689 section 4.1: a message that came with it is tagged, that message alone.
func TestREQUIRETLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(false) // trusted, in the clear
		if offer := c.do("EHLO client.test", "250"); strings.Contains(strings.ToUpper(offer), "REQUIRETLS") {
			t.Errorf("offered in the clear: %q", offer)
		}
		c.do("MAIL FROM:<a@example.com> REQUIRETLS", "555 5.5.4")
		c.do("MAIL FROM:<a@example.com> SIZE=10 requiretls", "555 5.5.4")
		c.do("RCPT TO:<b@x.test>", "503") // no transaction was begun
		c.quit()

		c = r.ready(true)
		if offer := c.do("EHLO client.test", "250"); !strings.Contains(offer, "250-REQUIRETLS\r\n") {
			t.Errorf("not offered inside TLS: %q", offer)
		}
		c.do("MAIL FROM:<a@example.com> REQUIRETLS=yes", "555 5.5.4") // RFC 8689 section 2: without a value
		c.do("MAIL FROM:<a@example.com> REQUIRETLS REQUIRETLS", "501 5.5.4")
		for _, param := range []string{"", " REQUIRETLS", " SIZE=10 requiretls BODY=8BITMIME", ""} {
			c.do("MAIL FROM:<a@example.com>"+param, "250")
			c.do("RCPT TO:<b@x.test>", "250")
			c.do("DATA", "354")
			c.do("From: a@example.com\r\n\r\nHi\r\n.", "250")
		}
		c.do("MAIL FROM:<a@example.com> REQUIRETLS", "250")
		c.do("RSET", "250")
		c.do("MAIL FROM:<a@example.com>", "250") // forgotten with the transaction
		c.do("RCPT TO:<b@x.test>", "250")
		c.do("DATA", "354")
		c.do("From: a@example.com\r\n\r\nHi\r\n.", "250")
		c.quit()
		var got []bool
		for _, m := range r.door.accepted() {
			got = append(got, m.RequireTLS)
		}
		if len(got) != 5 || got[0] || !got[1] || !got[2] || got[3] || got[4] {
			t.Errorf("marked: %v", got)
		}
	})
}
