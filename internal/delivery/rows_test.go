package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// What one message meets with one server under the four pairs of flags. The
// values are the contract's: outcome, tls, certificate-verified and result.
const (
	deliveredVerified   = "delivered tls=true verified=true verified-pkix"
	deliveredUnverified = "delivered tls=true verified=false unverified"
	deferred            = "deferred tls=false verified=false "  // + refused-…
	inPlaintext         = "delivered tls=false verified=false " // + plaintext-…
)

// A row is a server behaviour with what is expected of (f,f), (f,t), (t,f), (t,t):
// the report, the number of connections, and the verify-errors where TLS came about.
type row struct {
	name  string
	serve func(w *world) smtptest.Behaviour
	want  [4]string
	conns [4]int
	errs  string
}

func withCert(kind smtptest.CertKind) func(w *world) smtptest.Behaviour {
	return func(w *world) smtptest.Behaviour { return smtptest.Behaviour{Certificate: w.cert(kind)} }
}

func withMode(mode smtptest.STARTTLSMode, reply string) func(w *world) smtptest.Behaviour {
	return func(w *world) smtptest.Behaviour {
		return smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), STARTTLS: mode, STARTTLSReply: reply}
	}
}

// all is one expectation for classes that may fall back to plaintext and one for
// those that may not.
func plainOrNot(plain, refused string) [4]string {
	return [4]string{inPlaintext + plain, inPlaintext + plain, deferred + refused, deferred + refused}
}

// badCert is the expectation for every certificate that does not verify.
var badCert = [4]string{inPlaintext + "plaintext-verify-failed", deliveredUnverified, deferred + "refused-verify-failed", deliveredUnverified}

var (
	once        = [4]int{1, 1, 1, 1}
	freshPlain  = [4]int{2, 2, 1, 1} // handshake, then plaintext on a fresh connection
	onlyFFAgain = [4]int{2, 1, 1, 1}
	smallFirst  = [4]int{3, 3, 2, 2} // large hello, small hello, then plaintext
)

// rowClosesAfter220 races: the server may be gone before the ClientHello is written.
const rowClosesAfter220 = "3 closes after 220"

var rows = []row{
	{"valid", withCert(smtptest.Valid), [4]string{deliveredVerified, deliveredVerified, deliveredVerified, deliveredVerified}, once, ""},
	{"starttls in lower case", withMode(smtptest.TLSLowerCase, ""), [4]string{deliveredVerified, deliveredVerified, deliveredVerified, deliveredVerified}, once, ""},
	{"1 STARTTLS not offered", withMode(smtptest.TLSNotOffered, ""), plainOrNot("plaintext-not-offered", "refused-not-offered"), once, ""},
	{"1 STARTTLS only in the host's name", withMode(smtptest.TLSOnlyInName, ""), plainOrNot("plaintext-not-offered", "refused-not-offered"), once, ""},
	{"2 STARTTLS answered 454", withMode(smtptest.TLSReject, "454 4.7.0 not now"), plainOrNot("plaintext-starttls-rejected", "refused-starttls-rejected"), once, ""},
	{"2 STARTTLS answered 502", withMode(smtptest.TLSReject, "502 5.5.1 no"), plainOrNot("plaintext-starttls-rejected", "refused-starttls-rejected"), once, ""},
	{"2 STARTTLS answered 554", withMode(smtptest.TLSReject, "554 5.7.0 never"), plainOrNot("plaintext-starttls-rejected", "refused-starttls-rejected"), once, ""},
	{"2 STARTTLS answered 421", withMode(smtptest.TLSReject, "421 4.3.2 bye"), plainOrNot("plaintext-starttls-rejected", "refused-starttls-rejected"), freshPlain, ""},
	{"2 STARTTLS closes", withMode(smtptest.TLSCloseOnCommand, ""), plainOrNot("plaintext-starttls-rejected", "refused-starttls-rejected"), freshPlain, ""},
	{rowClosesAfter220, withMode(smtptest.TLSCloseAfter220, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), smallFirst, ""},
	{"3 closes after ClientHello", withMode(smtptest.TLSCloseAfterHello, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), smallFirst, ""},
	{"3 garbage", withMode(smtptest.TLSGarbage, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), freshPlain, ""},
	{"3 alert", withMode(smtptest.TLSAlertAfterHello, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), freshPlain, ""},
	{"3 large hello reset, small one taken", withMode(smtptest.TLSResetBigHello, ""), [4]string{deliveredVerified, deliveredVerified, deliveredVerified, deliveredVerified}, [4]int{2, 2, 2, 2}, ""},
	{"4 stalls", withMode(smtptest.TLSStall, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), smallFirst, ""},
	{"4 stalls after ServerHello", withMode(smtptest.TLSStallAfterServer, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), freshPlain, ""},
	{"4 large hello stalls, small one taken", withMode(smtptest.TLSStallBigHello, ""), [4]string{deliveredVerified, deliveredVerified, deliveredVerified, deliveredVerified}, [4]int{2, 2, 2, 2}, ""},
	{"5 expired", withCert(smtptest.Expired), badCert, onlyFFAgain, "expired"},
	{"5 not yet valid", withCert(smtptest.NotYetValid), badCert, onlyFFAgain, "not-yet-valid"},
	{"6 self-signed", withCert(smtptest.SelfSigned), badCert, onlyFFAgain, "self-signed"},
	{"7 wrong name", withCert(smtptest.WrongName), badCert, onlyFFAgain, "name-mismatch"},
	{"8 unknown CA", withCert(smtptest.UnknownCA), badCert, onlyFFAgain, "unknown-ca"},
	{"8 incomplete chain", withCert(smtptest.IncompleteChain), badCert, onlyFFAgain, "incomplete-chain"},
	{"11 TLS 1.1 only", withMode(smtptest.TLSOld, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), freshPlain, ""},
	{"16 late rejection", withMode(smtptest.TLSLateRejection, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), freshPlain, ""},
	{"16 closes after the handshake", withMode(smtptest.TLSLateClose, ""), plainOrNot("plaintext-handshake-failed", "refused-handshake-failed"), freshPlain, ""},
}

var pairNames = [4]string{"f,f", "f,t", "t,f", "t,t"}

func pairFlags(i int) (require, skip mail.Tri) { return mail.TriOf(i >= 2), mail.TriOf(i%2 == 1) }

// SEC-49, REL-50: delivered level == decided level == logged level, and the
// receiver saw the same.
func TestRows(t *testing.T) {
	for _, r := range rows {
		for i, pair := range pairNames {
			t.Run(r.name+"/"+pair, func(t *testing.T) {
				inWorld(t, standard, func(w *world) {
					server := w.serve("192.0.2.1", r.serve(w))
					got := w.attempt(job(pairFlags(i)))
					if s := shortly(got); s != r.want[i] {
						t.Fatalf("%s\nwant %s\nreply %s\ndetail %+v", s, r.want[i], got.Reply, got.Session.Detail)
					}
					checkReceiver(t, server, got, i >= 2)
					conns := len(server.Connections())
					if r.name == rowClosesAfter220 && conns == r.conns[i]-1 {
						conns++ // closed before any of the hello was read: size is not to blame, nothing to retry
					} else if n := len(got.Session.Detail.Attempts); n != conns-1 {
						t.Errorf("%d abandoned connections in the evidence, want %d: %+v", n, conns-1, got.Session.Detail.Attempts)
					}
					if conns != r.conns[i] {
						t.Errorf("%d connections, want %d", conns, r.conns[i])
					}
					checkEvidence(t, got, r, i)
				})
			})
		}
	}
}

// checkReceiver compares the report with what the receiver saw.
func checkReceiver(t *testing.T, server *smtptest.Server, got mail.RecipientResult, required bool) {
	t.Helper()
	accepted := server.Accepted()
	if (got.Outcome == mail.Delivered) != (len(accepted) == 1) || len(accepted) > 1 {
		t.Fatalf("%s, but the receiver accepted %d messages", got.Outcome, len(accepted))
	}
	for _, m := range accepted {
		if m.TLS != got.Session.TLS {
			t.Errorf("logged tls=%t, the receiver saw %t", got.Session.TLS, m.TLS)
		}
		if string(m.Content) != content {
			t.Errorf("content arrived as %q", m.Content)
		}
	}
	for _, c := range server.Connections() {
		if required && c.PlaintextMail() {
			t.Error("MAIL in plaintext although TLS is required") // T11
		}
		if c.SNI != "" && c.SNI != "mx.example.test" {
			t.Errorf("SNI %q", c.SNI)
		}
		if c.TLS && slices.Contains(c.Verbs(), "AUTH") {
			t.Error("AUTH was sent")
		}
	}
}

// checkEvidence checks what the log keeps besides the three fields.
func checkEvidence(t *testing.T, got mail.RecipientResult, r row, pair int) {
	t.Helper()
	s := got.Session
	if s.MXHost != "mx.example.test" {
		t.Errorf("mx-host %q", s.MXHost)
	}
	d := s.Detail
	if want := [4]string{"OV", "OA", "RV", "RA"}[pair]; d.Requirement != want || d.RequirementSource != "sender" {
		t.Errorf("requirement %s by %s, want %s by sender", d.Requirement, d.RequirementSource, want)
	}
	if errs := strings.Join(d.VerifyErrors, ","); errs != r.errs {
		t.Errorf("verify-errors %q, want %q", errs, r.errs)
	}
	if got.Outcome == mail.Deferred {
		if got.Scope != mail.ScopePolicy || !got.Reply.Local || got.Reply.Code != 450 || got.Reason != "generic" {
			t.Errorf("refusal %+v", got)
		}
		if want := map[bool]string{true: "4.7.5", false: "4.7.10"}[strings.HasPrefix(d.Result, "refused-verify")]; got.Reply.Enhanced != want {
			t.Errorf("enhanced code %s, want %s", got.Reply.Enhanced, want)
		}
	}
	if s.TLS && (d.Version == "" || d.Cipher == "" || d.CertSHA256 == "" || d.SPKISHA256 == "" || d.CertNotAfter == nil || d.Handshake != "completed") {
		t.Errorf("evidence of the session is incomplete: %+v", d)
	}
	plainFresh := !s.TLS && got.Outcome == mail.Delivered && r.conns[pair] > 1
	if want := map[bool]string{true: "plaintext", false: "none"}[plainFresh]; got.Outcome == mail.Delivered && d.Fallback != want && d.Fallback != "small-hello" {
		t.Errorf("fallback %q, want %q", d.Fallback, want)
	}
}

// Row 14: the server's certificate does not verify, and it takes no plaintext. A
// sender who accepts plaintext gets TLS instead of a bounce.
func TestPlaintextRefused(t *testing.T) {
	replies := []string{"530 5.7.0 Must issue a STARTTLS command first", "550 5.7.10 Encryption required by recipient", "451 4.7.1 TLS needed"}
	for _, reply := range replies {
		t.Run(reply[:9], func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.SelfSigned), RequireTLS: true, RequireTLSReply: reply})
				got := w.attempt(job(mail.Unset, mail.Unset))
				if s := shortly(got); s != deliveredUnverified {
					t.Fatalf("%s: %s", s, got.Reply)
				}
				d := got.Session.Detail
				if d.Fallback != "tls-unverified-after-plaintext-refused" || len(d.Attempts) != 2 {
					t.Errorf("fallback %q, %d abandoned", d.Fallback, len(d.Attempts))
				}
				conns := server.Connections()
				if n := len(conns); n != 3 {
					t.Fatalf("%d connections, want TLS, plaintext, TLS", n)
				}
				// Nothing of the content was said in the clear.
				if got, want := fmt.Sprint(conns[1].Verbs()), "[EHLO MAIL RCPT QUIT]"; got != want {
					t.Errorf("commands in plaintext: %s, want %s", got, want)
				}
				checkReceiver(t, server, got, false)
			})
		})
	}
}

// Row 14 without a certificate to blame: TLS cannot be had and plaintext is not
// taken. That is nobody's permanent failure.
func TestPlaintextRefusedWithoutTLS(t *testing.T) {
	for i := range 2 {
		t.Run(pairNames[i], func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				w.serve("192.0.2.1", smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered, RequireTLS: true})
				got := w.attempt(job(pairFlags(i)))
				if s := shortly(got); s != deferred+"refused-not-offered" {
					t.Errorf("%s: %s", s, got.Reply)
				}
			})
		})
	}
}

// Row 12: STARTTLS is gone from a host that had it.
func TestDowngrade(t *testing.T) {
	for _, protect := range []bool{false, true} {
		t.Run(fmt.Sprintf("defer=%t", protect), func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				w.peers.NoteTLS("mx.example.test")
				w.serve("192.0.2.1", smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
				j := job(mail.Unset, mail.Unset)
				j.Settings.DeferDowngrade = protect
				got := w.attempt(j)
				want := inPlaintext + "plaintext-not-offered"
				if protect {
					want = deferred + "refused-not-offered"
				}
				if s := shortly(got); s != want || !got.Session.Detail.DowngradeSuspected || w.peers.downgrades != 1 {
					t.Errorf("%s, downgrade-suspected %t, noted %d times", s, got.Session.Detail.DowngradeSuspected, w.peers.downgrades)
				}
			})
		})
	}
}

// A host that completed a handshake is remembered as one that can.
func TestHandshakeIsRemembered(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.SelfSigned)})
		w.attempt(job(mail.Unset, mail.True))
		if !w.peers.SeenTLS("mx.example.test") {
			t.Error("not remembered")
		}
	})
}

// Row 13: octets behind the 220 are thrown away and recorded; certificates decide.
func TestInjection(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), Inject: "250-mx\r\n250 AUTH PLAIN\r\n"})
		got := w.attempt(job(mail.True, mail.Unset))
		if s := shortly(got); s != deliveredVerified || !got.Session.Detail.StartTLSInjection {
			t.Errorf("%s, injection %t", s, got.Session.Detail.StartTLSInjection)
		}
	})
}

// Extensions offered before TLS are forgotten inside it (mistake 2).
func TestExtensionsAreForgotten(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{
			Certificate: w.cert(smtptest.Valid), Extensions: []string{"SIZE 1000", "CHUNKING", "PIPELINING", "SMTPUTF8"}, TLSExtensions: []string{},
		})
		got := w.attempt(job(mail.Unset, mail.Unset))
		if got.Outcome != mail.Delivered || got.Session.UTF8 {
			t.Fatalf("%s, utf8 %t", shortly(got), got.Session.UTF8)
		}
		if m := server.Accepted()[0]; m.Chunked || strings.Contains(m.Params, "SIZE") {
			t.Errorf("used extensions from before TLS: %+v", m)
		}
	})
}

// on-unverified=encrypt: TLS instead of plaintext, by the domain's choice.
func TestEncryptUnverified(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Expired)})
		j := job(mail.Unset, mail.Unset)
		j.Settings.EncryptUnverified = true
		if s := shortly(w.attempt(j)); s != deliveredUnverified {
			t.Error(s)
		}
	})
}
