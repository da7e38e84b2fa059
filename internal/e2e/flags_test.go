package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// T1–T5: each flag resolves on its own, by the same rules at every door.
func TestFlagsResolveAlikeAtEveryDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t)
	rg.openDomain(t, domainFor(false, false), nil)
	rg.openDomain(t, domainFor(true, true), url.Values{"require_tls": {"true"}, "skip_verification": {"true"}})
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})

	type sent struct {
		name, domain, id string
		flag             int // 0 require-tls, 1 skip-verification
		want, other      Flag
	}
	var all []sent
	for _, tt := range []struct {
		name, value string
		domain      bool
		want        Flag
	}{
		{"T1 absent", "", false, Flag{false, "default"}},
		{"T2 absent", "", true, Flag{true, "domain"}},
		{"T3 yes", "yes", false, Flag{true, "message"}},
		{"T3 true", "true", false, Flag{true, "message"}},
		{"T3 True", "True", false, Flag{true, "message"}},
		{"T3 true over true", "YES", true, Flag{true, "message"}},
		{"T4 no", "no", true, Flag{false, "message"}},
		{"T4 false", "false", true, Flag{false, "message"}},
		{"T4 False", "False", true, Flag{false, "message"}},
		{"T5 empty", emptyValue, true, Flag{true, "domain"}},
	} {
		for _, endpoint := range []string{"messages", "messages.mime", "smtp"} {
			for flag := range 2 {
				s := sent{name: fmt.Sprintf("%s/%d/%s", endpoint, flag, tt.name), domain: domainFor(tt.domain, tt.domain), flag: flag, want: tt.want}
				s.other = Flag{tt.domain, map[bool]string{true: "domain", false: "default"}[tt.domain]}
				values := [2]string{}
				values[flag] = tt.value
				var err error
				if s.id, err = rg.submitFlags(endpoint, s.domain, to.address(), values[0], values[1]); err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				all = append(all, s)
			}
		}
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			d := rg.outcome(t, s.domain, s.id).Status.Detail
			got := [2]Flag{d.Require, d.Skip}
			if got[s.flag] != s.want || got[1-s.flag] != s.other {
				t.Errorf("got %+v and the other one %+v, want %+v and %+v", got[s.flag], got[1-s.flag], s.want, s.other)
			}
		})
	}
}

// A flag that cannot be read is never taken for false: the message is refused.
func TestUnreadableFlagIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})
	base := form{{name: "to", value: to.address()}}
	text := "From: bob@" + plainDomain + "\r\nSubject: x\r\n"
	for _, value := range []string{"maybe", "1", "on", "yes no", "yes\x00"} {
		for _, flag := range []string{"require-tls", "skip-verification"} {
			for endpoint, f := range map[string]form{
				"messages":      base.with(field{name: "from", value: "bob@" + plainDomain}, field{name: "text", value: "x"}, field{name: "o:" + flag, value: value}),
				"messages.mime": base.with(field{name: "message", value: text + "\r\nx"}, field{name: "o:" + flag, value: value}),
			} {
				if status, data, err := rg.post("/v3/"+plainDomain+"/"+endpoint, f); err != nil || status != http.StatusBadRequest || !strings.Contains(string(data), flag) {
					t.Errorf("%s with %s=%q: %d %s %v, want 400 naming the flag", endpoint, flag, value, status, data, err)
				}
			}
			if strings.Contains(value, "\x00") {
				continue // the SMTP door ends the session at a NUL
			}
			err := rg.submitSMTP(plainDomain, false, &smtp.MailOptions{}, text+"X-Mailgun-"+flag+": "+value+"\r\n\r\nx\r\n", to.address())
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), flag) {
				t.Errorf("SMTP with %s: %q: %v, want a refusal naming the header", flag, value, err)
			}
		}
	}
	if n := len(to.Connections()); n != 0 {
		t.Errorf("%d connections to the receiver", n)
	}
}

// pair is the domain's flags as one view shows them.
type pair struct{ require, skip any }

// views reads the pair wherever the API shows it.
func (rg *rig) views(t *testing.T, domain string) map[string]pair {
	t.Helper()
	of := func(m any) pair {
		o, _ := m.(map[string]any)
		return pair{o["require_tls"], o["skip_verification"]}
	}
	connection := rg.call(t, "GET", "/v3/domains/"+domain+"/connection", nil)
	all := map[string]pair{
		"connection":        of(connection),
		"connection.nested": of(connection["connection"]),
		"v3":                of(rg.call(t, "GET", "/v3/domains/"+domain, nil)["domain"]),
		"v4":                of(rg.call(t, "GET", "/v4/domains/"+domain, nil)["domain"]),
	}
	for _, version := range []string{"v3", "v4"} {
		items, _ := rg.call(t, "GET", "/"+version+"/domains", nil)["items"].([]any)
		for _, item := range items {
			if o, _ := item.(map[string]any); o["name"] == domain {
				all[version+" list"] = of(item)
			}
		}
	}
	if len(all) != 6 {
		t.Fatalf("the domain is missing in a list: %v", all)
	}
	return all
}

// T6, T7, T8: the pair is the same in every view, whichever call changed it, and a call
// that names one flag leaves the other. It survives a restart.
func TestDomainViewsAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, "default.test")
	rg.openDomain(t, "given.test", url.Values{"require_tls": {"true"}, "skip_verification": {"true"}})
	check := func(when, domain string, require, skip bool) {
		t.Helper()
		for view, got := range rg.views(t, domain) {
			if got != (pair{require, skip}) {
				t.Errorf("%s: %s of %s shows %v, want %t %t", when, view, domain, got, require, skip)
			}
		}
	}
	check("created without flags", "default.test", false, false)
	check("created with flags", "given.test", true, true)
	for _, step := range []struct {
		path          string
		form          url.Values
		require, skip bool
	}{
		{"/v3/domains/default.test/connection", url.Values{"require_tls": {"true"}}, true, false},
		{"/v3/domains/default.test/connection", url.Values{"skip_verification": {"yes"}}, true, true},
		{"/v4/domains/default.test", url.Values{"require_tls": {"false"}}, false, true},
		{"/v3/domains/default.test", url.Values{"require_tls": {"True"}, "skip_verification": {"no"}}, true, false},
		{"/v3/domains/default.test/connection", url.Values{"require-tls": {"no"}, "skip-verification": {"true"}}, false, true},
		{"/v4/domains/default.test", url.Values{"wildcard": {"true"}}, false, true},
	} {
		rg.call(t, "PUT", step.path, step.form)
		check(fmt.Sprint("after PUT ", step.path, step.form), "default.test", step.require, step.skip)
	}
	for _, path := range []string{"/v3/domains/default.test/connection", "/v4/domains/default.test"} {
		status, data, err := rg.do(rg.http, "PUT", rg.base+path, url.Values{"require_tls": {"perhaps"}, "skip_verification": {"false"}})
		if err != nil || status != http.StatusBadRequest {
			t.Errorf("PUT %s with a bad value: %d %s %v", path, status, data, err)
		}
		check("after a refused PUT", "default.test", false, true)
	}
	rg.stop(t)
	rg = w.start(t)
	check("after a restart", "default.test", false, true)
	check("after a restart", "given.test", true, true)
}

// T12, T10: one message to two recipient domains has an outcome for each, with its own
// fields, and the stored message's events are the same when asked for in another way.
func TestOutcomesDifferByRecipient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	honest := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})
	broken := w.receive(t, "self-signed", smtptest.SelfSigned, smtptest.Behaviour{})
	plain := w.receive(t, "no-starttls", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
	for _, tt := range []struct {
		name          string
		require, skip string
		want          map[*receiver]outcome
	}{
		{"default", "no", "no", map[*receiver]outcome{
			honest: {true, true, true, "verified-pkix"},
			broken: {true, false, false, "plaintext-verify-failed"},
			plain:  {true, false, false, "plaintext-not-offered"},
		}},
		{"required", "yes", "no", map[*receiver]outcome{
			honest: {true, true, true, "verified-pkix"},
			broken: {false, false, false, "refused-verify-failed"},
			plain:  {false, false, false, "refused-not-offered"},
		}},
		{"required, any certificate", "yes", "yes", map[*receiver]outcome{
			honest: {true, true, true, "verified-pkix"},
			broken: {true, true, false, "unverified"},
			plain:  {false, false, false, "refused-not-offered"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := rg.mustSubmit(t, plainDomain, "messages", form{
				{name: "from", value: "bob@" + plainDomain}, {name: "to", value: honest.address() + ", " + broken.address()}, {name: "cc", value: plain.address()},
				{name: "text", value: "Hello"}, {name: "o:require-tls", value: tt.require}, {name: "o:skip-verification", value: tt.skip},
			})
			list := rg.outcomes(t, plainDomain, id, 3)
			if len(list) != 3 {
				t.Fatalf("%d outcomes", len(list))
			}
			for r, want := range tt.want {
				e := about(t, list, r.address())
				s := e.Status
				got := outcome{e.Event == "delivered", *s.TLS, *s.Verified, s.Detail.Result}
				if got != want || *s.MXHost != r.host {
					t.Errorf("%s: %+v at %s, want %+v", r.domain, got, *s.MXHost, want)
				}
				byRecipient, err := rg.events(plainDomain, url.Values{"recipient": {r.address()}, "message-id": {id}, "event": {e.Event}})
				if err != nil || len(byRecipient) != 1 || mustJSON(t, byRecipient[0]) != mustJSON(t, e) {
					t.Errorf("asked for by recipient: %d events, %v", len(byRecipient), err)
				}
			}
		})
	}
}

// about returns the one event about the recipient.
func about(t *testing.T, list []Event, recipient string) Event {
	t.Helper()
	var found []Event
	for _, e := range list {
		if e.Recipient == recipient {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d outcomes for %s", len(found), recipient)
	}
	return found[0]
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
