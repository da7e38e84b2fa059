package tlspolicy

import (
	"iter"
	"testing"
)

// everyFlags yields the flags in every value and from every source.
func everyFlags() iter.Seq[Flags] {
	return func(yield func(Flags) bool) {
		var all []Flag
		for _, v := range bools {
			for _, s := range []FlagSource{FromDefault, FromDomain, FromMessage, FromFloor} {
				if !v || s != FromDefault {
					all = append(all, Flag{v, s})
				}
			}
		}
		for _, r := range all {
			for _, s := range all {
				if !yield(Flags{r, s}) {
					return
				}
			}
		}
	}
}

// everyOverride yields every exception.
func everyOverride() iter.Seq[Override] {
	return func(yield func(Override) bool) {
		for i := range 5 * 4 * 4 * 3 * 3 {
			n := i
			next := func(states int) int { d := n % states; n /= states; return d }
			o := Override{}
			if c := next(5); c > 0 {
				o.HasClass, o.Class = true, Class(c-1)
			}
			o.DANE, o.STS = Mode(next(4)), Mode(next(4))
			o.MinTLS = [...]Version{0, TLS10, TLS13}[next(3)]
			o.Unverified = OnUnverified(next(3))
			if !yield(o) {
				return
			}
		}
	}
}

// strength orders classes of the flags where they can be ordered: what require-tls
// with verification demands, then without, then nothing.
func strength(c Class) int { return [...]int{OV: 0, OA: 0, RV: 2, RA: 1}[c] }

// What a message asks for itself is raised by an exception and never lowered.
func TestOverrideAndMessage(t *testing.T) {
	for flags := range everyFlags() {
		asked := flags.RequireTLS.Value && flags.RequireTLS.Source == FromMessage
		for _, class := range []Class{OV, OA, RV, RA} {
			got := flags.overridden(class)
			if asked && strength(got.Class()) < strength(flags.Class()) {
				t.Errorf("%s lowers a message that says require-tls from %s to %s", class, flags.Class(), got.Class())
			}
			if strength(got.Class()) < strength(class) && !asked {
				t.Errorf("%s leads to %s for %+v", class, got.Class(), flags)
			}
			ours := flags.RequireTLS.Source != FromMessage && flags.SkipVerification.Source != FromMessage
			if ours && got.Class() != class {
				t.Errorf("%s leads to %s although the message says nothing: %+v", class, got.Class(), flags)
			}
			if class == RV && got.Class() != RV {
				t.Errorf("RV leads to %s for %+v", got.Class(), flags)
			}
		}
	}
}

// An exception that changes the requirement is named as its source, and one that
// changes nothing is not, unless it kept us from looking.
func TestOverrideIsNamed(t *testing.T) {
	for f := range someFacts() {
		for o := range everyOverride() {
			with := f
			with.Override = o
			got, bare := Require(with), Require(f)
			blind := (o.DANE == Ignore || o.STS == Ignore) && !f.Marking.REQUIRETLS()
			if named := got.Source == ByOverride; named {
				got.Source = bare.Source
				if got == bare && !blind {
					t.Fatalf("named although it changes nothing: %+v for %+v", o, f)
				}
			} else if got != bare {
				t.Fatalf("it makes %+v of %+v and is not named: %+v for %+v", got, bare, o, f)
			}
		}
	}
}

// REQUIRETLS is above every exception that lowers.
func TestOverrideNeverLowersREQUIRETLS(t *testing.T) {
	for f := range someFacts() {
		if !f.Marking.REQUIRETLS() {
			continue
		}
		for o := range everyOverride() {
			with := f
			with.Override = o
			got, bare := Require(with), Require(f)
			if !got.Needs.Has(bare.Needs) || got.MinTLS < bare.MinTLS || (bare.Refuse != "" && got.Refuse != bare.Refuse) {
				t.Fatalf("%+v makes %+v of %+v for %+v", o, got, bare, f)
			}
		}
	}
}

// A policy that is audited or ignored decides what no policy decides.
func TestModesSetAside(t *testing.T) {
	for f := range everyFacts() {
		if f.Marking.REQUIRETLS() {
			f.DANEMode, f.STSMode = Ignore, Audit
			want := f
			want.DANEMode, want.STSMode = Honor, Honor
			if Require(f) != Require(want) {
				t.Fatalf("a mode of the domain lowers REQUIRETLS: %+v", f)
			}
			continue
		}
		for _, m := range []Mode{Audit, Ignore} {
			dane, sts := f, f
			dane.DANEMode, sts.STSMode = m, m
			noDANE, noSTS := f, f
			noDANE.TLSA = TLSANotSecure
			noSTS.STS, noSTS.STSListed = STSNoPolicy, false
			want := Require(noDANE)
			want.Records = f.TLSA == TLSAUsable // they decide nothing, and a match is told
			if Require(dane) != want {
				t.Fatalf("dane %s: %+v", m, f)
			}
			if Require(sts) != Require(noSTS) {
				t.Fatalf("mta-sts %s: %+v", m, f)
			}
			byOverride := f
			byOverride.Override = Override{DANE: m}
			got, set := Require(byOverride), Require(dane)
			got.Source, set.Source = 0, 0
			if got != set {
				t.Fatalf("an exception and a setting of dane %s differ: %+v", m, f)
			}
		}
	}
}

// A session below the minimum version is as one whose handshake failed.
func TestMinimumVersion(t *testing.T) {
	for f := range someFacts() {
		for _, minimum := range []Version{0, TLS10, TLS11, TLS12, TLS13} {
			f.MinTLS = minimum
			r := Require(f)
			for _, v := range []Version{TLS10, TLS11, TLS12, TLS13} {
				s := Session{StartTLS: Started, Handshake: Completed, Version: v, PKIX: true, TLSA: MatchEE, Announced: true}
				old := Session{StartTLS: Started, Handshake: TooOld}
				below := v < max(minimum, TLS10) || (minimum == 0 && v < TLS12)
				got := Judge(r, s)
				if below && got != Judge(r, old) {
					t.Fatalf("version %#x under minimum %#x gives %+v", v, minimum, got)
				}
				if !below && r.Refuse == "" && got.Action != Deliver {
					t.Fatalf("version %#x with minimum %#x gives %+v for %+v", v, minimum, got, f)
				}
			}
		}
	}
}

// someFacts yields every flag, marking and recipient policy, with the settings that
// have no bearing on the laws that use it left at their defaults.
func someFacts() iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		for f := range everyFacts() {
			if f.EncryptUnverified || f.DeferDowngrade || f.DANESuffices {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

// What lowers makes no difference at all to a message with REQUIRETLS, not even in the
// flags and the source that are logged.
func TestLoweringOverrideLeavesNoTraceOnREQUIRETLS(t *testing.T) {
	for _, marking := range []Marking{RequireTLSStrict, RequireTLSHop} {
		for _, o := range []Override{
			{HasClass: true, Class: OA}, {HasClass: true, Class: OV}, {HasClass: true, Class: RA},
			{Unverified: UnverifiedPlaintext}, {DANE: Ignore}, {STS: Ignore}, {MinTLS: TLS10},
		} {
			f := Facts{Flags: flagsOf(true, false), Marking: marking, MXSecure: true, EncryptUnverified: true}
			if o.Unverified != UnverifiedUnset {
				f.Flags = flagsOf(false, false)
			}
			want := Require(f)
			f.Override = o
			if got := Require(f); got != want {
				t.Errorf("%+v: %+v, want %+v", o, got, want)
			}
		}
	}
}

// A message that says itself that certificates must verify is held to it, whatever
// class an exception names.
func TestOverrideLeavesWhatTheMessageSays(t *testing.T) {
	said := Flags{SkipVerification: Flag{false, FromMessage}}
	for class, want := range map[Class]Class{OV: OV, OA: OV, RV: RV, RA: RV} {
		r := Require(Facts{Flags: said, Override: Override{HasClass: true, Class: class}})
		if r.Class != want || r.Flags.SkipVerification.Value {
			t.Errorf("override %s: %s, flags %+v, want %s", class, r.Class, r.Flags, want)
		}
	}
}
