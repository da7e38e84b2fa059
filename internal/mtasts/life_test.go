package mtasts

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/tlspolicy"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

const (
	noPolicy = tlspolicy.STSNoPolicy
	noFetch  = tlspolicy.STSNoFetch
	none     = tlspolicy.STSNone
	testMode = tlspolicy.STSTesting
	enforce  = tlspolicy.STSEnforce
)

// A month of one domain's policy, told day by day, with the real store on disk.
func TestMonthOfPolicyLife(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		began := time.Now()

		t.Log("day 0: published, fetched with the first mail, and from memory after that")
		r := w.policy()
		w.expect(r, enforce, "1", false, "")
		if !r.Policy.Lists("mx.example.test") || r.Policy.Lists("mx.evil.test") || r.Policy.Expires.Sub(began) < days(7) {
			t.Fatalf("policy %+v", r.Policy)
		}
		for range 100 {
			w.expect(w.policy(), enforce, "1", true, "")
		}
		w.requests(1)

		t.Log("day 1 and 2: refreshed ahead of expiry, although nobody changed anything")
		time.Sleep(days(2.2))
		if n := w.host.take(); n < 2 || n > 3 {
			t.Fatalf("%d refreshes in two days", n)
		}
		r = w.policy()
		w.expect(r, enforce, "1", true, "")
		if left := time.Until(r.Policy.Expires); left < days(6) {
			t.Fatalf("it expires in %s in spite of the refresh", left)
		}

		t.Log("day 3: a new id brings the new policy with the next mail")
		time.Sleep(days(0.8))
		w.host.take()
		w.host.body(strings.Replace(enforced, "mx.example", "mx2.example", 1))
		w.publishID("2")
		time.Sleep(fetchInterval + time.Minute) // the resolver's memory, and a refresh just before
		r = w.policy()
		w.expect(r, enforce, "2", false, "")
		if !r.Policy.Lists("mx2.example.test") || r.Policy.Lists("mx.example.test") {
			t.Fatalf("policy %+v", r.Policy)
		}

		t.Log("day 4: the record is gone; the policy is not")
		time.Sleep(days(1))
		w.publish(`@ MX 10 mx`, `mta-sts A 192.0.2.1`)
		time.Sleep(time.Hour)
		w.host.take()
		r = w.policy()
		w.expect(r, enforce, "2", true, "")
		if !errors.Is(r.Err, errGone) {
			t.Errorf("error %v", r.Err)
		}
		time.Sleep(days(1))
		w.requests(0) // nobody refreshes what was taken back

		t.Log("day 5: restart")
		w.publishID("2")
		time.Sleep(time.Hour)
		w.down()
		if text := w.log.take(); strings.Contains(text, "level=ERROR") {
			t.Errorf("log:\n%s", text)
		}
		time.Sleep(time.Hour)
		w.host.breakWith(errors.New("connection refused"))
		w.up()
		w.expect(w.policy(), enforce, "2", true, "")

		t.Log("day 6: the host is broken, a new id cannot be fetched, the administrator hears of it")
		w.host.take()
		w.publishID("3")
		time.Sleep(days(1))
		w.expect(w.policy(), enforce, "2", true, tlsresult.STSPolicyFetchError)
		if text := w.log.take(); !strings.Contains(text, "could not be refreshed") || !strings.Contains(text, "connection refused") {
			t.Errorf("log:\n%s", text)
		}
		if n := w.host.take(); n > 6 {
			t.Errorf("%d attempts in a day", n)
		}

		t.Log("day 7: another restart, and the policy runs out after seven days without a fetch")
		w.down()
		w.up()
		r = w.policy()
		w.expect(r, enforce, "2", true, tlsresult.STSPolicyFetchError)
		time.Sleep(time.Until(r.Policy.Expires) - time.Second)
		w.expect(w.policy(), enforce, "2", true, tlsresult.STSPolicyFetchError)
		time.Sleep(time.Second)
		w.expect(w.policy(), noFetch, "", false, tlsresult.STSPolicyFetchError)

		t.Log("day 12: the host is back, in testing")
		w.host.breakWith(nil)
		w.host.body(strings.Replace(enforced, "enforce", "testing", 1))
		time.Sleep(fetchInterval)
		w.expect(w.policy(), testMode, "3", false, "")
		w.host.take()
		time.Sleep(days(15.5)) // twice its max_age, and nobody sends mail
		w.expect(w.policy(), testMode, "3", true, "")
		if n := w.host.take(); n < 15 || n > 22 {
			t.Errorf("%d refreshes in fifteen days", n)
		}

		t.Log("day 28: enforced again, then taken back in the orderly way: mode none")
		w.host.body(enforced)
		w.publishID("4")
		time.Sleep(fetchInterval + time.Minute)
		w.expect(w.policy(), enforce, "4", false, "")
		w.host.body("version: STSv1\nmode: none\nmax_age: 86400\n")
		w.publishID("5")
		time.Sleep(fetchInterval + time.Minute)
		w.expect(w.policy(), none, "5", false, "")
		w.down()
		w.up()
		w.expect(w.policy(), none, "5", true, "")
		w.publish(`@ MX 10 mx`)
		time.Sleep(days(1) + time.Minute)
		r = w.policy()
		w.expect(r, noPolicy, "", false, "")
		if r.Err != nil {
			t.Errorf("error %v", r.Err)
		}
		if lived := time.Since(began); lived < days(28) {
			t.Errorf("the test covers only %s", lived)
		}
		time.Sleep(days(2))
		w.down()
		w.up()
		if s := w.cache.Stats(); s.Enforce+s.Testing+s.None+s.Failing+s.Bytes != 0 {
			t.Errorf("something is left: %+v", s)
		}
	})
}

func TestRecordFaults(t *testing.T) {
	pki := smtptest.NewPKI(t)
	tests := []struct {
		name    string
		records string
		fault   dnstest.Fault
		state   tlspolicy.STS
		err     string
	}{
		{"none", "", dnstest.Fault{}, noPolicy, ""},
		{"of others only", `_mta-sts TXT "v=spf1 -all"`, dnstest.Fault{}, noPolicy, ""},
		{"several", "_mta-sts TXT \"v=STSv1; id=1\"\n_mta-sts TXT \"v=STSv1; id=2\"", dnstest.Fault{}, noPolicy, "several"},
		{"malformed", `_mta-sts TXT "v=STSv1; id=a-b"`, dnstest.Fault{}, noPolicy, "is not 1 to 32"},
		{"in several strings", `_mta-sts TXT "v=STS" "v1; i" "d=1"`, dnstest.Fault{}, enforce, ""},
		{"behind an alias", "_mta-sts CNAME sts\nsts TXT \"v=STSv1; id=1\"", dnstest.Fault{}, enforce, ""},
		{"beside others", "_mta-sts TXT \"x\"\n_mta-sts TXT \"v=STSv1; id=1\"", dnstest.Fault{}, enforce, ""},
		{"SERVFAIL", "", dnstest.Fault{RCode: 2}, noFetch, "server failure"},
		{"no answer", "", dnstest.Fault{Drop: true}, noFetch, "timeout"},
		{"garbage", "", dnstest.Fault{Garbage: true}, noFetch, "_mta-sts.example.test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, pki)
				w.publish(`mta-sts A 192.0.2.1`, tt.records)
				w.dns.SetFault("_mta-sts."+domain, dnssec.TXT, tt.fault)
				r := w.policy()
				if r.State != tt.state || r.Fault != "" || r.Cached {
					t.Errorf("result %+v, want state %d", r, tt.state)
				}
				checkError(t, r.Err, tt.err)
				if tt.state != enforce {
					w.requests(0)
				}

				// The same beside a cached policy changes nothing.
				w.dns.SetFault("_mta-sts."+domain, dnssec.TXT, dnstest.Fault{})
				w.publishID("1")
				time.Sleep(2 * fetchInterval)
				if r := w.policy(); r.State != enforce {
					t.Fatalf("result %+v", r)
				}
				w.publish(`mta-sts A 192.0.2.1`, tt.records)
				w.dns.SetFault("_mta-sts."+domain, dnssec.TXT, tt.fault)
				time.Sleep(2 * fetchInterval)
				w.expect(w.policy(), enforce, "1", true, "")
			})
		})
	}
}

// What is no domain name asks nobody.
func TestNoDomain(t *testing.T) {
	c := &Cache{fetcher: fetcher{dns: nil}}
	for _, name := range []string{"", ".", "[192.0.2.1]", "*.example.test", "a b.test", "a/../b.test", "a..test", "user@example.test", strings.Repeat("a", 64) + ".test"} {
		if r := c.Policy(t.Context(), name); r.State != noPolicy || r.Err == nil {
			t.Errorf("%q: %+v", name, r)
		}
	}
}

func TestRecheck(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pki)
		w.expect(w.policy(), enforce, "1", false, "")
		w.requests(1)
		w.host.body(strings.Replace(enforced, "mx.example", "mx2.example", 1)) // and the id was forgotten

		recheck := func() Result { return w.cache.Recheck(t.Context(), domain) }
		w.expect(recheck(), enforce, "1", true, "")
		w.requests(0) // within five minutes
		time.Sleep(fetchInterval)
		w.expect(w.policy(), enforce, "1", true, "")
		w.requests(0)
		r := recheck()
		w.expect(r, enforce, "1", false, "")
		w.requests(1)
		if !r.Policy.Lists("mx2.example.test") {
			t.Errorf("policy %+v", r.Policy)
		}
		w.expect(recheck(), enforce, "1", true, "")
		w.requests(0)

		// A TXT record that nobody can look up does not stop it, one that is gone does.
		w.dns.SetFault("_mta-sts."+domain, dnssec.TXT, dnstest.Fault{RCode: 2})
		time.Sleep(fetchInterval)
		w.expect(recheck(), enforce, "1", false, "")
		w.requests(1)
		w.dns.SetFault("_mta-sts."+domain, dnssec.TXT, dnstest.Fault{})
		w.publish(`mta-sts A 192.0.2.1`)
		time.Sleep(fetchInterval)
		w.expect(recheck(), enforce, "1", true, "")
		w.requests(0)
	})
}
