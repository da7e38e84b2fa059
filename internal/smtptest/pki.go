package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// A CertKind is a certificate's one fault, or none.
type CertKind uint8

const (
	Valid           CertKind = iota
	SelfSigned               // for the right name
	WrongName                // for wrong-name.invalid instead
	Expired                  // in 1999
	NotYetValid              // before 2090
	UnknownCA                // complete chain to a root that is not in the pool
	IncompleteChain          // the intermediate is not sent; the leaf names its URL
)

var certKindNames = [...]string{
	"valid", "self-signed", "wrong-name", "expired", "not-yet-valid", "unknown-ca", "incomplete-chain",
}

// String returns the kind's name.
func (k CertKind) String() string {
	if int(k) < len(certKindNames) {
		return certKindNames[k]
	}
	return fmt.Sprintf("certificate kind %d", uint8(k))
}

// The dates suit the real clock and that of testing/synctest, which starts in 2000.
func date(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

// A PKI is a root, an intermediate below it, and another root that nobody
// trusts. All keys are ECDSA P-256. It is safe for concurrent use.
type PKI struct {
	Roots        *x509.CertPool // holds the trusted root alone
	RootPEM      []byte         // the same, as a file would hold it
	Root         *x509.Certificate
	Intermediate *x509.Certificate

	issuer, stranger authority
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewPKI makes a PKI for a test.
func NewPKI(t TB) *PKI {
	t.Helper()
	p, err := MakePKI()
	if err != nil {
		t.Fatalf("make PKI: %v", err)
	}
	return p
}

// MakePKI makes a PKI.
func MakePKI() (*PKI, error) {
	root, err := newAuthority("smtptest root", nil)
	if err != nil {
		return nil, err
	}
	issuer, err := newAuthority("smtptest intermediate", &root)
	if err != nil {
		return nil, err
	}
	stranger, err := newAuthority("smtptest stranger", nil)
	if err != nil {
		return nil, err
	}
	p := &PKI{
		Roots:        x509.NewCertPool(),
		RootPEM:      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw}),
		Root:         root.cert,
		Intermediate: issuer.cert,
		issuer:       issuer,
		stranger:     stranger,
	}
	p.Roots.AddCert(root.cert)
	return p, nil
}

func newAuthority(name string, parent *authority) (authority, error) {
	cert, key, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             date(1990),
		NotAfter:              date(2120),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, parent)
	return authority{cert, key}, err
}

// sign makes a key and a certificate for it; without a parent it signs itself.
func sign(template *x509.Certificate, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, fmt.Errorf("choose serial number: %w", err)
	}
	by := authority{template, key}
	if parent != nil {
		by = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// Cert issues a certificate of the given kind for names, at least one.
func (p *PKI) Cert(t TB, kind CertKind, names ...string) tls.Certificate {
	t.Helper()
	cert, err := p.Issue(kind, names...)
	if err != nil {
		t.Fatalf("issue certificate: %v", err)
	}
	return cert
}

// Issue is Cert for programs that are not tests.
func (p *PKI) Issue(kind CertKind, names ...string) (tls.Certificate, error) {
	template := LeafTemplate(names...)
	parent := &p.issuer
	switch kind {
	case SelfSigned:
		parent = nil
	case WrongName:
		template.DNSNames = []string{"wrong-name.invalid"}
	case Expired:
		template.NotBefore, template.NotAfter = date(1998), date(1999)
	case NotYetValid:
		template.NotBefore, template.NotAfter = date(2090), date(2100)
	case UnknownCA:
		parent = &p.stranger
	case IncompleteChain:
		template.IssuingCertificateURL = []string{"http://ca.invalid/intermediate.crt"}
	}
	cert, err := p.issue(template, parent)
	if kind == IncompleteChain && err == nil {
		cert.Certificate = cert.Certificate[:1]
	}
	return cert, err
}

// IssueTemplate issues a certificate as template says, under the intermediate,
// for certificates that expire during a test and other special wishes.
func (p *PKI) IssueTemplate(template *x509.Certificate) (tls.Certificate, error) {
	return p.issue(template, &p.issuer)
}

func (p *PKI) issue(template *x509.Certificate, parent *authority) (tls.Certificate, error) {
	leaf, key, err := sign(template, parent)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain := [][]byte{leaf.Raw}
	if parent != nil {
		chain = append(chain, parent.cert.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// LeafTemplate returns the template of a valid server certificate for names.
func LeafTemplate(names ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "smtptest leaf"},
		DNSNames:    names,
		NotBefore:   date(1999),
		NotAfter:    date(2099),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}
