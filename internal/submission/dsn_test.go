package submission

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/mail"
)

// RFC 3461 section 4: what is said about notices reaches the room, decoded, and goes
// with the transaction that it was said in.
func TestDSN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		c := r.ready(true)
		if offer := c.do("EHLO client.test", "250"); !strings.Contains(offer, "250-DSN\r\n") {
			t.Errorf("offered: %q", offer)
		}
		finish := func() {
			c.do("DATA", "354")
			c.do("From: a@example.com\r\n\r\nHi\r\n.", "250")
		}
		c.do("MAIL FROM:<a@example.com> RET=HDRS ENVID=QQ314159+2B1", "250")
		c.do("RCPT TO:<b@x.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Bx@Y.test", "250")
		c.do("RCPT TO:<c@x.test> NOTIFY=NEVER", "250")
		c.do("RCPT TO:<C@x.test> notify=delay ORCPT=rfc822;c@y.test", "250") // once more: all that was asked for
		c.do("RCPT TO:<d@x.test> ORCPT=rfc822;first@y.test", "250")
		c.do("RCPT TO:<d@x.test> NOTIFY=FAILURE", "250") // does not take back what was said before
		c.do("RCPT TO:<e@x.test>", "250")
		finish()
		c.do("MAIL FROM:<a@example.com> RET=FULL", "250")
		c.do("RCPT TO:<b@x.test> NOTIFY=SUCCESS", "250")
		c.do("RSET", "250")
		c.do("MAIL FROM:<a@example.com>", "250") // forgotten with the transaction
		c.do("RCPT TO:<b@x.test>", "250")
		finish()
		c.do("MAIL FROM:<a@example.com> SMTPUTF8", "250")
		c.do("RCPT TO:<b@x.test> ORCPT=utf-8;ü\\x{FC}@y.test", "250")
		finish()
		c.quit()
		want := []*mail.DSN{
			{Return: mail.ReturnHeader, EnvelopeID: "QQ314159+1", Recipients: map[string]mail.RecipientDSN{
				"b@x.test": {Notify: mail.NotifySuccess | mail.NotifyFailure, Original: "rfc822;Bob+x@Y.test"},
				"c@x.test": {Notify: mail.NotifyDelay, Original: "rfc822;c@y.test"},
				"d@x.test": {Notify: mail.NotifyFailure, Original: "rfc822;first@y.test"},
			}},
			nil,
			{Recipients: map[string]mail.RecipientDSN{"b@x.test": {Original: "utf-8;üü@y.test"}}},
		}
		var got []*mail.DSN
		for _, m := range r.door.accepted() {
			got = append(got, m.DSN)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
