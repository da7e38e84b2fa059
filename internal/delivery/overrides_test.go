package delivery

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mtasts"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// exceptions is an Overrides with a fixed list.
type exceptions []mail.Override

func (e exceptions) Override(nextHop, mxHost string, now time.Time) []mail.Override {
	var found []mail.Override
	for _, kind := range []bool{false, true} {
		for _, o := range e {
			if o.MXHost == kind && o.Active(now) && (o.Target == nextHop && !kind || o.Target == mxHost && kind) {
				found = append(found, o)
			}
		}
	}
	return found
}

// Exceptions, as they are made by people: each with the flags, the server and what
// comes of it, and named in the evidence where it made the difference.
func TestOverrides(t *testing.T) {
	later := time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC)
	earlier := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC)
	domain := func(o mail.Override) mail.Override {
		o.ID, o.Target, o.Reason = 7, "example.test", "told by phone"
		return o
	}
	host := func(o mail.Override) mail.Override {
		o.ID, o.Target, o.MXHost, o.Reason = 8, "mx.example.test", true, "told by phone"
		return o
	}
	tests := []struct {
		name     string
		override mail.Override
		records  []string
		flags    int
		kind     smtptest.CertKind
		want     string
		source   string
	}{
		{"dane=ignore", domain(mail.Override{DANE: mail.Ignore, Expires: later}), []string{nobodys}, 0, smtptest.Valid, deliveredVerified, "override"},
		{"dane=audit of the host", host(mail.Override{DANE: mail.Audit, Expires: later}), []string{nobodys}, 0, smtptest.Valid, deliveredVerified, "override"},
		{"dane=ignore that has expired", domain(mail.Override{DANE: mail.Ignore, Expires: earlier}), []string{nobodys}, 0, smtptest.Valid, deferred + "refused-dane-mismatch", "dane"},
		{"dane=ignore, and the flags stay", domain(mail.Override{DANE: mail.Ignore, Expires: later}), []string{nobodys}, 2, smtptest.WrongName, deferred + "refused-verify-failed", "override"},
		{"requirement=RV", domain(mail.Override{Requirement: "RV"}), nil, 0, smtptest.WrongName, deferred + "refused-verify-failed", "override"},
		{"requirement=RV that changes nothing", domain(mail.Override{Requirement: "RV"}), nil, 2, smtptest.Valid, deliveredVerified, "sender"},
		{"requirement=OA and message flags", domain(mail.Override{Requirement: "OA", Expires: later}), nil, 2, smtptest.WrongName, deferred + "refused-verify-failed", "sender"},
		{"on-unverified=encrypt", domain(mail.Override{OnUnverified: mail.UnverifiedEncrypt}), nil, 0, smtptest.WrongName, deliveredUnverified, "override"},
		{"min-tls=1.3", domain(mail.Override{MinTLS: mail.TLS13}), nil, 2, smtptest.Valid, deferred + "refused-handshake-failed", "override"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				w.signed(tt.records...)
				w.d.cfg.Overrides = exceptions{tt.override}
				cert := w.cert(tt.kind)
				w.serve("192.0.2.1", smtptest.Behaviour{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12}})
				j := job(mail.Unset, mail.Unset)
				if tt.flags == 2 {
					j = job(mail.True, mail.Unset)
				}
				got := w.attempt(j)
				if shortly(got) != tt.want {
					t.Fatalf("%s, want %s", shortly(got), tt.want)
				}
				d := got.Session.Detail
				if d.RequirementSource != tt.source {
					t.Errorf("requirement-source %s, want %s", d.RequirementSource, tt.source)
				}
				named := len(d.Overrides) == 1 && d.Overrides[0].ID == tt.override.ID && d.Overrides[0].Sets == tt.override.String()
				if active := tt.override.Active(time.Now()); named != active {
					t.Errorf("overrides in the evidence: %+v", d.Overrides)
				}
			})
		})
	}
}

// An exception that ends, or that is made, between two MX hosts of one attempt counts
// at each host as it is then. A policy that was not looked up is no absent one.
func TestExceptionEndsDuringAnAttempt(t *testing.T) {
	const end = 10 * time.Second
	tests := []struct {
		name string
		set  func(w *world, j *mail.Job)
	}{
		{"override", func(w *world, _ *mail.Job) {
			w.d.cfg.Overrides = exceptions{{ID: 1, Target: "example.test", STS: mail.Ignore, Expires: time.Now().Add(end)}}
		}},
		{"domain's setting", func(_ *world, j *mail.Job) {
			j.Settings.STS, j.Settings.PolicyUntil = mail.Ignore, time.Now().Add(end)
		}},
		{"override of a host that honors", func(w *world, j *mail.Job) {
			j.Settings.STS, j.Settings.PolicyUntil = mail.Ignore, time.Now().Add(time.Hour)
			w.d.cfg.Overrides = exceptions{{ID: 1, Target: "mx2.example.test", MXHost: true, STS: mail.Honor}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, "@ MX 10 mx1\n@ MX 20 mx2\nmx1 A 192.0.2.1\nmx2 A 192.0.2.2", func(w *world) {
				w.d.cfg.STS = &published{policy: policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "*.example.test")}
				w.serve("192.0.2.1", smtptest.Behaviour{On: func(smtptest.Command) smtptest.Action {
					return smtptest.Action{Delay: 20 * time.Second, Reply: "421 4.3.2 later"}
				}})
				server := w.serve("192.0.2.2", smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
				j := job(mail.Unset, mail.Unset)
				tt.set(w, &j)
				got := w.attempt(j)
				if shortly(got) != deferred+"refused-not-offered" || len(server.Accepted()) != 0 {
					t.Errorf("%s, %d messages accepted in plaintext", shortly(got), len(server.Accepted()))
				}
			})
		})
	}
}

// TLS 1.0 is spoken only where an exception says so, and a connection that speaks it
// is nothing to messages without.
func TestOldTLSByOverride(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), STARTTLS: smtptest.TLSOld})
		w.d.cfg.Overrides = exceptions{{ID: 1, Target: "example.test", MinTLS: mail.TLS10, Expires: time.Now().Add(time.Hour)}}
		got := w.attempt(job(mail.True, mail.Unset))
		if shortly(got) != deliveredVerified || got.Session.Detail.MinTLS != "1.0" || got.Session.Detail.Version != "TLS 1.1" {
			t.Errorf("%s over %s", shortly(got), got.Session.Detail.Version)
		}
		w.d.cfg.Overrides = nil
		if got := w.attempt(job(mail.True, mail.Unset)); shortly(got) != deferred+"refused-handshake-failed" {
			t.Errorf("without the exception: %s", shortly(got))
		}
		if n := len(server.Accepted()); n != 1 {
			t.Errorf("%d messages accepted", n)
		}
	})
}

// Our certificate is shown to a host that verifies, and to no other.
func TestClientCertificate(t *testing.T) {
	ours, err := pki().Issue(smtptest.Valid, "sender.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []smtptest.CertKind{smtptest.Valid, smtptest.WrongName} {
		inWorld(t, standard, func(w *world) {
			var mu sync.Mutex
			var shown []string
			cert := w.cert(kind)
			w.serve("192.0.2.1", smtptest.Behaviour{TLSConfig: &tls.Config{
				Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert,
				VerifyConnection: func(cs tls.ConnectionState) error {
					mu.Lock()
					defer mu.Unlock()
					for _, c := range cs.PeerCertificates {
						shown = append(shown, strings.Join(c.DNSNames, " "))
					}
					return nil
				},
			}})
			w.d.cfg.Overrides = exceptions{{ID: 1, Target: "example.test", ClientCert: "ours"}}
			w.d.cfg.ClientCert = func(name string) (*tls.Certificate, error) {
				if name != "ours" {
					return nil, errors.New("no such certificate")
				}
				return &ours, nil
			}
			got := w.attempt(job(mail.True, mail.True))
			mu.Lock()
			defer mu.Unlock()
			if got.Outcome != mail.Delivered || (len(shown) > 0) != (kind == smtptest.Valid) {
				t.Errorf("%s: %s, shown %q", kind, shortly(got), shown)
			}
		})
	}
}
