package password

import (
	"context"
	"strings"
	"testing"
)

func TestHashThenVerify(t *testing.T) {
	h := New(0)
	encoded, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash is %q", encoded)
	}
	for password, want := range map[string]bool{
		"correct horse": true, "correct horse ": false, "Correct horse": false, "": false, strings.Repeat("x", 5000): false,
	} {
		if got, err := h.Verify(t.Context(), encoded, password); got != want || err != nil {
			t.Errorf("Verify(%.20q) = %v, %v; want %v", password, got, err, want)
		}
	}
	again, err := h.Hash(t.Context(), "correct horse")
	if err != nil || again == encoded {
		t.Errorf("the same password gave the same hash twice (%v)", err)
	}
}

// SEC-58: the decoy costs as much as a hash and matches nothing.
func TestDecoyMatchesNothing(t *testing.T) {
	p, _, _, err := decode(Decoy)
	if err != nil || p != (params{memory, passes, threads}) {
		t.Fatalf("decoy costs %+v, %v", p, err)
	}
	if got, err := New(1).Verify(t.Context(), Decoy, ""); got || err != nil {
		t.Errorf("Verify = %v, %v", got, err)
	}
}

func TestHashWaitsForItsTurnNoLongerThanTheContext(t *testing.T) {
	h := New(1)
	h.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ctx, "x"); err == nil {
		t.Error("a hash was computed beyond the bound")
	}
}

func TestVerifyRefusesWhatIsNotAHash(t *testing.T) {
	for _, encoded := range []string{
		"", "plain", "$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=0,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1,p=1$$", strings.Repeat("$", 1000),
	} {
		if ok, err := New(1).Verify(t.Context(), encoded, "x"); ok || err == nil {
			t.Errorf("Verify with %.40q = %v, %v", encoded, ok, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Decoy)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if p, salt, key, err := decode(s); err == nil && (p.memory > maxMemory || p.passes > maxPasses || len(salt) < 8 || len(key) < 16) {
			t.Errorf("%q was taken for a hash: %+v", s, p)
		}
	})
}
