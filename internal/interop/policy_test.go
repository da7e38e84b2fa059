package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/realmta"
)

// flags are a message's two flags.
type flags struct{ requireTLS, skipVerification bool }

func (f flags) String() string { return yesNo(f.requireTLS) + "-" + yesNo(f.skipVerification) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// allFlags are the four pairs, in the order of the tables: OV, OA, RV, RA.
func allFlags() []flags {
	return []flags{{false, false}, {false, true}, {true, false}, {true, true}}
}

// An expectation is what must come of one message.
type expectation struct {
	delivered, tls, verified bool
	result, fallback         string
}

// expectations has a row for each kind of receiver, and in it a column for each pair of flags.
func expectations() map[string][]expectation {
	verified := expectation{true, true, true, "verified-pkix", "none"}
	unverified := expectation{true, true, false, "unverified", "none"}
	plaintext := expectation{true, false, false, "plaintext-not-offered", "none"}
	notOffered := expectation{false, false, false, "refused-not-offered", ""}
	badCertificate := expectation{false, false, false, "refused-verify-failed", ""}
	return map[string][]expectation{
		"valid":       {verified, verified, verified, verified},
		"self-signed": {{true, false, false, "plaintext-verify-failed", "plaintext"}, unverified, badCertificate, unverified},
		"no-tls":      {plaintext, plaintext, notOffered, notOffered},
		// Row 14: it takes no mail without TLS, and its certificate does not verify. A sender who accepts
		// plaintext gets the best that there is.
		"demands-tls": {{true, true, false, "unverified", "tls-unverified-after-plaintext-refused"}, unverified, badCertificate, unverified},
	}
}

func TestFlagsAgainstRealReceivers(t *testing.T) {
	t.Parallel()
	var receivers []receiver
	for _, mta := range []string{"postfix", "exim"} {
		receivers = append(receivers,
			receiver{mta: mta, label: "valid", cert: validCert},
			receiver{mta: mta, label: "self-signed", cert: selfSigned},
			receiver{mta: mta, label: "no-tls", cert: noTLS},
			receiver{mta: mta, label: "demands-tls", cert: selfSigned, requireTLS: true},
		)
	}
	r := newRig(t, receivers...)
	servers := r.startAll(t, receivers)
	for _, v := range receivers {
		t.Run(v.name(), func(t *testing.T) {
			t.Parallel()
			server := servers[v.name()]
			// One after the other, so that flags find the connections that others have left
			// behind; then all at once.
			want, pairs := expectations()[v.label], allFlags()
			for round, i := range []int{0, 1, 2, 3, 0, 3, 1} {
				m := r.submit(t, v, pairs[i], fmt.Sprintf("round-%d", round))
				r.check(t, v, server, m, want[i])
			}
			var together []submitted
			for _, f := range pairs {
				together = append(together, r.submit(t, v, f, "together"))
			}
			for i, m := range together {
				r.check(t, v, server, m, want[i])
			}
			r.checkRest(t, v, server)
		})
	}
}

// submitted is a message on its way.
type submitted struct{ id, recipient string }

// submit sends a message with the given flags.
func (r *rig) submit(t *testing.T, v receiver, f flags, round string) submitted {
	t.Helper()
	return r.submitTo(t, f.String()+"-"+round+"@"+v.domain(), f)
}

// submitTo sends a message with the given flags to a recipient.
func (r *rig) submitTo(t *testing.T, recipient string, f flags) submitted {
	t.Helper()
	id := r.send(t,
		part{name: "from", value: "app@" + sendingDomain}, part{name: "to", value: recipient},
		part{name: "subject", value: recipient}, part{name: "text", value: "For " + recipient + ".\n"},
		part{name: "o:require-tls", value: yesNo(f.requireTLS)}, part{name: "o:skip-verification", value: yesNo(f.skipVerification)},
	)
	return submitted{id, recipient}
}

// check asks all witnesses what came of a message.
func (r *rig) check(t *testing.T, v receiver, server *realmta.Server, m submitted, want expectation) {
	t.Helper()
	o := r.outcome(t, m.id, m.recipient)
	complain := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s\nevent: %+v", m.recipient, fmt.Sprintf(format, args...), o)
	}
	if o.delivered() != want.delivered {
		complain("delivered: got %v, want %v", o.delivered(), want.delivered)
		return
	}
	st, detail := o.Status, o.Status.Detail
	if st.TLS == nil || *st.TLS != want.tls {
		complain("tls: want %v", want.tls)
	}
	if st.CertificateVerified == nil || *st.CertificateVerified != want.verified {
		complain("certificate-verified: want %v", want.verified)
	}
	if st.MXHost == nil || *st.MXHost != v.mx() {
		complain("mx-host: want %s", v.mx())
	}
	if detail.Result != want.result {
		complain("tls-detail.result: got %q, want %q", detail.Result, want.result)
	}
	if detail.Fallback != want.fallback {
		complain("tls-detail.fallback: got %q, want %q", detail.Fallback, want.fallback)
	}
	if wantReason := want.fallback != "none" && want.fallback != ""; (detail.FallbackReason != "") != wantReason {
		complain("tls-detail.fallback-reason: got %q", detail.FallbackReason)
	}
	if v.cert == selfSigned && !slices.Contains(detail.VerifyErrors, "self-signed") {
		complain("tls-detail.verify-errors: got %q, want it to hold self-signed", detail.VerifyErrors)
	}
	if !want.delivered {
		if o.Severity != "temporary" || st.Code < 400 || st.Code > 499 {
			complain("a refusal for its TLS must be temporary")
		}
		if got := stored(t, server, m.recipient); len(got) != 0 {
			complain("the receiver has it")
		}
		return
	}
	checkArrival(t, v, server, o)
}

// checkArrival compares our event with the receiver's mailbox and log.
func checkArrival(t *testing.T, v receiver, server *realmta.Server, o outcome) {
	t.Helper()
	m := arrived(t, server, o.Recipient)
	received := parseReceived(t, m)
	if received.tls != *o.Status.TLS || received.cipher != cipherOf(o) {
		t.Errorf("%s: event says tls=%v cipher=%q, Received says %q", o.Recipient, *o.Status.TLS, o.Status.Detail.Cipher, m.Received())
	}
	session := logged(t, v.mta, server.Log(), received.id)
	if session.tls != *o.Status.TLS || session.cipher != cipherOf(o) {
		t.Errorf("%s: event says tls=%v cipher=%q, the receiver's log says %+v", o.Recipient, *o.Status.TLS, o.Status.Detail.Cipher, session)
	}
	if !strings.Contains(string(m.Data), "\nSubject: "+o.Recipient+"\n") || !strings.HasSuffix(string(m.Data), "\n\nFor "+o.Recipient+".\n") {
		t.Errorf("%s: arrived as %q", o.Recipient, m.Data)
	}
	if !strings.HasSuffix(m.ReversePath, "@"+sendingDomain) {
		t.Errorf("%s: reverse-path: got %q, want one of %s", o.Recipient, m.ReversePath, sendingDomain)
	}
}

// cipherOf is the cipher of the session that carried the message. An event about
// plaintext may tell the cipher of the connection abandoned before; that one carried nothing.
func cipherOf(o outcome) string {
	if o.Status.TLS == nil || !*o.Status.TLS {
		return ""
	}
	return bulkCipher(o.Status.Detail.Cipher)
}

// checkRest makes sure that the receiver has nothing that our events do not tell of, and
// has never heard of a recipient whose message was held back.
func (r *rig) checkRest(t *testing.T, v receiver, server *realmta.Server) {
	t.Helper()
	log := server.Log()
	delivered := 0
	for _, o := range r.events(t, "") {
		if !strings.HasSuffix(o.Recipient, "@"+v.domain()) {
			continue
		}
		switch {
		case o.delivered():
			delivered++
		case o.Event == "failed" && strings.Contains(log, o.Recipient):
			t.Errorf("%s was not delivered, but the receiver's log names it", o.Recipient)
		}
	}
	if got := taken(v.mta, log); got != delivered {
		t.Errorf("the receiver's log tells of %d messages, our events of %d", got, delivered)
	}
	if got, err := server.Messages(); err != nil || len(got) != delivered {
		t.Errorf("the mailbox has %d messages (%v), our events tell of %d", len(got), err, delivered)
	}
}
