package tracking

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openKeyring(t testing.TB, keys store.LinkKeys) *Keyring {
	t.Helper()
	r, err := OpenKeyring(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sampleLinks() []Link {
	return []Link{
		{Kind: Open, DomainID: 1, Message: 0x0123456789abcdef},
		{Kind: Click, DomainID: 3, Message: 0x0123456789abcdef, URL: "https://example.com/a?b=c&d=e#f"},
		{Kind: Click, DomainID: 1 << 40, Message: 1, URL: "http://example.com/"},
		{Kind: Click, DomainID: 1, Message: 1, URL: "HTTPS://Example.com/"},
		{Kind: Unsubscribe, DomainID: 1, Message: 1, Recipient: "ann@example.net"},
		{Kind: UnsubscribeTags, DomainID: 1, Message: 1, Recipient: "ann@example.net", Tags: []string{"news", "a b"}},
		{Kind: UnsubscribeTags, DomainID: 1, Message: 1, Recipient: `"a b"@example.net`, Tags: []string{"news"}},
	}
}

func TestLinksAreReadBack(t *testing.T) {
	r := openKeyring(t, openStore(t))
	seen := map[string]bool{}
	for _, l := range sampleLinks() {
		token := r.Seal(l)
		if got, ok := r.Open(token); !ok || !reflect.DeepEqual(got, l) {
			t.Errorf("%+v came back as %+v, %v", l, got, ok)
		}
		if again := r.Seal(l); again != token {
			t.Errorf("the same link is %s and %s", token, again)
		}
		if seen[token] {
			t.Errorf("two links are %s", token)
		}
		seen[token] = true
		if strings.Trim(token, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
			t.Errorf("token %s needs escapes in an URL", token)
		}
		if last := token[len(token)-1]; last == '-' || last == '_' {
			t.Errorf("token %s ends in what programs leave out of links", token)
		}
		for _, secret := range []string{"ann", "example", l.Recipient, l.URL} {
			if secret != "" && strings.Contains(token, secret) {
				t.Errorf("token %s shows %q", token, secret)
			}
		}
	}
	if n := len(r.Seal(sampleLinks()[0])); n > 40 {
		t.Errorf("the token of an open has %d octets", n)
	}
}

// Not one bit of a token can be changed (SEC-74).
func TestEveryChangeOfATokenIsNoticed(t *testing.T) {
	r := openKeyring(t, openStore(t))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, l := range sampleLinks() {
		token := r.Seal(l)
		for i := range token {
			for _, c := range []byte(alphabet) {
				if c == token[i] {
					continue
				}
				if got, ok := r.Open(token[:i] + string(c) + token[i+1:]); ok {
					t.Fatalf("%q at %d of %s gives %+v", c, i, token, got)
				}
			}
			if _, ok := r.Open(token[:i]); ok {
				t.Fatalf("the first %d octets of %s are a token", i, token)
			}
		}
		for _, other := range []string{token + "A", "A" + token, token + "=", token[:4] + "\n" + token[4:], token[:4] + "\r" + token[4:], " " + token, strings.ToUpper(token), "", "0", strings.Repeat("A", MaxToken+1)} {
			if _, ok := r.Open(other); ok {
				t.Errorf("%q is a token", other)
			}
		}
	}
}

func TestOldKeysStillOpen(t *testing.T) {
	s := openStore(t)
	r := openKeyring(t, s)
	l := sampleLinks()[1]
	var tokens []string
	for range len(slots) + 2 { // so that two keys share a letter
		tokens = append(tokens, r.Seal(l))
		if err := r.Rotate(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	tokens = append(tokens, r.Seal(l))
	for _, ring := range []*Keyring{r, openKeyring(t, s)} {
		for i, token := range tokens {
			if got, ok := ring.Open(token); !ok || !reflect.DeepEqual(got, l) {
				t.Errorf("token of key %d is not opened", i+1)
			}
			if i > 0 && token == tokens[i-1] {
				t.Errorf("keys %d and %d seal alike", i, i+1)
			}
		}
	}
	if got := r.Seal(l); got != tokens[len(tokens)-1] {
		t.Error("the newest key does not seal")
	}
}

func TestKeysOfAnotherServerOpenNothing(t *testing.T) {
	a, b := openKeyring(t, openStore(t)), openKeyring(t, openStore(t))
	for _, l := range sampleLinks() {
		if _, ok := b.Open(a.Seal(l)); ok {
			t.Errorf("%+v was opened", l)
		}
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	if _, err := OpenKeyring(t.Context(), badKeys{}); err == nil {
		t.Error("a secret of 3 octets was taken")
	}
}

type badKeys struct{}

func (badKeys) LinkKeys(context.Context) ([]store.LinkKey, error) {
	return []store.LinkKey{{ID: 1, Secret: []byte("abc")}}, nil
}
func (badKeys) AddLinkKey(context.Context, *store.LinkKey) error { return nil }

func FuzzOpen(f *testing.F) {
	r := &Keyring{}
	if err := r.use([]store.LinkKey{{ID: 1, Secret: make([]byte, store.LinkSecretSize)}}); err != nil {
		f.Fatal(err)
	}
	for _, l := range sampleLinks() {
		f.Add(r.Seal(l))
	}
	f.Fuzz(func(t *testing.T, token string) {
		if l, ok := r.Open(token); ok && r.Seal(l) != token {
			t.Fatalf("%q says %+v, which is %q", token, l, r.Seal(l))
		}
	})
}

// What a link says survives being written, whatever is in it.
func FuzzLink(f *testing.F) {
	f.Add(byte(2), int64(1), int64(1), "https://example.com")
	f.Add(byte(3), int64(1), int64(1), "a")
	f.Add(byte(5), int64(1), int64(1), "a@b\nc\n\n")
	f.Fuzz(func(t *testing.T, kind byte, domain, message int64, text string) {
		if domain < 0 || domain > 1<<62 {
			return
		}
		raw := append([]byte{kind}, (&Link{Kind: Open, DomainID: domain, Message: mail.ID(message)}).encode()[1:]...)
		l, err := decodeLink(append(raw, text...))
		if err != nil {
			return
		}
		again, err := decodeLink(l.encode())
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("%+v became %+v, %v", l, again, err)
		}
		_, _ = decodeLink([]byte(text))
	})
}

func BenchmarkSeal(b *testing.B) {
	r := openKeyring(b, openStore(b))
	l := sampleLinks()[1]
	for b.Loop() {
		r.Seal(l)
	}
}
