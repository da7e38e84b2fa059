package tlspolicy

import (
	"testing"

	"github.com/sealpost/sealpost/internal/tlsresult"
)

// under returns the result under one kind of policy.
func under(list []tlsresult.Result, p tlsresult.PolicyType) (tlsresult.Result, bool) {
	for _, r := range list {
		if r.Policy == p {
			return r, true
		}
	}
	return tlsresult.Result{}, false
}

// The sentences about reports. Each is checked for every fact and every session.
var resultSentences = []struct {
	name  string
	holds func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool
}{
	{"every session has a result, but one that REQUIRETLS forbade (RFC 8460 section 4.1)", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		return (len(list) > 0) == (r.Refuse != RefusedREQUIRETLS)
	}},
	{"no-policy-found stands alone, and only where there is neither DANE nor MTA-STS", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		_, bare := under(list, tlsresult.NoPolicy)
		published := f.TLSA >= TLSAUsable || f.STS >= STSTesting
		return !bare || (len(list) == 1 && !published)
	}},
	{"an MTA-STS policy in testing is reported as if it were enforced (RFC 8461 section 5)", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		if f.STS != STSTesting || !f.STSListed || r.Refuse != "" {
			return true
		}
		enforced := f
		enforced.STS = STSEnforce
		got, _ := under(list, tlsresult.PolicySTS)
		want, _ := under(Results(enforced, s), tlsresult.PolicySTS)
		return got == want
	}},
	{"success under MTA-STS: a listed host whose certificate verifies", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		got, ok := under(list, tlsresult.PolicySTS)
		return !ok || (got.Type == tlsresult.Success) == (s.PKIX && f.STSListed)
	}},
	{"success under DANE: a usable record matches", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		got, ok := under(list, tlsresult.PolicyTLSA)
		return !ok || (got.Type == tlsresult.Success) == (f.TLSA == TLSAUsable && s.TLSA != NoMatch)
	}},
	{"a message delivered as an honored policy demands is a success under it", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		if v.Action != Deliver || !v.Verified || policySetAside(f) || f.DANESuffices {
			return true
		}
		dane, _ := under(list, tlsresult.PolicyTLSA)
		sts, _ := under(list, tlsresult.PolicySTS)
		return !(f.TLSA == TLSAUsable && dane.Type != tlsresult.Success) && !(f.STS == STSEnforce && sts.Type != tlsresult.Success)
	}},
	{"where nothing is published, a session that is used is a success and one that is not is a failure", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		got, ok := under(list, tlsresult.NoPolicy)
		if !ok || f.Marking.REQUIRETLS() {
			return true
		}
		return (got.Type == tlsresult.Success) == (v.Action == Deliver)
	}},
	{"validation-failure has a reason code, for it says nothing (RFC 8460 section 4.3.1)", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		for _, x := range list {
			if x.Type == tlsresult.ValidationFailure && x.Reason == "" {
				return false
			}
		}
		return true
	}},
	{"unusable TLSA records are tlsa-invalid, a failed look-up is dnssec-invalid", func(f Facts, s Session, r Requirement, v Verdict, list []tlsresult.Result) bool {
		got, ok := under(list, tlsresult.PolicyTLSA)
		return !ok || (got.Type == tlsresult.TLSAInvalid) == (f.TLSA == TLSAUnusable) && (got.Type == tlsresult.DNSSECInvalid) == (f.TLSA == TLSAFailed)
	}},
}

func TestResultsEverywhere(t *testing.T) {
	for f := range everyFacts() {
		r := Require(f)
		for s := range everySession() {
			v, list := Judge(r, s), Results(f, s)
			for _, sentence := range resultSentences {
				if !sentence.holds(f, s, r, v, list) {
					t.Fatalf("%s:\nfacts   %+v\nsession %+v\nverdict %+v\nresults %+v", sentence.name, f, s, v, list)
				}
			}
		}
	}
}

// How each failure is called, and that an exception does not hide it.
func TestResultTypes(t *testing.T) {
	done := func(trouble Trouble) Session {
		return Session{StartTLS: Started, Handshake: Completed, Version: TLS13, Trouble: trouble}
	}
	sts := Facts{STS: STSTesting, STSListed: true}
	tests := []struct {
		name    string
		facts   Facts
		session Session
		want    []tlsresult.Result
	}{
		{"nothing published, not offered", Facts{}, Session{}, []tlsresult.Result{{Policy: tlsresult.NoPolicy, Type: tlsresult.StartTLSNotSupported}}},
		{"nothing published, rejected", Facts{}, Session{StartTLS: Rejected}, []tlsresult.Result{{Policy: tlsresult.NoPolicy, Type: tlsresult.StartTLSNotSupported, Reason: ReasonRejected}}},
		{"nothing published, wrong name", Facts{}, done(WrongName), []tlsresult.Result{{Policy: tlsresult.NoPolicy, Type: tlsresult.CertificateHostMismatch}}},
		{"nothing published, wrong name, nobody minds", Facts{Flags: flagsOf(false, true)}, done(WrongName), []tlsresult.Result{{Policy: tlsresult.NoPolicy}}},
		{"testing, expired", sts, done(Expired), []tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.CertificateExpired}}},
		{"testing, untrusted", sts, done(Untrusted), []tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.CertificateNotTrusted}}},
		{"testing, old version", sts, Session{StartTLS: Started, Handshake: TooOld}, []tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.ValidationFailure, Reason: ReasonVersion}}},
		{"testing, completed below the minimum", Facts{STS: STSTesting, STSListed: true, MinTLS: TLS13}, Session{StartTLS: Started, Handshake: Completed, Version: TLS12, PKIX: true},
			[]tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.ValidationFailure, Reason: ReasonVersion}}},
		{"testing, not listed", Facts{STS: STSTesting}, done(NoTrouble), []tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.ValidationFailure, Reason: ReasonMXNotInPolicy}}},
		{"enforce, not listed", Facts{STS: STSEnforce}, Session{}, []tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.ValidationFailure, Reason: ReasonMXNotInPolicy}}},
		{"records that do not match, audited", Facts{TLSA: TLSAUsable, DANEMode: Audit}, done(NoTrouble), []tlsresult.Result{{Policy: tlsresult.PolicyTLSA, Type: tlsresult.ValidationFailure, Reason: ReasonNoTLSAMatch}}},
		{"look-up failed", Facts{TLSA: TLSAFailed}, Session{}, []tlsresult.Result{{Policy: tlsresult.PolicyTLSA, Type: tlsresult.DNSSECInvalid}}},
		{"policy not fetched", Facts{STS: STSNoFetch, STSFault: tlsresult.STSWebPKIInvalid}, done(NoTrouble), []tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.STSWebPKIInvalid}}},
		{"policy not fetched, an older one rules", Facts{STS: STSEnforce, STSListed: true, STSFault: tlsresult.STSPolicyFetchError}, done(Expired),
			[]tlsresult.Result{{Policy: tlsresult.PolicySTS, Type: tlsresult.CertificateExpired}, {Policy: tlsresult.PolicySTS, Type: tlsresult.STSPolicyFetchError}}},
	}
	for _, tt := range tests {
		got := Results(tt.facts, tt.session)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: %+v, want %+v", tt.name, got[i], tt.want[i])
			}
		}
	}
}
