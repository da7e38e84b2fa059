package signing

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

const plainMessage = "Date: Mon, 23 Nov 2026 20:00:00 +0000\r\n" +
	"From: Ann <ann@example.com>\r\n" +
	"To: bob@example.net\r\n" +
	"Subject: a  folded\r\n\tsubject \r\n" +
	"Message-ID: <1@example.com>\r\n" +
	"List-Unsubscribe: <https://example.com/u>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"\r\n" +
	"Hello  Bob \r\n\r\n.\r\n \tend\t\r\n\r\n\r\n"

func mustKeys(t testing.TB) map[string]Key {
	t.Helper()
	r, err := GenerateRSA()
	if err != nil {
		t.Fatal(err)
	}
	e, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Key{"rsa": r, "ed25519": e}
}

func sign(t testing.TB, k Key, message string) string {
	t.Helper()
	s, err := NewSigner("example.com", "s1", k, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDigest()
	if _, err := io.WriteString(d, message); err != nil {
		t.Fatal(err)
	}
	field, err := s.Sign(d, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return field
}

// verify asks the other implementation.
func verify(t testing.TB, k Key, message string) error {
	t.Helper()
	txt, err := k.TXT()
	if err != nil {
		t.Fatal(err)
	}
	list, err := dkim.VerifyWithOptions(strings.NewReader(message), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if name != "s1._domainkey.example.com" {
				t.Errorf("asked for %s", name)
			}
			return []string{txt}, nil
		},
	})
	if err != nil {
		return err
	}
	if len(list) != 1 {
		t.Fatalf("%d signatures", len(list))
	}
	return list[0].Err
}

func TestSignatureVerifies(t *testing.T) {
	bodies := map[string]string{
		"as it is":              plainMessage,
		"empty body":            "From: a@example.com\r\n\r\n",
		"body of empty lines":   "From: a@example.com\r\n\r\n\r\n\r\n",
		"body of white space":   "From: a@example.com\r\n\r\n \r\n\t\r\n",
		"leading empty lines":   "From: a@example.com\r\n\r\n\r\n\r\nx\r\n",
		"two Received, From :":  "Received: a\r\nReceived: b\r\nFrom: a@example.com\r\nsubject:x\r\n\r\nx\r\n",
		"two signed duplicates": "List-Id: a\r\nList-Id: b\r\nFrom: a@example.com\r\n\r\nx\r\n",
		"UTF-8 header":          "From: Änn <a@example.com>\r\n\r\nx\r\n",
	}
	for algorithm, k := range mustKeys(t) {
		for name, message := range bodies {
			t.Run(algorithm+"/"+name, func(t *testing.T) {
				field := sign(t, k, message)
				if err := verify(t, k, field+message); err != nil {
					t.Errorf("%v\n%s", err, field)
				}
				for _, line := range strings.Split(field, "\r\n") {
					if len(line) > 78 {
						t.Errorf("line of %d: %s", len(line), line)
					}
				}
				if strings.Contains(field, " l=") {
					t.Error("has l=")
				}
			})
		}
	}
}

// SEC-25: nothing that people see can be added or changed.
func TestChangeBreaksSignature(t *testing.T) {
	k := mustKeys(t)["ed25519"]
	field := sign(t, k, plainMessage)
	for _, name := range oversigned {
		for _, where := range []string{"first", "last"} {
			changed := name + ": x\r\n" + field + plainMessage
			if where == "last" {
				changed = field + strings.Replace(plainMessage, "\r\n\r\n", "\r\n"+name+": x\r\n\r\n", 1)
			}
			if err := verify(t, k, changed); err == nil {
				t.Errorf("verifies with a %s added %s", name, where)
			}
		}
	}
	for _, change := range [][2]string{{"Hello", "hello"}, {"folded", "Folded"}, {"example.com/u", "example.com/v"}, {"end\t\r\n", "end\r\nmore\r\n"}} {
		if err := verify(t, k, field+strings.Replace(plainMessage, change[0], change[1], 1)); err == nil {
			t.Errorf("verifies with %q for %q", change[1], change[0])
		}
	}
	relayed := field + strings.NewReplacer("a  folded\r\n\tsubject", "a folded subject", "Hello  Bob", "Hello \t Bob").Replace(plainMessage) + "\r\n"
	if err := verify(t, k, relayed); err != nil {
		t.Errorf("white space changed on the way: %v", err)
	}
}

func TestSplitWritesGiveTheSameSignature(t *testing.T) {
	k := mustKeys(t)["ed25519"]
	s, _ := NewSigner("example.com", "s1", k, time.Hour)
	now := time.Now()
	whole := NewDigest()
	io.WriteString(whole, plainMessage)
	want, _ := s.Sign(whole, now)
	if !strings.Contains(want, " x=") {
		t.Errorf("no x= in %s", want)
	}
	for step := 1; step < 9; step++ {
		d := NewDigest()
		for chunk := range slices.Chunk([]byte(plainMessage), step) {
			d.Write(chunk)
		}
		if got, _ := s.Sign(d, now); got != want {
			t.Errorf("steps of %d: got %s, want %s", step, got, want)
		}
	}
	if _, err := whole.Write([]byte("x")); err == nil {
		t.Error("takes octets after the signature")
	}
}

// The body hash agrees with a plain reading of RFC 6376 section 3.4.4.
func TestRelaxedBody(t *testing.T) {
	reference := func(body string) []byte {
		var lines []string
		for line := range strings.SplitSeq(body, "\r\n") {
			var b strings.Builder
			blank := false
			for _, c := range []byte(line) {
				if c == ' ' || c == '\t' {
					blank = true
					continue
				}
				if blank {
					b.WriteByte(' ')
				}
				blank = false
				b.WriteByte(c)
			}
			lines = append(lines, b.String())
		}
		for len(lines) > 0 && lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		text := strings.Join(lines, "\r\n")
		if len(lines) > 0 {
			text += "\r\n"
		}
		sum := sha256.Sum256([]byte(text))
		return sum[:]
	}
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"\r\n", "\r\n", " ", "\t", "a", "bc", "\r", "\n"}
	for range 20000 {
		var text strings.Builder
		b := relaxedBody{hash: sha256.New()}
		for range rng.IntN(12) {
			p := pieces[rng.IntN(len(pieces))]
			text.WriteString(p)
			b.write([]byte(p))
		}
		if got, want := b.sum(), reference(text.String()); !bytes.Equal(got, want) {
			t.Fatalf("%q: wrong hash", text.String())
		}
	}
}

func TestSignRefuses(t *testing.T) {
	k := mustKeys(t)["ed25519"]
	for _, c := range []struct{ domain, selector string }{{"", "s"}, {"a.b", ""}, {"a;b", "s"}, {"a.b", "s d=x"}, {"a\r\nb.c", "s"}, {"ä.b", "s"}, {"a..b", "s"}} {
		if _, err := NewSigner(c.domain, c.selector, k, 0); err == nil {
			t.Errorf("%q %q: no error", c.domain, c.selector)
		}
	}
	if _, err := NewSigner("a.b", "s", Key{}, 0); err == nil {
		t.Error("signer without key")
	}
	s, _ := NewSigner("a.b", "s", k, 0)
	d := NewDigest()
	io.WriteString(d, "Subject: x\r\n\r\n")
	if _, err := s.Sign(d, time.Now()); err == nil {
		t.Error("signs a message without From")
	}
	d = NewDigest()
	if _, err := io.Copy(d, io.LimitReader(endless{}, 2*MaxHeader)); !errors.Is(err, ErrHeaderTooLarge) {
		t.Errorf("endless header: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestLargeHeaderEndsWithinOneWrite(t *testing.T) {
	k := mustKeys(t)["ed25519"]
	message := "From: a@example.com\r\n\r\n" + strings.Repeat("line\r\n", MaxHeader/4)
	if err := verify(t, k, sign(t, k, message)+message); err != nil {
		t.Error(err)
	}
}

func TestKeysSurviveStorage(t *testing.T) {
	for name, k := range mustKeys(t) {
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(text)
		if err != nil {
			t.Fatal(name, err)
		}
		got, _ := again.TXT()
		if want, _ := k.TXT(); got != want || !strings.HasPrefix(got, "k="+name+"; p=") {
			t.Errorf("got %s, want %s", got, want)
		}
		block, _ := pem.Decode(text)
		if name == "rsa" {
			private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			der := x509.MarshalPKCS1PrivateKey(private.(*rsa.PrivateKey))
			if _, err := ParseKey(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der})); err != nil {
				t.Errorf("PKCS #1: %v", err)
			}
		}
	}
	for _, text := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	if _, err := (Key{}).TXT(); err == nil {
		t.Error("the zero key has a record")
	}
}

func TestSignersAreSafeTogether(t *testing.T) {
	s, _ := NewSigner("example.com", "s1", mustKeys(t)["rsa"], 0)
	done := make(chan error)
	for range 4 {
		go func() {
			d := NewDigest()
			io.WriteString(d, plainMessage)
			_, err := s.Sign(d, time.Now())
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	body := []byte(strings.Repeat(line, 1<<20/len(line)))
	d := NewDigest()
	io.WriteString(d, "From: a@example.com\r\n\r\n")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		d.Write(body)
	}
}
