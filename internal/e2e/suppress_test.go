package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// An address that its host does not know is refused once and not written to again until a person says so; what
// the same host refuses for other reasons is tried each time.
func TestBouncesAreNotWrittenToAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{Rcpt: func(address string) string {
		switch {
		case strings.HasPrefix(address, "dead@"):
			return "550 5.1.1 no such user"
		case strings.HasPrefix(address, "picky@"):
			return "550 5.7.1 your IP is on our blocklist"
		}
		return ""
	}})
	send := func() map[string]string {
		t.Helper()
		id := rg.mustSubmit(t, plainDomain, "messages", form{
			{name: "from", value: "bob@" + plainDomain}, {name: "subject", value: "News"}, {name: "text", value: "Hi"},
			{name: "to", value: "dead@" + to.domain}, {name: "to", value: "picky@" + to.domain}, {name: "to", value: "ann@" + to.domain},
		})
		got := map[string]string{}
		for _, e := range rg.outcomes(t, plainDomain, id, 3) {
			name, _, _ := strings.Cut(e.Recipient, "@")
			got[name] = e.Event + " " + e.Reason
		}
		return got
	}
	bounces := "/v3/" + plainDomain + "/bounces"
	same := func(what string, got map[string]string, dead string) {
		t.Helper()
		if got["dead"] != dead || got["picky"] != "failed espblock" || got["ann"] != "delivered " {
			t.Errorf("%s: %q", what, got)
		}
	}
	same("first", send(), "failed bounce")
	await(t, "the bounce on the list", func() bool {
		status, _, _ := rg.do(rg.http, "GET", rg.base+bounces+"/DEAD@"+to.domain, url.Values{})
		return status == 200
	})
	same("second", send(), "failed suppress-bounce")
	rg.call(t, "DELETE", bounces+"/dead@"+to.domain, nil)
	same("once removed", send(), "failed bounce")
}
