package credential

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// A fakeStore knows logins of example.com.
type fakeStore struct {
	allowed []store.AllowedAddress
	mu      sync.Mutex
	logins  map[string]store.Credential
	err     error
}

func (f *fakeStore) Credential(_ context.Context, login string) (store.Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return store.Credential{}, f.err
	}
	c, ok := f.logins[login]
	if !ok {
		return c, store.ErrNotFound
	}
	return c, nil
}

func (f *fakeStore) DomainByID(_ context.Context, id int64) (store.Domain, error) {
	return store.Domain{ID: id, Name: "example.com"}, nil
}

func (f *fakeStore) Account(context.Context, int64) (store.Account, error) {
	return store.Account{Settings: store.AccountSettings{Allowed: f.allowed}}, nil
}

// newVerifier returns a verifier whose hashes cost next to nothing.
func newVerifier(t testing.TB) (*Verifier, *fakeStore) {
	h := hashWith("secret", 64, 1)
	f := &fakeStore{logins: map[string]store.Credential{"app@example.com": {Login: "app@example.com", DomainID: 7, PasswordHash: h}}}
	v, err := NewVerifier(f)
	if err != nil {
		t.Fatal(err)
	}
	v.decoy = hashWith("nobody's", 64, 1)
	return v, f
}

var (
	home = netip.MustParseAddr("192.0.2.1")
	away = netip.MustParseAddr("198.51.100.1")
)

func TestHashes(t *testing.T) {
	a, errA := Hash("secret")
	b, errB := Hash("secret")
	if errA != nil || errB != nil || a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s, %s, %v, %v", a, b, errA, errB)
	}
	for password, want := range map[string]bool{"secret": true, "Secret": false, "": false, strings.Repeat("x", MaxPassword+1): false} {
		if got, err := Matches(a, password); got != want || err != nil {
			t.Errorf("%.10q: %v, %v", password, got, err)
		}
	}
	for _, password := range []string{"", strings.Repeat("x", MaxPassword+1)} {
		if _, err := Hash(password); err == nil {
			t.Errorf("hashed a password of %d octets", len(password))
		}
	}
	for _, bad := range []string{
		"", "secret", "$argon2i$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", strings.Replace(a, "m=19456", "m=99999999", 1),
		strings.Replace(a, "t=2", "t=0", 1), strings.Replace(a, "p=1", "p=200", 1), strings.Replace(a, "v=19", "v=16", 1), a[:len(a)-30], a + "$x",
	} {
		if ok, err := Matches(bad, "secret"); ok || err == nil {
			t.Errorf("%s: %v, %v", bad, ok, err)
		}
	}
}

func TestCheck(t *testing.T) {
	v, f := newVerifier(t)
	for _, c := range []struct {
		login, password string
		want            bool
	}{
		{"app@example.com", "secret", true}, {"APP@Example.com", "secret", true}, {"app@example.com", "secret", true},
		{"app@example.com", "wrong", false}, {"nobody@example.com", "secret", false}, {"", "", false},
	} {
		domain, ok, err := v.Check(t.Context(), home, c.login, c.password)
		if ok != c.want || err != nil || ok && domain != "example.com" {
			t.Errorf("%s %s: %q, %v, %v", c.login, c.password, domain, ok, err)
		}
	}
	f.mu.Lock()
	delete(f.logins, "app@example.com") // revoked: what was proven before counts no more
	f.mu.Unlock()
	if _, ok, err := v.Check(t.Context(), home, "app@example.com", "secret"); ok || err != nil {
		t.Errorf("revoked: %v, %v", ok, err)
	}
	f.err = errors.New("store is down")
	if _, ok, err := v.Check(t.Context(), away, "app@example.com", "secret"); ok || !errors.Is(err, f.err) {
		t.Errorf("store down: %v, %v", ok, err)
	}
}

// SEC-58: of any number of guesses from one address at most a hundred an hour are evaluated.
func TestGuessesAreThrottledPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newVerifier(t)
		evaluated := 0
		for i := range 3600 {
			addr := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)) // one /64
			_, ok, err := v.Check(t.Context(), addr, fmt.Sprintf("u%d@example.com", i), "guess")
			if ok {
				t.Fatal("guessed")
			}
			if err == nil {
				evaluated++
			} else if !errors.Is(err, ErrBusy) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if evaluated > 100 || evaluated < 50 {
			t.Errorf("%d guesses were evaluated", evaluated)
		}
		if _, ok, err := v.Check(t.Context(), home, "app@example.com", "secret"); !ok || err != nil {
			t.Errorf("another address: %v, %v", ok, err)
		}
	})
}

// SEC-58: guesses from everywhere slow each other down and never lock the owner out.
func TestTheOwnerIsNotLockedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newVerifier(t)
		if _, ok, _ := v.Check(t.Context(), home, "app@example.com", "secret"); !ok {
			t.Fatal("not known")
		}
		evaluated := 0
		for i := range 200 {
			from := netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
			if _, _, err := v.Check(t.Context(), from, "app@example.com", "guess"); err == nil {
				evaluated++
			}
		}
		if evaluated > accountBurst {
			t.Errorf("%d guesses were evaluated", evaluated)
		}
		if _, ok, err := v.Check(t.Context(), home, "app@example.com", "secret"); !ok || err != nil {
			t.Errorf("the owner at home: %v, %v", ok, err)
		}
		if _, _, err := v.Check(t.Context(), away, "app@example.com", "secret"); !errors.Is(err, ErrBusy) {
			t.Errorf("the owner elsewhere: %v, want to wait", err)
		}
		time.Sleep(accountEvery + time.Second)
		if _, ok, err := v.Check(t.Context(), away, "app@example.com", "secret"); !ok || err != nil {
			t.Errorf("the owner elsewhere, later: %v, %v", ok, err)
		}
	})
}

func TestTablesAreBounded(t *testing.T) {
	table := map[int]int{}
	for i := range 3 * maxRemembered {
		remember(table, i, i)
	}
	if len(table) > maxRemembered || table[3*maxRemembered-1] == 0 {
		t.Errorf("%d entries", len(table))
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5")
	f.Add("$argon2id$v=19$m=-1,t=2,p=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := parseHash(s); err == nil && (h.memory > maxMemory || h.passes > maxPasses || h.threads > maxThreads || h.threads == 0) {
			t.Errorf("%q: %+v", s, h)
		}
	})
}

// SEC-58, SEC-12: an unknown login is evaluated like a known one, with the cost of new hashes.
func TestUnknownLoginsCostTheSame(t *testing.T) {
	v, err := NewVerifier(&fakeStore{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseHash(v.decoy)
	if err != nil || h.memory != hashMemory || h.passes != hashPasses || h.threads != hashThreads {
		t.Errorf("decoy %s, %v", v.decoy, err)
	}
	v.decoy = "not a hash" // whoever looks at it fails
	if _, _, err := v.Check(t.Context(), home, "nobody@example.com", "x"); !errors.Is(err, errHash) {
		t.Errorf("got %v: the decoy was not evaluated", err)
	}
}

// An account's logins are accepted from its addresses only, once it has named any.
func TestLoginsFromTheAccountsAddresses(t *testing.T) {
	v, f := newVerifier(t)
	for from, want := range map[string]bool{"192.0.2.7": true, "::ffff:192.0.2.7": true, "198.51.100.1": false} {
		f.allowed = nil
		if _, ok, err := v.Check(t.Context(), netip.MustParseAddr(from), "app@example.com", "secret"); !ok || err != nil {
			t.Errorf("from %s without a list: %v, %v", from, ok, err)
		}
		f.allowed = []store.AllowedAddress{{Prefix: netip.MustParsePrefix("192.0.2.0/24")}}
		if _, ok, err := v.Check(t.Context(), netip.MustParseAddr(from), "app@example.com", "secret"); ok != want || err != nil {
			t.Errorf("from %s: %v, %v", from, ok, err)
		}
	}
}
