package tlspolicy

import (
	"iter"
	"testing"
)

var bools = []bool{false, true}

// everyFacts yields every input that Require can have.
func everyFacts() iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		for i := range 4 * 4 * 5 * 2 * 5 * 2 * 2 * 2 * 2 {
			n := i
			next := func(states int) int { d := n % states; n /= states; return d }
			f := Facts{}
			f.Flags.RequireTLS.Value = next(2) == 1
			f.Flags.SkipVerification.Value = next(2) == 1
			f.Marking = Marking(next(4))
			f.STS = STS(next(5))
			f.STSListed = next(2) == 1
			f.TLSA = TLSA(next(5))
			f.MXSecure = next(2) == 1
			f.EncryptUnverified = next(2) == 1
			f.DeferDowngrade = next(2) == 1
			f.DANESuffices = next(2) == 1
			if !yield(f) {
				return
			}
		}
	}
}

// everySession yields every session that can be observed.
func everySession() iter.Seq[Session] {
	return func(yield func(Session) bool) {
		for _, before := range bools {
			for _, s := range []StartTLS{NotOffered, Rejected, Broken} {
				if !yield(Session{StartTLS: s, TLSBefore: before}) {
					return
				}
			}
			for _, large := range bools {
				for _, silent := range bools {
					if !yield(Session{StartTLS: Started, Handshake: Failed, LargeHello: large, NoServerHello: silent, TLSBefore: before}) {
						return
					}
				}
				for _, h := range []Handshake{TooOld, LateRejected} {
					if !yield(Session{StartTLS: Started, Handshake: h, LargeHello: large, TLSBefore: before}) {
						return
					}
				}
				for _, pkix := range bools {
					for _, match := range []TLSAMatch{NoMatch, MatchEE, MatchTA} {
						for _, announced := range bools {
							if !yield(Session{
								StartTLS: Started, Handshake: Completed, Version: TLS12, LargeHello: large,
								PKIX: pkix, TLSA: match, Announced: announced, TLSBefore: before,
							}) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// A level is how well a message would be protected; not delivering it is the
// highest, since nothing can be read or altered.
func level(v Verdict) int {
	switch {
	case v.Action == Plaintext || v.Action == PlaintextFresh:
		return 0
	case v.Action == Deliver && !v.Verified:
		return 1
	case v.Action == Deliver:
		return 2
	}
	return 3
}

// policySetAside reports whether the message asks for the recipient's policies to
// be ignored (RFC 8689 section 5).
func policySetAside(f Facts) bool { return f.Marking == TLSOptional }

// The sentences. Each is checked for every fact and every session there can be.
var sentences = []struct {
	name  string
	holds func(f Facts, s Session, v Verdict) bool
}{
	{"require-tls: never in plaintext", func(f Facts, s Session, v Verdict) bool {
		return !f.Flags.RequireTLS.Value || level(v) > 0
	}},
	{"require-tls without skip-verification: verified or not delivered", func(f Facts, s Session, v Verdict) bool {
		return !(f.Flags.RequireTLS.Value && !f.Flags.SkipVerification.Value) || level(v) >= 2
	}},
	{"a session that is used is used for what it is: verified only with PKIX or a TLSA match", func(f Facts, s Session, v Verdict) bool {
		return !v.Verified || s.PKIX || (s.TLSA != NoMatch && f.TLSA == TLSAUsable)
	}},
	{"a verified certificate is reported, enforced or not, and nothing else is", func(f Facts, s Session, v Verdict) bool {
		return v.Action != Deliver || v.Verified == (s.PKIX || f.TLSA == TLSAUsable && s.TLSA != NoMatch)
	}},
	{"verified flag and result agree", func(f Facts, s Session, v Verdict) bool {
		if v.Action != Deliver {
			return !v.Verified
		}
		return v.Verified == (v.Result == VerifiedPKIX || v.Result == VerifiedDANEEE || v.Result == VerifiedDANETA)
	}},
	{"deliver needs a completed handshake", func(f Facts, s Session, v Verdict) bool {
		return v.Action != Deliver || (s.StartTLS == Started && s.Handshake == Completed)
	}},
	{"default flags: plaintext rather than unverified, unless told otherwise", func(f Facts, s Session, v Verdict) bool {
		free := f.Flags.Class() == OV && f.Marking == Unmarked && f.STS != STSEnforce && f.TLSA <= TLSAAbsent && !f.EncryptUnverified
		return !free || level(v) != 1
	}},
	{"on-unverified=encrypt: plaintext only where TLS could not be had", func(f Facts, s Session, v Verdict) bool {
		return !f.EncryptUnverified || s.Handshake != Completed || level(v) != 0
	}},
	{"skip-verification: plaintext only where TLS could not be had", func(f Facts, s Session, v Verdict) bool {
		return !f.Flags.SkipVerification.Value || s.Handshake != Completed || level(v) != 0
	}},
	{"plaintext on the same connection only before any handshake (RFC 3207 section 4)", func(f Facts, s Session, v Verdict) bool {
		return v.Action != Plaintext || s.StartTLS == NotOffered || s.StartTLS == Rejected
	}},
	{"enforced MTA-STS: verified by PKIX, on a listed host, or not at all (RFC 8461 section 5)", func(f Facts, s Session, v Verdict) bool {
		if policySetAside(f) || f.STS != STSEnforce || v.Action == NextHost || v.Action == SmallHello {
			return true
		}
		pkix := s.PKIX || (f.DANESuffices && f.TLSA == TLSAUsable && s.TLSA != NoMatch)
		return v.Action == Deliver && pkix && f.STSListed
	}},
	{"usable TLSA records: a match or nothing (RFC 7672 section 2.2)", func(f Facts, s Session, v Verdict) bool {
		if policySetAside(f) || f.TLSA != TLSAUsable || v.Action == NextHost || v.Action == SmallHello {
			return true
		}
		return v.Action == Deliver && s.TLSA != NoMatch
	}},
	{"unusable TLSA records: never in plaintext (RFC 7672 section 2.2)", func(f Facts, s Session, v Verdict) bool {
		return policySetAside(f) || f.TLSA != TLSAUnusable || level(v) > 0
	}},
	{"failed TLSA look-up: the host is not used (RFC 7672 section 2.1.2)", func(f Facts, s Session, v Verdict) bool {
		return policySetAside(f) || f.TLSA != TLSAFailed || v.Action == NextHost
	}},
	{"REQUIRETLS: verified, and announced inside TLS where strict (RFC 8689 section 4.2.1)", func(f Facts, s Session, v Verdict) bool {
		if f.Marking != RequireTLSStrict && f.Marking != RequireTLSHop {
			return true
		}
		if f.Marking == RequireTLSStrict && v.Action == Deliver && (!s.Announced || MXAuthenticated(f) == MXByNothing) {
			return false
		}
		return level(v) >= 2
	}},
	{"TLS-Required: No lowers the recipient's policies, never the sender's flags", func(f Facts, s Session, v Verdict) bool {
		if !policySetAside(f) || !f.Flags.RequireTLS.Value {
			return true
		}
		return level(v) >= 1
	}},
	{"a small ClientHello is tried only after silence upon a large one", func(f Facts, s Session, v Verdict) bool {
		return v.Action != SmallHello || (s.LargeHello && s.NoServerHello && s.Handshake == Failed)
	}},
	{"the downgrade alarm: STARTTLS gone from a host that had it", func(f Facts, s Session, v Verdict) bool {
		contacted := Require(f).Refuse == ""
		return v.DowngradeSuspected == (contacted && s.StartTLS == NotOffered && s.TLSBefore)
	}},
	{"downgrade-protection=defer: no plaintext to a host that had STARTTLS", func(f Facts, s Session, v Verdict) bool {
		return !(f.DeferDowngrade && s.StartTLS == NotOffered && s.TLSBefore) || v.Action == NextHost
	}},
	{"nothing but STARTTLS, PKIX and policy stands between default flags and plaintext", func(f Facts, s Session, v Verdict) bool {
		free := f.Flags.Class() <= OA && f.Marking == Unmarked && f.STS != STSEnforce && f.TLSA <= TLSAAbsent
		return !free || v.Action != NextHost || (f.DeferDowngrade && s.TLSBefore && s.StartTLS == NotOffered)
	}},
	{"every decision has a result that names it", func(f Facts, s Session, v Verdict) bool {
		return (v.Result == "") == (v.Action == SmallHello)
	}},
	{"a host that is refused is refused with words", func(f Facts, s Session, v Verdict) bool {
		return v.Action != NextHost || v.Result.Text() != string(v.Result)
	}},
}

func TestEverySentenceHoldsEverywhere(t *testing.T) {
	sessions := 0
	for range everySession() {
		sessions++
	}
	facts := 0
	for f := range everyFacts() {
		facts++
		r := Require(f)
		for s := range everySession() {
			v := Judge(r, s)
			for _, sentence := range sentences {
				if !sentence.holds(f, s, v) {
					t.Fatalf("%s:\nfacts   %+v\nsession %+v\nverdict %+v", sentence.name, f, s, v)
				}
			}
		}
	}
	if facts != 12800 || sessions != 70 {
		t.Errorf("enumerated %d facts and %d sessions, want 12800 and 70", facts, sessions)
	}
}

// Law: sender settings are a floor and recipient policy can only raise it.
func TestRecipientPolicyOnlyRaises(t *testing.T) {
	for f := range everyFacts() {
		if f.Marking == TLSOptional {
			continue
		}
		bare := f
		bare.STS, bare.TLSA = STSNoPolicy, TLSANotSecure
		if f.Marking == RequireTLSStrict {
			// A policy that names the host is one of the two things that let REQUIRETLS
			// mail go there at all; the floor is what holds once it may.
			bare.MXSecure = true
		}
		with, without := Require(f), Require(bare)
		for s := range everySession() {
			if got, floor := Judge(with, s), Judge(without, s); got.Action != SmallHello && level(got) < level(floor) {
				// A TLSA match is another way of being verified, not a lower one.
				if s.TLSA != NoMatch && f.TLSA == TLSAUsable && got.Verified {
					continue
				}
				t.Fatalf("policy lowers %+v to %+v:\nfacts %+v\nsession %+v", floor, got, f, s)
			}
		}
	}
}

// RFC 8461 section 5: testing, none, and a policy that cannot be fetched change no
// delivery.
func TestTestingChangesNoDelivery(t *testing.T) {
	for f := range everyFacts() {
		if f.STS != STSTesting && f.STS != STSNone && f.STS != STSNoFetch {
			continue
		}
		bare := f
		bare.STS = STSNoPolicy
		for s := range everySession() {
			if got, want := Judge(Require(f), s), Judge(Require(bare), s); got != want {
				t.Fatalf("got %+v, without policy %+v:\nfacts %+v\nsession %+v", got, want, f, s)
			}
		}
	}
}

// Setting require-tls never leads to a lower level, whatever else is known.
func TestRequireTLSOnlyRaises(t *testing.T) {
	for f := range everyFacts() {
		if f.Flags.RequireTLS.Value {
			continue
		}
		strict := f
		strict.Flags.RequireTLS.Value = true
		for s := range everySession() {
			if got, floor := Judge(Require(strict), s), Judge(Require(f), s); level(got) < level(floor) {
				t.Fatalf("require-tls lowers %+v to %+v:\nfacts %+v\nsession %+v", floor, got, f, s)
			}
		}
	}
}

// Trying a small ClientHello changes the key exchange, never the decision.
func TestSmallHelloDecidesNothing(t *testing.T) {
	for f := range everyFacts() {
		r := Require(f)
		for s := range everySession() {
			if Judge(r, s).Action != SmallHello {
				continue
			}
			again := s
			again.LargeHello = false
			want := s
			want.NoServerHello = false
			if got := Judge(r, again); got != Judge(r, want) {
				t.Fatalf("after a small hello %+v, after an answered large one %+v", got, Judge(r, want))
			}
		}
	}
}

// Row 14: a plaintext that was refused leads to unverified TLS exactly where
// plaintext was chosen over it, and to nothing lower.
func TestAfterPlaintextRefused(t *testing.T) {
	for f := range everyFacts() {
		r := Require(f)
		again, ok := r.AfterPlaintextRefused()
		if want := r.PlaintextIfUnverified && r.Plaintext(); ok != want {
			t.Fatalf("AfterPlaintextRefused = %v, want %v for %+v", ok, want, f)
		}
		if !ok {
			continue
		}
		if f.Flags.RequireTLS.Value || f.Flags.SkipVerification.Value {
			t.Fatalf("a fallback to unverified TLS under flags %+v", f.Flags)
		}
		for s := range everySession() {
			if v := Judge(again, s); level(v) == 0 || (s.Handshake == Completed && v.Action != Deliver) {
				t.Fatalf("after refused plaintext %+v for session %+v", v, s)
			}
		}
	}
}
