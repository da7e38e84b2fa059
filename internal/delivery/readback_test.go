package delivery

import (
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/internal/impact"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// foretold is how a projection is spelled in the table of rows.
func foretold(o impact.Outcome) string {
	switch o.Delivery {
	case impact.Verified:
		return "delivered tls=true verified=true " + string(o.Result)
	case impact.Unverified:
		return deliveredUnverified
	case impact.InPlaintext:
		return inPlaintext + string(o.Result)
	case impact.NotDelivered:
		return deferred + string(o.Result)
	}
	return fmt.Sprintf("%s: %s", o.Delivery, o.Reason)
}

// What a delivery under one pair of flags left in the log says what a delivery
// under every pair would do: the evidence of real attempts, read back and decided about
// again, is compared with what real attempts under the other pairs did.
func TestEvidenceForetellsOtherFlags(t *testing.T) {
	for _, r := range rows {
		for i, pair := range pairNames {
			t.Run(r.name+"/"+pair, func(t *testing.T) {
				inWorld(t, standard, func(w *world) {
					w.serve("192.0.2.1", r.serve(w))
					got := w.attempt(job(pairFlags(i)))
					d := got.Session.Detail
					hosts, _ := impact.Read(&d)
					if len(hosts) != 1 {
						t.Fatalf("%d hosts read from %+v", len(hosts), d)
					}
					for k, flags := range impact.Pairs() {
						o := impact.Terms{NextHop: "example.test"}.Project(hosts, flags)
						if r.name == "3 alert" && i == 2 && k != 2 {
							// Where nothing has to verify, more cipher suites are offered: that these would
							// not have helped is not known.
							if o.Delivery != impact.Unknown || o.Reason != impact.ReasonCipherSuite {
								t.Errorf("delivered with %s, foretold for %s: %s", pair, pairNames[k], foretold(o))
							}
							continue
						}
						if s := foretold(o); s != r.want[k] {
							t.Errorf("delivered with %s, foretold for %s: %s, want %s", pair, pairNames[k], s, r.want[k])
						}
					}
				})
			})
		}
	}
}

func allDeferred(result string) [4]string {
	return [4]string{deferred + result, deferred + result, deferred + result, deferred + result}
}

// readsBack checks, for every attempt of every test here, that the evidence of each of its
// connections, read back, is judged as the log says.
func (w *world) readsBack(got mail.RecipientResult) {
	w.t.Helper()
	if got.Session == nil {
		return
	}
	top := got.Session.Detail
	for _, d := range append([]mail.TLSDetail{top}, top.Attempts...) {
		d.Attempts = nil
		list, _ := impact.Read(&d)
		if d.Result == "" || len(list) != 1 || list[0].PlaintextRefused {
			continue // nothing was decided, or only after plaintext was refused
		}
		r := list[0]
		v := tlspolicy.Judge(tlspolicy.Require(r.Facts), r.Session)
		if string(v.Result) != d.Result {
			w.t.Errorf("judged again: %s, the log says %s\nread %+v\nfrom %+v", v.Result, d.Result, r, d)
		}
	}
}

// The fallbacks and the settings that change them, and connections that carried an
// earlier message.
func TestEvidenceForetellsFallbacks(t *testing.T) {
	demands := func(b smtptest.Behaviour) smtptest.Behaviour { b.RequireTLS = true; return b }
	tests := []struct {
		name     string
		serve    func(w *world) smtptest.Behaviour
		flags    int
		settings mail.DomainDelivery
		before   bool // STARTTLS was seen on the host before
		messages int  // on the connection, the last one is looked at
		want     [4]string
	}{
		{"14 bad certificate, plaintext refused", func(w *world) smtptest.Behaviour {
			return demands(smtptest.Behaviour{Certificate: w.cert(smtptest.SelfSigned)})
		}, 0, mail.DomainDelivery{}, false, 1, [4]string{deliveredUnverified, deliveredUnverified, deferred + "refused-verify-failed", deliveredUnverified}},
		{"14 not offered, plaintext refused", func(w *world) smtptest.Behaviour {
			return demands(smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
		}, 0, mail.DomainDelivery{}, false, 1, allDeferred("refused-not-offered")},
		{"14 rejected, plaintext refused, seen with skip-verification", func(w *world) smtptest.Behaviour {
			return demands(smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), STARTTLS: smtptest.TLSReject})
		}, 1, mail.DomainDelivery{}, false, 1, allDeferred("refused-starttls-rejected")},
		{"on-unverified encrypt", func(w *world) smtptest.Behaviour {
			return smtptest.Behaviour{Certificate: w.cert(smtptest.Expired)}
		}, 0, mail.DomainDelivery{EncryptUnverified: true}, false, 1, [4]string{deliveredUnverified, deliveredUnverified, deferred + "refused-verify-failed", deliveredUnverified}},
		{"12 downgrade", func(w *world) smtptest.Behaviour {
			return smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}
		}, 0, mail.DomainDelivery{}, true, 1, plainOrNot("plaintext-not-offered", "refused-not-offered")},
		{"12 downgrade deferred", func(w *world) smtptest.Behaviour {
			return smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}
		}, 0, mail.DomainDelivery{DeferDowngrade: true}, true, 1,
			allDeferred("refused-not-offered")},
		{"reused plaintext connection after a bad certificate", withCert(smtptest.WrongName), 0, mail.DomainDelivery{}, false, 2, badCert},
		{"reused plaintext connection after a failed handshake", withMode(smtptest.TLSGarbage, ""), 1, mail.DomainDelivery{}, false, 2,
			plainOrNot("plaintext-handshake-failed", "refused-handshake-failed")},
		{"reused plaintext connection after 421", withMode(smtptest.TLSReject, "421 4.3.2 bye"), 1, mail.DomainDelivery{}, false, 2,
			plainOrNot("plaintext-starttls-rejected", "refused-starttls-rejected")},
		{"reused plaintext connection without STARTTLS", withMode(smtptest.TLSNotOffered, ""), 0, mail.DomainDelivery{}, false, 2,
			plainOrNot("plaintext-not-offered", "refused-not-offered")},
		{"reused connection, verified", withCert(smtptest.Valid), 2, mail.DomainDelivery{}, false, 2,
			[4]string{deliveredVerified, deliveredVerified, deliveredVerified, deliveredVerified}},
		{"reused connection, unverified", withCert(smtptest.UnknownCA), 3, mail.DomainDelivery{}, false, 2, badCert},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				w.serve("192.0.2.1", tt.serve(w))
				if tt.before {
					w.peers.NoteTLS("mx.example.test")
				}
				var got mail.RecipientResult
				for range tt.messages {
					j := job(pairFlags(tt.flags))
					j.Settings = tt.settings
					got = w.attempt(j)
				}
				d := got.Session.Detail
				if tt.messages > 1 && !d.Reused {
					t.Fatalf("the connection was not reused: %+v", d)
				}
				hosts, _ := impact.Read(&d)
				terms := impact.Terms{NextHop: "example.test", Settings: tt.settings}
				for k, flags := range impact.Pairs() {
					if s := foretold(terms.Project(hosts, flags)); s != tt.want[k] {
						t.Errorf("foretold for %s: %s, want %s", pairNames[k], s, tt.want[k])
					}
				}
			})
		})
	}
}

// Hosts of one preference, and of several: what is foretold for the flags of the
// message itself is what happened to it.
func TestEvidenceForetellsTheOrderOfHosts(t *testing.T) {
	tests := []struct {
		name          string
		first, second smtptest.CertKind
		flags         int
	}{
		{"one of two equals verifies", smtptest.Expired, smtptest.Valid, 0},
		{"neither verifies: plaintext to the best", smtptest.Expired, smtptest.SelfSigned, 0},
		{"required: on to the backup", smtptest.Expired, smtptest.SelfSigned, 2},
		{"any certificate: the best takes it", smtptest.Expired, smtptest.SelfSigned, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 8 { // equals are shuffled
				inWorld(t, threeHosts, func(w *world) {
					w.serve("192.0.2.1", w.certFor("mx.example.test", tt.first))
					w.serve("192.0.2.2", w.certFor("mx2.example.test", tt.second))
					w.serve("192.0.2.3", w.certFor("backup.example.test", smtptest.Valid))
					got := w.attempt(job(pairFlags(tt.flags)))
					hosts, _ := impact.Read(&got.Session.Detail)
					o := impact.Terms{NextHop: "example.test"}.Project(hosts, impact.Pairs()[tt.flags])
					if s := foretold(o); s != shortly(got) || o.MXHost != got.Session.MXHost {
						t.Errorf("foretold %s at %s; was %s at %s", s, o.MXHost, shortly(got), got.Session.MXHost)
					}
				})
			}
		})
	}
}
