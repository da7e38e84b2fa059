package e2e

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// A domain with a floor: every door refuses a message that would lower what the domain
// requires, in words that name the flag, and takes one that does not.
func TestFloorHoldsAtEveryDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	rg.operate(t, "PUT", "/v1/sealpost/domains/"+plainDomain+"/delivery", url.Values{"preset": {"strict"}})
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})
	for _, endpoint := range []string{"messages", "messages.mime", "smtp"} {
		for _, c := range []struct{ require, skip, blamed string }{
			{"no", "", "require-tls"}, {"", "yes", "skip-verification"}, {"no", "yes", "require-tls and skip-verification"}, {"yes", "no", ""}, {"", "", ""},
		} {
			id, err := rg.submitFlags(endpoint, plainDomain, to.address(), c.require, c.skip)
			switch {
			case c.blamed == "" && err != nil:
				t.Errorf("%s, require-tls=%q skip-verification=%q: %v", endpoint, c.require, c.skip, err)
			case c.blamed == "":
				if e := rg.outcome(t, plainDomain, id); e.Event != "delivered" || !*e.Status.Verified {
					t.Errorf("%s: %+v", endpoint, e)
				}
			case err == nil || !strings.Contains(err.Error(), c.blamed+" of the message would lower") || !strings.Contains(err.Error(), "floor"):
				t.Errorf("%s, require-tls=%q skip-verification=%q: %v, want a refusal naming %s", endpoint, c.require, c.skip, err, c.blamed)
			case endpoint == "smtp":
				var reply *smtp.SMTPError
				if !errors.As(err, &reply) || reply.Code != 550 || reply.EnhancedCode != (smtp.EnhancedCode{5, 7, 0}) {
					t.Errorf("SMTP answers %+v, want 550 5.7.0", reply)
				}
			}
		}
	}
}

// A domain that gives up at the first failure hears at once that TLS was not to be had,
// and why; mail that does not lack TLS is not concerned.
func TestGiveUpOnMissingTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t)
	rg.openDomain(t, plainDomain, url.Values{"require_tls": {"true"}})
	rg.operate(t, "PUT", "/v1/sealpost/domains/"+plainDomain+"/delivery", url.Values{"require-tls-give-up-after": {"now"}})
	for _, c := range []struct {
		name      string
		kind      smtptest.CertKind
		behaviour smtptest.Behaviour
		require   string
		enhanced  string // empty: delivered
		result    string
	}{
		{"no-starttls", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}, "", "5.7.10", "refused-not-offered"},
		{"expired", smtptest.Expired, smtptest.Behaviour{}, "", "5.7.5", "refused-verify-failed"},
		{"no-starttls-wanted", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}, "no", "", "plaintext-not-offered"},
	} {
		to := w.receive(t, c.name, c.kind, c.behaviour)
		id, err := rg.submitFlags("messages", plainDomain, to.address(), c.require, "")
		if err != nil {
			t.Fatal(err)
		}
		e := rg.outcome(t, plainDomain, id)
		if e.Status.Detail == nil || e.Status.Detail.Result != c.result {
			t.Errorf("%s: evidence %+v, want %s", c.name, e.Status.Detail, c.result)
		}
		if c.enhanced == "" {
			if e.Event != "delivered" {
				t.Errorf("%s: %+v", c.name, e)
			}
			continue
		}
		if e.Event != "failed" || e.Severity != "permanent" || e.Reason != "generic" || e.Status.Code != 550 || e.Status.Enhanced != c.enhanced ||
			!strings.Contains(e.Status.Message, "TLS") || !strings.Contains(*e.Status.Description, "require-tls-give-up-after") {
			t.Errorf("%s: %+v %+v", c.name, e, e.Status)
		}
	}
}
