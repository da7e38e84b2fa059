package delivery

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mtasts"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// The strict rule of REQUIRETLS is not for notices, which have no reverse-path.
func TestMarking(t *testing.T) {
	path := mail.Address{Local: "a", Domain: "sender.test"}
	tests := []struct {
		envelope mail.Envelope
		hop      bool
		want     tlspolicy.Marking
	}{
		{mail.Envelope{ReversePath: path}, false, tlspolicy.Unmarked},
		{mail.Envelope{ReversePath: path, RequireTLS: true}, false, tlspolicy.RequireTLSStrict},
		{mail.Envelope{ReversePath: path, RequireTLS: true}, true, tlspolicy.RequireTLSHop},
		{mail.Envelope{RequireTLS: true}, false, tlspolicy.RequireTLSHop},
		{mail.Envelope{ReversePath: path, RequireTLS: true, TLSOptional: true}, false, tlspolicy.RequireTLSStrict},
		{mail.Envelope{ReversePath: path, TLSOptional: true}, false, tlspolicy.TLSOptional},
	}
	for _, tt := range tests {
		if got := marking(tt.envelope, mail.DomainDelivery{RequireTLSHop: tt.hop}); got != tt.want {
			t.Errorf("%+v, hop=%t: %q, want %q", tt.envelope, tt.hop, got, tt.want)
		}
	}
}

// What the next hop is an alias for counts as its name only if nobody can have forged
// that (RFC 7672 section 3.2.2).
func TestNamesOfAnAlias(t *testing.T) {
	for _, secure := range []bool{false, true} {
		r := recipient{domain: "alias.test"}
		New(Config{}).meet(t.Context(), &r, mx.Result{Expanded: "real.test", Secure: secure})
		want := []string{"alias.test"}
		if secure {
			want = append(want, "real.test")
		}
		if !slices.Equal(r.names, want) {
			t.Errorf("secure=%t: %q, want %q", secure, r.names, want)
		}
	}
}

// A message with REQUIRETLS is not served by a setting that ignores policies: they are
// looked up for it.
func TestREQUIRETLSLooksAtIgnoredPolicies(t *testing.T) {
	ignoring := func() mail.Job {
		j := job(mail.Unset, mail.Unset)
		j.Envelope.RequireTLS = true
		j.Settings.DANE, j.Settings.STS, j.Settings.PolicyUntil = mail.Ignore, mail.Ignore, time.Now().Add(time.Hour)
		return j
	}
	with := append(smtptest.DefaultExtensions(), "REQUIRETLS")
	inWorld(t, standard, func(w *world) {
		w.signed(nobodys)
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), TLSExtensions: with})
		if got := w.attempt(ignoring()); got.Session.Detail.Result != "refused-dane-mismatch" {
			t.Errorf("DANE: %s", shortly(got))
		}
	})
	inWorld(t, standard, func(w *world) {
		w.d.cfg.STS = &published{policy: policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "mx.example.test")}
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), TLSExtensions: with})
		if got := w.attempt(ignoring()); shortly(got) != deliveredVerified || got.Session.Detail.MXAuthenticated != "mta-sts" {
			t.Errorf("MTA-STS: %s, MX by %s", shortly(got), got.Session.Detail.MXAuthenticated)
		}
	})
}

// RFC 7672 section 8.1: the name in SNI is the TLSA base domain, here what the host is an
// alias for.
func TestSNIIsTheBaseDomain(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		cert := w.cert(smtptest.Valid)
		record := tlsa(cert, 0, 3, 1, 1)
		zone := "@ MX 10 mx\nmx CNAME real\nreal A 192.0.2.1\n" + "_25._tcp.real" + record[len("_25._tcp.mx"):]
		if err := w.dns.SetZone(dnstest.Zone{Origin: "example.test", Secure: true, Records: zone}); err != nil {
			t.Fatal(err)
		}
		w.d.cfg.DANE = dane.New(w.dns.Resolver(t), 25)
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
		got := w.attempt(job(mail.Unset, mail.Unset))
		if got.Session.Detail.Result != "verified-dane-ee" || server.Connections()[0].SNI != "real.example.test" {
			t.Errorf("%s, SNI %q", shortly(got), server.Connections()[0].SNI)
		}
	})
}

// A connection on which we showed no certificate is not used for a destination that
// wants one, nor the other way round.
func TestPoolKeepsClientCertificatesApart(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		w.d.cfg.ClientCert = func(string) (*tls.Certificate, error) { return nil, nil }
		for _, list := range []exceptions{nil, {{ID: 1, Target: "example.test", ClientCert: "one"}}, {{ID: 2, Target: "example.test", ClientCert: "two"}}} {
			w.d.cfg.Overrides = list
			if got := w.attempt(job(mail.True, mail.Unset)); got.Session.Detail.Reused {
				t.Errorf("%+v: reused", list)
			}
		}
		if n := len(server.Connections()); n != 3 {
			t.Errorf("%d connections", n)
		}
	})
}

// DANE-TA accepts the next hop's name: a certificate for one recipient domain says nothing
// to another one with the same MX host and the same records.
func TestPoolComparesNamesForEachDomain(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		cert, err := pki().Issue(smtptest.Valid, "example.test")
		if err != nil {
			t.Fatal(err)
		}
		w.signed(tlsa(cert, 1, 2, 0, 1))
		if err := w.dns.SetZone(dnstest.Zone{Origin: "other.test", Secure: true, Records: "@ MX 10 mx.example.test."}); err != nil {
			t.Fatal(err)
		}
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
		if got := w.attempt(job(mail.Unset, mail.Unset)); got.Session.Detail.Result != "verified-dane-ta" {
			t.Fatal(shortly(got))
		}
		j := job(mail.Unset, mail.Unset)
		j.NextHop = "other.test"
		if got := w.attempt(j); shortly(got) != deferred+"refused-dane-mismatch" {
			t.Errorf("the other domain: %s", shortly(got))
		}
	})
}

// A DANE-TA match ends with the chain, also on a connection that stays open.
func TestPoolForgetsAMatchThatEnded(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		template := smtptest.LeafTemplate("mx.example.test")
		template.NotAfter = time.Now().Add(5 * time.Second)
		cert, err := pki().IssueTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		w.signed(tlsa(cert, 1, 2, 0, 1))
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
		if got := w.attempt(job(mail.Unset, mail.Unset)); got.Session.Detail.Result != "verified-dane-ta" {
			t.Fatal(shortly(got))
		}
		time.Sleep(7 * time.Second)
		if got := w.attempt(job(mail.Unset, mail.Unset)); shortly(got) != deferred+"refused-dane-mismatch" {
			t.Errorf("after its end: %s, reused %t", shortly(got), got.Session.Detail.Reused)
		}
	})
}
