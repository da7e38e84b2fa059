package e2e

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// An impact is what the whole server says that pairs of flags would do.
type impact struct {
	Messages int `json:"messages"`
	Scan     struct {
		Complete bool `json:"complete"`
	} `json:"scan"`
	Recipients []struct {
		Domain string `json:"domain"`
		Facts  struct {
			From string `json:"from"`
		} `json:"facts"`
		Outcomes []struct {
			Require bool `json:"require-tls"`
			Skip    bool `json:"skip-verification"`
			Parts   []struct {
				Delivery string `json:"delivery"`
				Result   string `json:"result"`
			} `json:"parts"`
		} `json:"outcomes"`
	} `json:"recipients"`
	Probes map[string]int `json:"probes"`
}

func (c *client) impact(t testing.TB, domain string, query url.Values) (answer impact) {
	t.Helper()
	raw, err := json.Marshal(c.call(t, "GET", "/v3/domains/"+domain+"/connection/impact?"+query.Encode(), nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// travelled says in the words of the forecast what became of a message.
func travelled(e Event) string {
	switch {
	case e.Event != "delivered":
		return "not-delivered"
	case *e.Status.TLS && *e.Status.Verified:
		return "verified"
	case *e.Status.TLS:
		return "unverified"
	}
	return "plaintext"
}

// What is foretold from mail that was sent without flags comes true when mail is sent
// with them: every receiver, every pair.
func TestImpactComesTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	all := map[string]*receiver{}
	for _, r := range []*receiver{
		w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{}),
		w.receive(t, "expired", smtptest.Expired, smtptest.Behaviour{}),
		w.receive(t, "selfsigned", smtptest.SelfSigned, smtptest.Behaviour{RequireTLS: true}),
		w.receive(t, "plain", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}),
		w.receive(t, "garbage", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSGarbage}),
	} {
		all[r.domain] = r
		rg.outcome(t, plainDomain, rg.mustSubmit(t, plainDomain, "messages", short(r.address())))
	}
	before := rg.impact(t, plainDomain, url.Values{"probe": {"yes"}})
	if before.Messages != len(all) || len(before.Recipients) != len(all) || !before.Scan.Complete || before.Probes["wanted"] != 0 {
		t.Fatalf("%+v", before)
	}
	for _, rc := range before.Recipients {
		if rc.Facts.From != "history" || len(rc.Outcomes) != 4 {
			t.Errorf("%+v", rc)
		}
		for _, o := range rc.Outcomes {
			if len(o.Parts) != 1 {
				t.Errorf("%s: %+v", rc.Domain, o)
				continue
			}
			flags := form{{name: "o:require-tls", value: yesNo(o.Require)}, {name: "o:skip-verification", value: yesNo(o.Skip)}}
			e := rg.outcome(t, plainDomain, rg.mustSubmit(t, plainDomain, "messages", short(all[rc.Domain].address()).with(flags...)))
			result := e.Status.Detail.Result
			if p := o.Parts[0]; p.Delivery != travelled(e) || p.Result != result {
				t.Errorf("%s, require-tls=%t skip-verification=%t: foretold %s %s, was %s %s", rc.Domain, o.Require, o.Skip, p.Delivery, p.Result, travelled(e), result)
			}
		}
	}
	after := rg.impact(t, plainDomain, nil)
	if after.Messages != 5*len(all) {
		t.Errorf("%d messages", after.Messages)
	}
}
