package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mtasts"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// publications are what a recipient domain can have published.
var publications = []struct {
	name string
	set  func(w *world, right, unusable string)
}{
	{"DANE matches", func(w *world, right, _ string) { w.signed(right) }},
	{"DANE matches nothing", func(w *world, _, _ string) { w.signed(nobodys) }},
	{"TLSA unusable", func(w *world, _, unusable string) { w.signed(unusable) }},
	{"TLSA fails", func(w *world, right, _ string) {
		w.signed(right)
		w.dns.SetFault("_25._tcp.mx.example.test", dnssec.TLSA, dnstest.Fault{RCode: 2})
	}},
	{"MTA-STS enforce", func(w *world, _, _ string) { w.enforces("mx.example.test") }},
	{"MTA-STS enforce, not listed", func(w *world, _, _ string) { w.enforces("mx.elsewhere.test") }},
	{"MTA-STS testing, not listed", func(w *world, _, _ string) {
		w.d.cfg.STS = &published{policy: policyOf(tlspolicy.STSTesting, mtasts.Testing, "mx.elsewhere.test")}
	}},
	{"DANE matches and MTA-STS enforce", func(w *world, right, _ string) {
		w.signed(right)
		w.enforces("mx.example.test")
	}},
	{"override RV", func(w *world, _, _ string) {
		w.d.cfg.Overrides = exceptions{{ID: 1, Target: "example.test", Requirement: "RV"}}
	}},
	{"override encrypt", func(w *world, _, _ string) {
		w.d.cfg.Overrides = exceptions{{ID: 1, Target: "mx.example.test", MXHost: true, OnUnverified: mail.UnverifiedEncrypt}}
	}},
	{"override min-tls 1.3", func(w *world, _, _ string) {
		w.d.cfg.Overrides = exceptions{{ID: 1, Target: "example.test", MinTLS: mail.TLS13}}
	}},
}

// enforces publishes an enforced MTA-STS policy.
func (w *world) enforces(mx string) {
	p := policyOf(tlspolicy.STSEnforce, mtasts.Enforce, mx)
	w.d.cfg.STS = &published{policy: p, rechecked: p}
}

// Check and delivery have one answer: under every policy, for every behaviour of the
// server and every pair of flags.
func TestCheckForetellsDeliveries(t *testing.T) {
	for _, p := range publications {
		for _, r := range rows {
			t.Run(p.name+"/"+r.name, func(t *testing.T) {
				var foretold [4]Outcome
				inWorld(t, standard, func(w *world) {
					b := r.serve(w)
					p.set(w, tlsa(b.Certificate, 0, 3, 1, 1), tlsa(b.Certificate, 0, 1, 1, 1))
					w.serve("192.0.2.1", b)
					foretold = [4]Outcome(w.d.Check(w.t.Context(), "example.test").Outcomes)
					synctest.Wait()
				})
				for i, pair := range pairNames {
					inWorld(t, standard, func(w *world) {
						b := r.serve(w)
						p.set(w, tlsa(b.Certificate, 0, 3, 1, 1), tlsa(b.Certificate, 0, 1, 1, 1))
						w.serve("192.0.2.1", b)
						got := w.attempt(job(pairFlags(i)))
						if said, did := fmt.Sprint(foretold[i].Delivery, " ", foretold[i].Result), did(got); said != did {
							t.Errorf("%s: foretold %s, came %s", pair, said, did)
						}
					})
				}
			})
		}
	}
}

// did spells what a delivery did as Check spells what it would do.
func did(r mail.RecipientResult) string {
	delivery := "not-delivered"
	switch s := r.Session; {
	case r.Outcome != mail.Delivered:
	case s.CertificateVerified:
		delivery = "verified"
	case s.TLS:
		delivery = "unverified"
	default:
		delivery = "plaintext"
	}
	return fmt.Sprint(delivery, " ", r.Session.Detail.Result)
}
