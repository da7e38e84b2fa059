package pkix

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/smtptest"
)

func chainOf(t *testing.T, c tls.Certificate) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	return chain
}

func TestVerify(t *testing.T) {
	pki := smtptest.NewPKI(t)
	v := New(pki.Roots)
	tests := []struct {
		kind smtptest.CertKind
		name string
		want []string
	}{
		{smtptest.Valid, "mx.test", nil},
		{smtptest.Valid, "MX.test", nil},
		{smtptest.Valid, "other.test", []string{NameMismatch}},
		{smtptest.Expired, "mx.test", []string{Expired}},
		{smtptest.Expired, "other.test", []string{Expired, NameMismatch}},
		{smtptest.NotYetValid, "mx.test", []string{NotYetValid}},
		{smtptest.SelfSigned, "mx.test", []string{SelfSigned}},
		{smtptest.SelfSigned, "other.test", []string{NameMismatch, SelfSigned}},
		{smtptest.WrongName, "mx.test", []string{NameMismatch}},
		{smtptest.UnknownCA, "mx.test", []string{UnknownCA}},
		{smtptest.IncompleteChain, "mx.test", []string{IncompleteChain}},
	}
	for _, tt := range tests {
		got := v.Verify(chainOf(t, pki.Cert(t, tt.kind, "mx.test")), tt.name)
		if !slices.Equal(got.Errors, tt.want) || got.Verified != (tt.want == nil) {
			t.Errorf("%s for %s: %+v, want %v", tt.kind, tt.name, got, tt.want)
		}
	}
	if got := v.Verify(nil, "mx.test"); got.Verified || !slices.Equal(got.Errors, []string{NoCertificate}) {
		t.Errorf("no certificate: %+v", got)
	}
}

// RFC 9525: a wildcard is one whole left-most label; the subject's CN is nothing.
func TestNames(t *testing.T) {
	pki := smtptest.NewPKI(t)
	v := New(pki.Roots)
	wildcard := chainOf(t, pki.Cert(t, smtptest.Valid, "*.example.test"))
	for name, want := range map[string]bool{"a.example.test": true, "example.test": false, "a.b.example.test": false} {
		if got := v.Verify(wildcard, name).Verified; got != want {
			t.Errorf("*.example.test for %s: %t", name, got)
		}
	}
	template := smtptest.LeafTemplate("other.test")
	template.Subject.CommonName = "mx.test"
	c, err := pki.IssueTemplate(template)
	if err != nil {
		t.Fatal(err)
	}
	if v.Verify(chainOf(t, c), "mx.test").Verified {
		t.Error("a common name was taken for a name")
	}
}

func TestKeyUsage(t *testing.T) {
	pki := smtptest.NewPKI(t)
	template := smtptest.LeafTemplate("mx.test")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c, err := pki.IssueTemplate(template)
	if err != nil {
		t.Fatal(err)
	}
	if got := New(pki.Roots).Verify(chainOf(t, c), "mx.test"); !slices.Equal(got.Errors, []string{KeyUsage}) {
		t.Errorf("%+v", got)
	}
}

// A remembered chain is forgotten when its certificate expires, and is remembered
// for its name only.
func TestCache(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		template := smtptest.LeafTemplate("mx.test")
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(5*time.Minute)
		c, err := pki.IssueTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		chain := chainOf(t, c)
		v := New(pki.Roots)
		for range 2 {
			if got := v.Verify(chain, "mx.test"); !got.Verified || got.Name != "mx.test" {
				t.Fatalf("%+v", got)
			}
		}
		if len(v.cache) != 1 {
			t.Errorf("%d chains remembered", len(v.cache))
		}
		if v.Verify(chain, "other.test").Verified {
			t.Error("remembered for another name")
		}
		time.Sleep(5*time.Minute + time.Second)
		if got := v.Verify(chain, "mx.test"); got.Verified || !slices.Equal(got.Errors, []string{Expired}) {
			t.Errorf("after its end: %+v", got)
		}
		// An empty pool proves that the memory, not the roots, would have answered.
		v.roots = x509.NewCertPool()
		if v.Verify(chain, "mx.test").Verified {
			t.Error("remembered past its end")
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	v := New(x509.NewCertPool())
	for i := range cacheSize + 10 {
		v.remember([32]byte{byte(i), byte(i >> 8)}, time.Now(), time.Now().Add(time.Hour))
	}
	if len(v.cache) > cacheSize {
		t.Errorf("%d entries", len(v.cache))
	}
}

// Without a single root everything would look untrusted: refused.
func TestLoadRoots(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadRoots(empty); err == nil {
		t.Error("a file without certificates was accepted")
	}
	if _, err := LoadRoots(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file was accepted")
	}
	// The system pool is read once per process, so its emptiness is shown on what
	// LoadRoots compares with.
	if pool, err := LoadRoots(""); err != nil && !errors.Is(err, ErrNoRoots) || err == nil && pool.Equal(x509.NewCertPool()) {
		t.Errorf("empty pool: %v", err)
	}
	pki := smtptest.NewPKI(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pki.RootPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	pool, err := LoadRoots(ca)
	if err != nil {
		t.Fatal(err)
	}
	if !New(pool).Verify(chainOf(t, pki.Cert(t, smtptest.Valid, "mx.test")), "mx.test").Verified {
		t.Error("the file's root is not used")
	}
}
