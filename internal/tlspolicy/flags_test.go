package tlspolicy

import (
	"iter"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

var tris = []mail.Tri{mail.Unset, mail.False, mail.True}

// everySetting yields every pair of settings that a message and a domain can have.
func everySetting() iter.Seq2[mail.TLSFlags, mail.TLSFlags] {
	return func(yield func(message, domain mail.TLSFlags) bool) {
		for i := range 81 {
			tri := func(power int) mail.Tri { return tris[i/power%3] }
			if !yield(mail.TLSFlags{RequireTLS: tri(1), SkipVerification: tri(3)}, mail.TLSFlags{RequireTLS: tri(9), SkipVerification: tri(27)}) {
				return
			}
		}
	}
}

// The message wins over the domain, flag by flag.
func TestResolve(t *testing.T) {
	want := func(m, d mail.Tri) Flag {
		switch {
		case m != mail.Unset:
			return Flag{m == mail.True, FromMessage}
		case d != mail.Unset:
			return Flag{d == mail.True, FromDomain}
		}
		return Flag{}
	}
	for m, d := range everySetting() {
		w := Flags{want(m.RequireTLS, d.RequireTLS), want(m.SkipVerification, d.SkipVerification)}
		if got := Resolve(m, d, false); got != w {
			t.Errorf("message %v over domain %v gives %+v, want %+v", m, d, got, w)
		}
	}
}

// With a floor no message gets less than the domain requires; where it asks for no
// less, the floor is not to be seen.
func TestFloor(t *testing.T) {
	for m, d := range everySetting() {
		free, got := Resolve(m, d, false), Resolve(m, d, true)
		floor := Resolve(mail.TLSFlags{}, d, false)
		if floor.RequireTLS.Value {
			if !got.RequireTLS.Value || (!floor.SkipVerification.Value && got.SkipVerification.Value) {
				t.Errorf("message %v over floor %v gives %+v", m, d, got)
			}
		}
		lowers := floor.RequireTLS.Value &&
			(!free.RequireTLS.Value || (!floor.SkipVerification.Value && free.SkipVerification.Value))
		if !lowers && got != free {
			t.Errorf("message %v asks for no less than %v, and the floor makes %+v of %+v", m, d, got, free)
		}
		if seen := got.RequireTLS.Source == FromFloor || got.SkipVerification.Source == FromFloor; seen != lowers {
			t.Errorf("message %v over floor %v: the floor shows: %t, want %t", m, d, seen, lowers)
		}
	}
}
