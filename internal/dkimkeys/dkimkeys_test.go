package dkimkeys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// state is the domain's keys in one line: * signs, + is active, - is not, ~ retired.
func state(d *store.Domain) string {
	signs := map[string]bool{}
	for _, k := range d.SigningKeys() {
		signs[k.Selector] = true
	}
	var list []string
	for _, k := range d.DKIM {
		mark := "-"
		switch {
		case signs[k.Selector]:
			mark = "*"
		case k.Active:
			mark = "+"
		case !k.RetiredAt.IsZero():
			mark = "~"
		}
		list = append(list, k.Selector+mark)
	}
	return strings.Join(list, " ")
}

func TestLifeOfKeys(t *testing.T) {
	type step struct {
		do   func(d *store.Domain, now time.Time) error
		err  error
		want string
	}
	add := func(s string) func(*store.Domain, time.Time) error {
		return func(d *store.Domain, _ time.Time) error { return Add(d, store.DKIMKey{Selector: s}) }
	}
	plain := func(f func(*store.Domain, string) error, s string) func(*store.Domain, time.Time) error {
		return func(d *store.Domain, _ time.Time) error { return f(d, s) }
	}
	seen := func(s string) func(*store.Domain, time.Time) error {
		return func(d *store.Domain, now time.Time) error { Seen(d, s, now); Advance(d, now); return nil }
	}
	rotate := func(s string) func(*store.Domain, time.Time) error {
		return func(d *store.Domain, now time.Time) error { return Rotate(d, store.DKIMKey{Selector: s}, now) }
	}
	rename := func(s string) func(*store.Domain, time.Time) error {
		return func(d *store.Domain, now time.Time) error { return Rename(d, s, now) }
	}
	wait := func(d *store.Domain, now time.Time) error { Advance(d, now); return nil }
	for name, steps := range map[string][]step{
		"the first is active, others are activated": {
			{add("a"), nil, "a*"}, {add("b"), nil, "a* b-"}, {add("a"), ErrDuplicate, "a* b-"},
			{plain(Activate, "b"), nil, "a* b*"}, {plain(Activate, "b"), nil, "a* b*"}, {plain(Activate, "x"), ErrNotFound, "a* b*"},
			{plain(Deactivate, "a"), nil, "a- b*"}, {plain(Deactivate, "b"), ErrLastActive, "a- b*"}, {plain(Deactivate, "x"), ErrNotFound, "a- b*"},
			{plain(Delete, "b"), ErrLastActive, "a- b*"}, {plain(Delete, "a"), nil, "b*"}, {plain(Delete, "x"), ErrNotFound, "b*"},
		},
		"three are active at most": {
			{add("a"), nil, "a*"}, {add("b"), nil, "a* b-"}, {add("c"), nil, "a* b- c-"}, {add("d"), nil, "a* b- c- d-"},
			{plain(Activate, "b"), nil, "a* b* c- d-"}, {plain(Activate, "c"), nil, "a* b* c* d-"}, {plain(Activate, "d"), ErrTooMany, "a* b* c* d-"},
		},
		"one that was not seen waits beside one that was": {
			{add("a"), nil, "a*"}, {seen("a"), nil, "a*"}, {add("b"), nil, "a* b-"}, {plain(Activate, "b"), nil, "a* b+"}, {seen("b"), nil, "a* b*"},
		},
		"a rotation leaves no gap": {
			{add("a"), nil, "a*"}, {seen("a"), nil, "a*"},
			{rotate("b"), nil, "a* b+"}, {rotate("c"), nil, "a* b+"}, {wait, nil, "a* b+"},
			{seen("b"), nil, "a~ b*"},
			{wait, nil, "b*"}, // the test's clock goes on by eight days
		},
		"a rotation before anything was seen": {
			{add("a"), nil, "a*"}, {rotate("b"), nil, "a~ b*"},
		},
		"a retired key that is activated again is not forgotten": {
			{add("a"), nil, "a*"}, {seen("a"), nil, "a*"}, {rotate("b"), nil, "a* b+"}, {seen("b"), nil, "a~ b*"},
			{plain(Activate, "a"), nil, "a* b*"}, {wait, nil, "a* b*"},
		},
		"renaming": {
			{add("a"), nil, "a*"}, {rename("b"), nil, "b*"}, {rename("b"), nil, "b*"}, {seen("b"), nil, "b*"},
			{rename("c"), nil, "b* c+"}, {rename("c"), nil, "b* c+"}, {rename("b"), ErrDuplicate, "b* c+"}, {seen("c"), nil, "b~ c*"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, now := &store.Domain{}, t0
			for i, s := range steps {
				if err := s.do(d, now); !errors.Is(err, s.err) {
					t.Fatalf("step %d: %v, want %v", i, err, s.err)
				}
				if got := state(d); got != s.want {
					t.Fatalf("step %d: %s, want %s", i, got, s.want)
				}
				now = now.Add(KeepRetired + 24*time.Hour)
			}
		})
	}
}

// However keys come and go: at most three are active, selectors are distinct, and a domain that
// signed goes on signing with a key that was seen, whatever rotations do.
func TestAlwaysSigned(t *testing.T) {
	for seed := range 300 {
		d, now, n := &store.Domain{}, t0, seed
		next := func(of int) int { n = (n*1103515245 + 12345) & 0x7fffffff; return n >> 8 % of }
		pick := func() string { return string(rune('a' + next(6))) }
		if err := Add(d, store.DKIMKey{Selector: "a"}); err != nil {
			t.Fatal(err)
		}
		Seen(d, "a", now)
		for range 60 {
			switch next(7) {
			case 0:
				_ = Rotate(d, store.DKIMKey{Selector: pick(), CreatedAt: now}, now)
			case 1:
				_ = Activate(d, pick())
			case 2:
				_ = Rename(d, pick(), now)
			case 3:
				_ = Add(d, store.DKIMKey{Selector: pick()})
			default:
				Seen(d, pick(), now)
			}
			Advance(d, now)
			now = now.Add(time.Duration(next(100)) * time.Hour)
			byName := map[string]bool{}
			for _, k := range d.DKIM {
				if byName[k.Selector] {
					t.Fatalf("seed %d: two keys are %s: %s", seed, k.Selector, state(d))
				}
				byName[k.Selector] = true
			}
			if signing := d.SigningKeys(); len(signing) == 0 || signing[0].SeenAt.IsZero() {
				t.Fatalf("seed %d: signs with %v: %s", seed, signing, state(d))
			}
			if active(d) > MaxActive+1 { // a rotation may be under way beside three
				t.Fatalf("seed %d: %s", seed, state(d))
			}
		}
	}
}

func TestDue(t *testing.T) {
	with := func(change func(*store.Domain)) *store.Domain {
		d := &store.Domain{CreatedAt: t0, DKIM: []store.DKIMKey{{Selector: "a", Active: true, SeenAt: t0}}}
		d.Settings.DKIMRotation = MinRotation
		change(d)
		return d
	}
	for name, c := range map[string]struct {
		d    *store.Domain
		want bool
	}{
		"old enough": {with(func(*store.Domain) {}), true},
		"not wanted": {with(func(d *store.Domain) { d.Settings.DKIMRotation = 0 }), false},
		"a young key": {with(func(d *store.Domain) {
			d.DKIM = append(d.DKIM, store.DKIMKey{Selector: "b", Active: true, SeenAt: t0, CreatedAt: t0.Add(time.Hour)})
		}), false},
		"a young one that is not active": {with(func(d *store.Domain) {
			d.DKIM = append(d.DKIM, store.DKIMKey{Selector: "b", CreatedAt: t0.Add(time.Hour)})
		}), true},
		"another is about to": {with(func(d *store.Domain) { _ = Rotate(d, store.DKIMKey{Selector: "b"}, t0) }), false},
		"under authority":     {with(func(d *store.Domain) { d.Settings.DKIMAuthority = "example.com" }), false},
		"no key":              {with(func(d *store.Domain) { d.DKIM = nil }), false},
	} {
		if got := Due(c.d, t0.Add(MinRotation)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if Due(c.d, t0.Add(MinRotation-1)) {
			t.Errorf("%s: due too early", name)
		}
	}
}

func TestNextSelector(t *testing.T) {
	d := &store.Domain{}
	for i, want := range []string{"sealpost-20260102", "sealpost-20260102x2", "sealpost-20260102x3"} {
		got := NextSelector(d, t0)
		if got != want || !signing.IsSelector(got) {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
		d.DKIM = append(d.DKIM, store.DKIMKey{Selector: got})
	}
	for first, want := range map[string]string{"k1": "k1-20260102", "my-key": "my-key-20260102", "k-20250101": "k-20260102", "k-20250101x7": "k-20260102", strings.Repeat("a", 63): strings.Repeat("a", 50) + "-20260102"} {
		if got := NextSelector(&store.Domain{DKIM: []store.DKIMKey{{Selector: first}}}, t0); got != want || !signing.IsSelector(got) {
			t.Errorf("after %s: %s, want %s", first, got, want)
		}
	}
}

func TestGenerateAndImport(t *testing.T) {
	for kind, want := range map[Kind]string{RSA2048: "k=rsa; p=MIIB", RSA4096: "k=rsa; p=MIIC", Ed25519: "k=ed25519; p="} {
		k, err := Generate("s", kind, t0)
		if err != nil || !strings.HasPrefix(k.Public, want) || k.Active || k.Selector != "s" || !k.CreatedAt.Equal(t0) {
			t.Errorf("%d: %+v, %v", kind, k.Public, err)
		}
		again, err := Import("s", k.PrivatePEM, t0)
		if err != nil || again.Public != k.Public {
			t.Errorf("%d: imported %q, %v", kind, again.Public, err)
		}
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	for name, text := range map[string]string{"PKCS #1": pkcs1, "with text before": "key:\n" + pkcs1, "with CRLF": strings.ReplaceAll(pkcs1, "\n", "\r\n")} {
		if _, err := Import("s", text, t0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "too long": strings.Repeat("x", MaxPEM) + pkcs1, "words": "hello"} {
		if _, err := Import("s", text, t0); !errors.Is(err, signing.ErrNoPEM) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is imported can sign, is no secret in what is published, and comes back the same.
func FuzzImport(f *testing.F) {
	for _, kind := range []Kind{RSA2048, Ed25519} {
		k, err := Generate("s", kind, t0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.PrivatePEM)
	}
	f.Add("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n")
	f.Add("-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := Import("s", text, t0)
		if err != nil {
			return
		}
		again, err := Import("s", k.PrivatePEM, t0)
		if err != nil || again.Public != k.Public || strings.Contains(k.Public, "PRIVATE") {
			t.Errorf("%v, %s", err, k.Public)
		}
		if _, err := fmt.Sscanf(k.Public, "k=rsa; p="); err != nil && !strings.HasPrefix(k.Public, "k=") {
			t.Errorf("record is %q", k.Public)
		}
	})
}
