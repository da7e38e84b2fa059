package submission

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Until the authority has given the first certificate a handshake could only fail. So none is
// offered, and whoever cannot go on without one hears that it is for now (RFC 3207 section 4): a
// 5xx would make relays bounce what they hold.
func TestBeforeTheFirstCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var certified atomic.Bool
		r := newRig(t, func(c *Config) { c.Certified = certified.Load })
		c := r.dial(stranger, false)
		c.want("220")
		if offer := c.do("EHLO client.test", "250"); strings.Contains(offer, "STARTTLS") || strings.Contains(offer, "AUTH") {
			t.Errorf("offered %q", offer)
		}
		for _, command := range []string{"STARTTLS", "AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "MAIL FROM:<a@example.com>"} {
			c.do(command, "454 4.7.0 TLS is not available yet")
		}
		certified.Store(true)
		if offer := c.do("EHLO client.test", "250"); !strings.Contains(offer, "STARTTLS") {
			t.Errorf("offered %q", offer)
		}
		c.do("MAIL FROM:<a@example.com>", "530 5.7.0")
		c.do("STARTTLS", "220")
		c = c.tls()
		c.do("EHLO client.test", "250")
		c.do("AUTH PLAIN AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=", "235")
		c.quit()
	})
}

// Who may send without authentication can do so meanwhile.
func TestTrustedBeforeTheFirstCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Certified = func() bool { return false } })
		c := r.ready(false)
		c.do("MAIL FROM:<a@example.com>", "250")
		c.do("RCPT TO:<b@x.test>", "250")
		c.do("DATA", "354")
		c.do("From: a@example.com\r\n\r\nhi\r\n.", "250")
		c.quit()
	})
}
