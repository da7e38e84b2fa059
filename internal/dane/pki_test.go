package dane_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

const (
	base    = "mx.example.test"
	nextHop = "example.test"
)

// A signer is a certificate with its key.
type signer struct {
	*x509.Certificate
	key crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate that parent signs, or that signs itself when parent is nil.
func issue(t testing.TB, parent *signer, template *x509.Certificate, key crypto.Signer) *signer {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	up, upKey := template, key
	if parent != nil {
		up, upKey = parent.Certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, up, key.Public(), upKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{cert, key}
}

// ca is a template for an authority, leaf one for a server.
func ca(name string, change ...func(*x509.Certificate)) *x509.Certificate {
	return with(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign,
	}, change)
}

func leaf(change ...func(*x509.Certificate)) *x509.Certificate {
	return with(&x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{base}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, change)
}

func with(c *x509.Certificate, change []func(*x509.Certificate)) *x509.Certificate {
	for _, f := range change {
		f(c)
	}
	return c
}

// Changes to templates.
func named(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
}

func notYet(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
}

// chainOf is what a server with these presents.
func chainOf(certs ...*signer) []*x509.Certificate {
	var chain []*x509.Certificate
	for _, c := range certs {
		chain = append(chain, c.Certificate)
	}
	return chain
}

func tlsCert(certs ...*signer) tls.Certificate {
	c := tls.Certificate{PrivateKey: certs[0].key}
	for _, s := range certs {
		c.Certificate = append(c.Certificate, s.Raw)
	}
	return c
}

// tlsa makes the record "usage selector matching" about a certificate.
func tlsa(t testing.TB, spec string, c *signer) dnssec.TLSAData {
	t.Helper()
	var n [3]uint8
	for i, f := range strings.Fields(spec) {
		v, err := strconv.ParseUint(f, 10, 8)
		if err != nil {
			t.Fatal(err)
		}
		n[i] = uint8(v)
	}
	data := c.Raw
	if n[1] == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch n[2] {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return dnssec.TLSAData{Usage: n[0], Selector: n[1], Matching: n[2], Data: data}
}

// resultOf is what Lookup says when these records are found under base.
func resultOf(t testing.TB, records ...dnssec.TLSAData) dane.Result {
	t.Helper()
	o := make([]dnssec.StaticRecord, len(records))
	for i, r := range records {
		o[i] = dnssec.StaticRecord{Name: "_25._tcp." + base, Type: dnssec.TLSA, Record: dnssec.Record{TLSA: r}}
	}
	overlay, err := dnssec.NewOverlay(nil, nextHop, true, o)
	if err != nil {
		t.Fatal(err)
	}
	return dane.New(overlay, 0).Lookup(t.Context(), base, dane.Addresses{Secure: true})
}

func usable(t testing.TB, records ...dnssec.TLSAData) dane.Result {
	t.Helper()
	r := resultOf(t, records...)
	if r.State != tlspolicy.TLSAUsable {
		t.Fatalf("state %d: %v", r.State, r.Records)
	}
	return r
}

// presentation is a record as its String has it.
func presentation(d dnssec.TLSAData) string {
	return fmt.Sprintf("%d %d %d %x", d.Usage, d.Selector, d.Matching, d.Data)
}
