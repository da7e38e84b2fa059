package sqlite

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Delivery asks for every MX host it looks at. Where overrides exist, but none for
// this host and domain, the answer must not cost an allocation.
func TestOverrideLookUpDoesNotAllocate(t *testing.T) {
	s := openTest(t, Options{Dir: testDir(t)})
	o := mail.Override{Target: "one.example", DANE: mail.Ignore, Author: "operator", Reason: "test", Expires: time.Now().Add(time.Hour)}
	if err := s.CreateOverride(t.Context(), &o, false); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, found := range map[string]int{"two.example": 0, "one.example": 1} {
		if n := testing.AllocsPerRun(100, func() {
			if len(s.Override(name, "mx.example", now)) != found {
				t.Errorf("%s: not %d overrides", name, found)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkOverride(b *testing.B) {
	s := openTest(b, Options{Dir: testDir(b)})
	o := mail.Override{Target: "one.example", DANE: mail.Ignore, Author: "operator", Reason: "test", Expires: time.Now().Add(time.Hour)}
	if err := s.CreateOverride(b.Context(), &o, false); err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		s.Override("two.example", "mx.two.example", now)
	}
}
