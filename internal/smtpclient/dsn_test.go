package smtpclient_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// RFC 3461 section 5.2: the parameters go to a server that offers DSN, encoded anew, and
// to no other.
func TestDSNIsPassedOnWhereItIsOffered(t *testing.T) {
	for name, c := range map[string]struct {
		offers []string
		want   []string
	}{
		"offered":                  {[]string{"DSN"}, []string{"MAIL FROM:<from@sender.test> RET=HDRS ENVID=a+20b+2B1", "RCPT TO:<a@rcpt.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@first.test", `RCPT TO:<b@rcpt.test> ORCPT=utf-8;\x{FC}@first.test`, "RCPT TO:<c@rcpt.test> NOTIFY=NEVER", "RCPT TO:<d@rcpt.test>"}},
		"offered, with pipelining": {[]string{"DSN", "PIPELINING", "CHUNKING"}, nil},
		"part of another word":     {[]string{"DSNX", "XDSN"}, []string{"MAIL FROM:<from@sender.test>", "RCPT TO:<a@rcpt.test>", "RCPT TO:<b@rcpt.test>", "RCPT TO:<c@rcpt.test>", "RCPT TO:<d@rcpt.test>"}},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			s := smtptest.Start(t, smtptest.Behaviour{Extensions: c.offers, On: func(cmd smtptest.Command) smtptest.Action {
				if cmd.Verb == "MAIL" || cmd.Verb == "RCPT" {
					lines = append(lines, cmd.Line)
				}
				return smtptest.Action{}
			}})
			client := hello(t, s, config)
			tx := message("a@rcpt.test", "b@rcpt.test", "c@rcpt.test", "d@rcpt.test")
			tx.DSN = &mail.DSN{Return: mail.ReturnHeader, EnvelopeID: "a b+1", Recipients: map[string]mail.RecipientDSN{
				"a@rcpt.test": {Notify: mail.NotifyDelay | mail.NotifySuccess, Original: "rfc822;x+y@first.test"},
				"b@rcpt.test": {Original: "utf-8;ü@first.test"},
				"c@rcpt.test": {Notify: mail.NotifyNever},
			}}
			if _, err := client.Send(t.Context(), tx); err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				if len(lines) != 5 || lines[3] != "RCPT TO:<c@rcpt.test> NOTIFY=NEVER" {
					t.Errorf("sent %q", lines)
				}
				return
			}
			if !slices.Equal(lines, c.want) {
				t.Errorf("sent %q\nwant %q", lines, c.want)
			}
		})
	}
}

// SEC-15: no original recipient, wherever it comes from, is more than one parameter.
func TestOriginalRecipientsInjectNothing(t *testing.T) {
	var lines []string
	s := smtptest.Start(t, smtptest.Behaviour{Extensions: []string{"DSN"}, On: func(cmd smtptest.Command) smtptest.Action {
		if cmd.Verb == "RCPT" {
			lines = append(lines, cmd.Line)
		}
		return smtptest.Action{}
	}})
	client := hello(t, s, config)
	for _, original := range []string{
		"rfc822 NOTIFY=NEVER;a@first.test", "rfc822\r\nRCPT TO:<x@rcpt.test>\r\n;a@first.test", "no semicolon", ";a@first.test", "rfc822;",
		"utf-8;" + strings.Repeat("ü", mail.MaxOriginalRecipient/5),
	} {
		lines = nil
		tx := message("a@rcpt.test")
		tx.DSN = &mail.DSN{Recipients: map[string]mail.RecipientDSN{"a@rcpt.test": {Original: original}}}
		if _, err := client.Send(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(lines, []string{"RCPT TO:<a@rcpt.test>"}) {
			t.Errorf("%q: sent %q", original, lines)
		}
	}
}
