package delivery

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mtasts"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/tlspolicy"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// signed puts example.test into a signed zone with the given records besides the
// standard ones, and turns DANE on.
func (w *world) signed(records ...string) {
	w.t.Helper()
	zone := dnstest.Zone{Origin: "example.test", Secure: true, Records: standard + "\n" + strings.Join(records, "\n")}
	if err := w.dns.SetZone(zone); err != nil {
		w.t.Fatal(err)
	}
	w.d.cfg.DANE = dane.New(w.dns.Resolver(w.t), 25)
}

// tlsa is a TLSA record of mx.example.test for a certificate: of its chain's given
// element, by its key (3 1 1, 2 1 1) or as a whole (selector 0).
func tlsa(cert tls.Certificate, element int, usage, selector, matching int) string {
	der := cert.Certificate[element]
	if selector == 1 {
		der = mustParse(der).RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(der)
		der = sum[:]
	case 2:
		sum := sha512.Sum512(der)
		der = sum[:]
	}
	return fmt.Sprintf("_25._tcp.mx TLSA %d %d %d %s", usage, selector, matching, hex.EncodeToString(der))
}

const nobodys = "_25._tcp.mx TLSA 3 1 1 00000000000000000000000000000000000000000000000000000000000000aa"

func mustParse(der []byte) *x509.Certificate {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}

// four are the results of (f,f), (f,t), (t,f), (t,t).
func four(s string) [4]string { return [4]string{s, s, s, s} }

// Section 4 of the decision's table, the columns of DANE, on the wire: what the
// receiver got under all four pairs of flags.
func TestDANE(t *testing.T) {
	const (
		daneEE   = "delivered tls=true verified=true verified-dane-ee"
		daneTA   = "delivered tls=true verified=true verified-dane-ta"
		mismatch = deferred + "refused-dane-mismatch"
	)
	tests := []struct {
		name    string
		kind    smtptest.CertKind
		mode    smtptest.STARTTLSMode
		records func(c tls.Certificate) []string
		want    [4]string
	}{
		{"no records", smtptest.SelfSigned, 0, func(tls.Certificate) []string { return nil }, badCert},
		{"9 DANE-EE, valid", smtptest.Valid, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 3, 1, 1)} }, four(daneEE)},
		{"5 DANE-EE, expired", smtptest.Expired, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 3, 1, 1)} }, four(daneEE)},
		{"6 DANE-EE, self-signed", smtptest.SelfSigned, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 3, 0, 2)} }, four(daneEE)},
		{"7 DANE-EE, wrong name", smtptest.WrongName, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 3, 0, 0)} }, four(daneEE)},
		{"5 DANE-TA, expired", smtptest.Expired, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 1, 2, 0, 1)} }, four(mismatch)},
		{"7 DANE-TA, wrong name", smtptest.WrongName, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 1, 2, 0, 1)} }, four(mismatch)},
		{"8 DANE-TA, unknown CA", smtptest.UnknownCA, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 1, 2, 0, 1)} }, four(daneTA)},
		{"10 valid, and no record matches", smtptest.Valid, 0, func(tls.Certificate) []string { return []string{nobodys} }, four(mismatch)},
		{"one of two records matches", smtptest.Valid, 0, func(c tls.Certificate) []string { return []string{nobodys, tlsa(c, 0, 3, 1, 1)} }, four(daneEE)},
		{"1 STARTTLS not offered", smtptest.Valid, smtptest.TLSNotOffered, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 3, 1, 1)} }, four(deferred + "refused-not-offered")},
		{"3 handshake fails", smtptest.Valid, smtptest.TLSAlertAfterHello, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 3, 1, 1)} }, four(deferred + "refused-handshake-failed")},
		{"unusable, valid", smtptest.Valid, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 1, 1, 1)} }, four(deliveredVerified)},
		{"unusable, self-signed", smtptest.SelfSigned, 0, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 1, 1, 1)} },
			[4]string{deliveredUnverified, deliveredUnverified, deferred + "refused-verify-failed", deliveredUnverified}},
		{"unusable, not offered", smtptest.Valid, smtptest.TLSNotOffered, func(c tls.Certificate) []string { return []string{tlsa(c, 0, 1, 1, 1)} }, four(deferred + "refused-not-offered")},
	}
	for _, tt := range tests {
		for i, want := range tt.want {
			t.Run(tt.name+" "+pairNames[i], func(t *testing.T) {
				inWorld(t, standard, func(w *world) {
					cert := w.cert(tt.kind)
					w.signed(tt.records(cert)...)
					server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert, STARTTLS: tt.mode})
					got := w.attempt(job(pairFlags(i)))
					if shortly(got) != want {
						t.Errorf("%s, want %s", shortly(got), want)
					}
					checkReceiver(t, server, got, strings.HasPrefix(want, deferred) || strings.Contains(want, "dane"))
				})
			})
		}
	}
}

// A look-up that fails is no absence: the host is not contacted at all.
func TestTLSALookupFails(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.signed()
		w.dns.SetFault("_25._tcp.mx.example.test", dnssec.TLSA, dnstest.Fault{RCode: 2, EDE: 6, EDEText: "bogus"})
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		got := w.attempt(job(mail.Unset, mail.Unset))
		if shortly(got) != deferred+"refused-tlsa-lookup" || got.Session.MXHost != "mx.example.test" || got.Scope != mail.ScopePolicy {
			t.Errorf("%s on %q, scope %d", shortly(got), got.Session.MXHost, got.Scope)
		}
		if len(w.dials) != 0 {
			t.Errorf("connected to %v", w.dials)
		}
		if d := got.Session.Detail.TLSA; d == nil || d.State != "failed" || !strings.Contains(d.Error, "bogus") {
			t.Errorf("evidence %+v does not keep the extended error", d)
		}
	})
}

// A host in an unsigned zone is not asked for TLSA records, which some of their
// name servers answer with an error (RFC 7672 section 2.2.2).
func TestNoTLSAQuestionInUnsignedZones(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.d.cfg.DANE = dane.New(w.dns.Resolver(w.t), 25)
		w.dns.SetFault("_25._tcp.mx.example.test", dnssec.TLSA, dnstest.Fault{RCode: 2})
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		if got := w.attempt(job(mail.Unset, mail.Unset)); shortly(got) != deliveredVerified {
			t.Error(shortly(got))
		}
		if n := w.dns.Count("_25._tcp.mx.example.test", dnssec.TLSA); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

// The evidence of a DANE delivery names the record that matched, and what PKIX has
// to say beside it.
func TestDANEEvidence(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		cert := w.cert(smtptest.Expired)
		w.signed(tlsa(cert, 0, 3, 1, 1), nobodys)
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
		d := w.attempt(job(mail.Unset, mail.True)).Session.Detail
		if d.Requirement != "D" || d.RequirementSource != "dane" || d.MXAuthenticated != "dnssec" || d.Verification != "dane-ee" || !d.VerificationEnforced {
			t.Errorf("evidence %+v", d)
		}
		if !slices.Equal(d.VerifyErrors, []string{"expired"}) {
			t.Errorf("verify-errors %v", d.VerifyErrors)
		}
		if d.TLSA == nil || d.TLSA.State != "usable" || d.TLSA.Base != "mx.example.test" || d.TLSA.Count != 2 || d.TLSA.Usable != 2 || !strings.HasPrefix(d.TLSA.Matched, "3 1 1 ") {
			t.Errorf("records %+v", d.TLSA)
		}
	})
}

// Records that are only audited decide nothing; that one matches is told all the same.
func TestAuditedMatchIsTold(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		cert := w.cert(smtptest.SelfSigned)
		w.signed(tlsa(cert, 0, 3, 1, 1))
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
		for _, flags := range []struct {
			skip mail.Tri
			want string
		}{
			{mail.True, "delivered tls=true verified=true verified-dane-ee"},
			{mail.Unset, inPlaintext + "plaintext-verify-failed"},
		} {
			j := job(mail.Unset, flags.skip)
			j.Settings.DANE, j.Settings.PolicyUntil = mail.Audit, time.Now().Add(time.Hour)
			got := w.attempt(j)
			if d := got.Session.Detail; shortly(got) != flags.want || d.RequirementSource != "sender" || d.TLSA == nil || d.TLSA.Mode != "audit" {
				t.Errorf("%s by %s, records %+v", shortly(got), d.RequirementSource, d.TLSA)
			}
		}
	})
}

// A connection is compared with the records of each message: when they change while
// it is open, it is not used for what they no longer match.
func TestPoolFollowsTLSA(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		cert := w.cert(smtptest.Valid)
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
		w.signed(tlsa(cert, 0, 3, 1, 1))
		for range 2 {
			if got := w.attempt(job(mail.Unset, mail.Unset)); got.Session.Detail.Result != "verified-dane-ee" {
				t.Fatal(shortly(got))
			}
		}
		if len(w.dials) != 1 {
			t.Fatalf("%d connections for two messages", len(w.dials))
		}
		w.signed(nobodys)
		if got := w.attempt(job(mail.Unset, mail.Unset)); shortly(got) != deferred+"refused-dane-mismatch" {
			t.Errorf("after the change: %s", shortly(got))
		}
		w.signed()
		if got := w.attempt(job(mail.Unset, mail.Unset)); shortly(got) != deliveredVerified || !got.Session.Detail.Reused {
			t.Errorf("without records: %s, reused %t", shortly(got), got.Session.Detail.Reused)
		}
		if n := len(server.Accepted()); n != 3 {
			t.Errorf("%d messages accepted", n)
		}
	})
}

// A published is an STS with a policy for every domain.
type published struct {
	policy, rechecked mtasts.Result
	asked, rechecks   int
}

func (p *published) Policy(context.Context, string) mtasts.Result { p.asked++; return p.policy }
func (p *published) Recheck(context.Context, string) mtasts.Result {
	p.rechecks++
	return p.rechecked
}

func policyOf(state tlspolicy.STS, mode mtasts.Mode, mx ...string) mtasts.Result {
	return mtasts.Result{State: state, Policy: mtasts.Policy{ID: "1", Mode: mode, MX: mx, Lines: []string{"version: STSv1"}}}
}

// The column of an enforced MTA-STS policy, and testing beside it.
func TestMTASTS(t *testing.T) {
	enforce := policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "mx.example.test")
	inTesting := policyOf(tlspolicy.STSTesting, mtasts.Testing, "mx.example.test")
	tests := []struct {
		name   string
		policy mtasts.Result
		kind   smtptest.CertKind
		mode   smtptest.STARTTLSMode
		want   [4]string
	}{
		{"enforce, valid", enforce, smtptest.Valid, 0, four(deliveredVerified)},
		{"enforce, wrong name", enforce, smtptest.WrongName, 0, four(deferred + "refused-verify-failed")},
		{"enforce, not offered", enforce, smtptest.Valid, smtptest.TLSNotOffered, four(deferred + "refused-not-offered")},
		{"enforce, old TLS", enforce, smtptest.Valid, smtptest.TLSOld, four(deferred + "refused-handshake-failed")},
		{"enforce by wildcard", policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "*.example.test"), smtptest.Valid, 0, four(deliveredVerified)},
		{"testing, wrong name", inTesting, smtptest.WrongName, 0, badCert},
		{"none, wrong name", policyOf(tlspolicy.STSNone, mtasts.None), smtptest.WrongName, 0, badCert},
	}
	for _, tt := range tests {
		for i, want := range tt.want {
			t.Run(tt.name+" "+pairNames[i], func(t *testing.T) {
				inWorld(t, standard, func(w *world) {
					w.d.cfg.STS = &published{policy: tt.policy}
					w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(tt.kind), STARTTLS: tt.mode})
					if got := w.attempt(job(pairFlags(i))); shortly(got) != want {
						t.Errorf("%s, want %s", shortly(got), want)
					}
				})
			})
		}
	}
}

// A host that the policy does not list is not contacted; the policy is looked at
// again first, since the one that is kept may be old (RFC 8461 section 5).
func TestMXNotListed(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		old := policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "mx.elsewhere.test")
		sts := &published{policy: old, rechecked: old}
		sts.rechecked.Cached = true // since the first question, which fetched it
		w.d.cfg.STS = sts
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		got := w.attempt(job(mail.Unset, mail.Unset))
		if shortly(got) != deferred+"refused-sts-mx" || got.Session.MXHost != "mx.example.test" || got.Reply.Enhanced != "4.7.5" || len(w.dials) != 0 {
			t.Errorf("%s: %s, dials %v", shortly(got), got.Reply, w.dials)
		}
		if s := got.Session.Detail.STS; s == nil || s.State != "enforce" || s.ID != "1" || s.Listed == nil || *s.Listed || s.Cached {
			t.Errorf("evidence %+v", s)
		}
		sts.rechecked = policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "mx.example.test")
		if got := w.attempt(job(mail.Unset, mail.Unset)); shortly(got) != deliveredVerified || sts.rechecks != 2 {
			t.Errorf("with the new policy: %s after %d rechecks", shortly(got), sts.rechecks)
		}
	})
}

// Both policies must hold, unless the domain says that DANE is enough.
func TestDANEAndMTASTS(t *testing.T) {
	for _, suffices := range []bool{false, true} {
		inWorld(t, standard, func(w *world) {
			cert := w.cert(smtptest.SelfSigned)
			w.signed(tlsa(cert, 0, 3, 1, 1))
			w.d.cfg.STS = &published{policy: policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "mx.example.test")}
			w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
			j := job(mail.Unset, mail.Unset)
			j.Settings.DANESuffices = suffices
			want := deferred + "refused-verify-failed"
			if suffices {
				want = "delivered tls=true verified=true verified-dane-ee"
			}
			if got := w.attempt(j); shortly(got) != want {
				t.Errorf("dane-satisfies-mta-sts=%t: %s", suffices, shortly(got))
			}
		})
	}
}

// RFC 8689 on the wire: what is sent where, and what the sender is told.
func TestREQUIRETLS(t *testing.T) {
	plain := smtptest.DefaultExtensions()
	with := append(smtptest.DefaultExtensions(), "REQUIRETLS")
	tests := []struct {
		name           string
		secure, hop    bool
		before, inside []string // EHLO before and inside TLS
		kind           smtptest.CertKind
		mode           smtptest.STARTTLSMode
		want           string
		reply          string
		param          bool
	}{
		{"announced inside TLS", true, false, plain, with, smtptest.Valid, 0, deliveredVerified, "", true},
		{"announced before TLS only", true, false, with, plain, smtptest.Valid, 0, "bounced tls=false verified=false refused-requiretls", "550 5.7.30", false},
		{"not announced", true, false, plain, plain, smtptest.Valid, 0, "bounced tls=false verified=false refused-requiretls", "550 5.7.30", false},
		{"MX host not found securely", false, false, plain, with, smtptest.Valid, 0, "bounced tls=false verified=false refused-requiretls", "550 5.7.30", false},
		{"no STARTTLS", true, false, plain, with, smtptest.Valid, smtptest.TLSNotOffered, "bounced tls=false verified=false refused-not-offered", "550 5.7.10", false},
		{"not verified", true, false, plain, with, smtptest.WrongName, 0, "bounced tls=false verified=false refused-verify-failed", "550 5.7.10", false},
		{"hop: announced", false, true, plain, with, smtptest.Valid, 0, deliveredVerified, "", true},
		{"hop: not announced", false, true, plain, plain, smtptest.Valid, 0, deliveredVerified, "", false},
		{"hop: not verified", false, true, plain, with, smtptest.WrongName, 0, deferred + "refused-verify-failed", "450 4.7.5", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				if tt.secure {
					w.signed()
				}
				server := w.serve("192.0.2.1", smtptest.Behaviour{
					Certificate: w.cert(tt.kind), STARTTLS: tt.mode, Extensions: tt.before, TLSExtensions: tt.inside,
				})
				j := job(mail.Unset, mail.True) // verification cannot be skipped
				j.Envelope.RequireTLS, j.Settings.RequireTLSHop = true, tt.hop
				// A header field that says otherwise is nothing beside the extension.
				j.Envelope.TLSOptional = true
				got := w.attempt(j)
				if shortly(got) != tt.want || !strings.HasPrefix(got.Reply.String(), tt.reply) {
					t.Errorf("%s: %s", shortly(got), got.Reply)
				}
				if m := server.Accepted(); len(m) > 0 && strings.Contains(m[0].Params, "REQUIRETLS") != tt.param {
					t.Errorf("sent %q", m[0].Params)
				}
			})
		})
	}
}

// REQUIRETLS fails for good only when every host failed for TLS.
func TestREQUIRETLSWithAHostAway(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.signed("@ MX 20 mx2\nmx2 A 192.0.2.2")
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		j := job(mail.Unset, mail.Unset)
		j.Envelope.RequireTLS = true
		if got := w.attempt(j); got.Outcome != mail.Deferred {
			t.Errorf("%s: %s", shortly(got), got.Reply)
		}
	})
}

// TLS-Required: No sets the recipient's policies aside, and not the sender's flags.
func TestTLSOptional(t *testing.T) {
	want := [4]string{deliveredUnverified, deliveredUnverified, deferred + "refused-verify-failed", deliveredUnverified}
	for i := range want {
		inWorld(t, standard, func(w *world) {
			w.signed(nobodys)
			w.d.cfg.STS = &published{policy: policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "mx.elsewhere.test")}
			w.d.cfg.STS.(*published).rechecked = w.d.cfg.STS.(*published).policy
			w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.SelfSigned)})
			j := job(pairFlags(i))
			j.Envelope.TLSOptional = true
			got := w.attempt(j)
			if shortly(got) != want[i] || got.Session.Detail.Marking != "tls-required-no" {
				t.Errorf("%s: %s, marking %q", pairNames[i], shortly(got), got.Session.Detail.Marking)
			}
		})
	}
}

// observations is a Reporter that keeps what it is told.
type observations struct {
	mu   sync.Mutex
	list []tlsresult.Observation
}

func (o *observations) Observe(x tlsresult.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, x)
}

func (o *observations) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for _, x := range o.list {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", x.Policy.Type, x.Policy.Domain, x.MXHost, x.Type, x.Reason)))
	}
	return lines
}

// RFC 8460: one observation a session and policy, failures too when plaintext
// delivers, none for a used connection, none about reports.
func TestObservations(t *testing.T) {
	inTesting := policyOf(tlspolicy.STSTesting, mtasts.Testing, "mx.example.test")
	tests := []struct {
		name    string
		records bool
		sts     mtasts.Result
		kind    smtptest.CertKind
		change  func(*mail.Job)
		want    []string
	}{
		{"nothing published", false, mtasts.Result{}, smtptest.Valid, nil, []string{"no-policy-found example.test mx.example.test"}},
		{"plaintext delivers", false, mtasts.Result{}, smtptest.Expired, nil, []string{"no-policy-found example.test mx.example.test certificate-expired"}},
		{"two policies, two domains", true, inTesting, smtptest.Expired, nil, []string{
			"tlsa mx.example.test mx.example.test", "sts example.test mx.example.test certificate-expired"}},
		{"not listed", false, policyOf(tlspolicy.STSEnforce, mtasts.Enforce, "mx.elsewhere.test"), smtptest.Valid, nil, []string{
			"sts example.test mx.example.test validation-failure mtasts-policy-mx-mismatch"}},
		{"a report", false, inTesting, smtptest.Valid, func(j *mail.Job) { j.Envelope.Report = true }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				cert := w.cert(tt.kind)
				if tt.records {
					w.signed(tlsa(cert, 0, 3, 1, 1))
				}
				seen := &observations{}
				w.d.cfg.STS, w.d.cfg.Reporter = &published{policy: tt.sts, rechecked: tt.sts}, seen
				w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert})
				j := job(mail.Unset, mail.Unset)
				if tt.change != nil {
					tt.change(&j)
				}
				w.attempt(j)
				if got := seen.lines(); !slices.Equal(got, tt.want) {
					t.Errorf("observed %q, want %q", got, tt.want)
				}
				if tt.name == "nothing published" {
					w.attempt(j)
					if got := seen.lines(); len(got) != 1 {
						t.Errorf("a used connection was observed again: %q", got)
					}
				}
			})
		})
	}
}

// The check shows what the recipient published and what that makes of the flags.
func TestCheckShowsPolicies(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		cert := w.cert(smtptest.SelfSigned)
		w.signed(tlsa(cert, 0, 3, 1, 1))
		w.d.cfg.STS = &published{policy: policyOf(tlspolicy.STSTesting, mtasts.Testing, "mx.example.test")}
		w.d.cfg.ReportsWanted = func(context.Context, string) ([]string, error) { return []string{"mailto:tls@example.test"}, nil }
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: cert, TLSExtensions: []string{"REQUIRETLS"}})
		c := w.d.Check(w.t.Context(), "example.test")
		synctest.Wait()
		if c.STS == nil || c.STS.State != "testing" || len(c.STS.MX) != 1 || c.TLSRPT == nil || len(c.TLSRPT.RUA) != 1 {
			t.Errorf("mta-sts %+v, tls-rpt %+v", c.STS, c.TLSRPT)
		}
		if len(c.Hosts) != 1 || !c.Hosts[0].REQUIRETLS || len(c.Hosts[0].TLSA) != 1 {
			t.Fatalf("hosts %+v", c.Hosts)
		}
		for _, o := range c.Outcomes {
			if o.Class != "D" || o.Source != "dane" || o.Delivery != "verified" {
				t.Errorf("outcome %+v", o)
			}
		}
		w.signed(nobodys)
		for _, o := range w.d.Check(w.t.Context(), "example.test").Outcomes {
			if o.Delivery != "not-delivered" || o.Result != tlspolicy.RefusedDANEMismatch {
				t.Errorf("with a record that matches nothing: %+v", o)
			}
		}
	})
}
