package realmta_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/realdns"
	"github.com/sealpost/sealpost/internal/realmta"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// What Postfix says of a real Postfix, over names that a real unbound validated: every
// word that the parser knows comes from here.
func TestFinger(t *testing.T) {
	pki := smtptest.NewPKI(t)
	made := pki.Cert(t, smtptest.Valid, "mx.ta.test", "mx.pkix.test")
	var chain []byte
	for _, der := range made.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, issuer := parseCertificate(t, made.Certificate[0]), parseCertificate(t, made.Certificate[1])
	server := realmta.StartPostfix(t, realmta.Options{
		Hostname: "mx.ta.test", Certificate: chain, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	})
	tlsServer, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	// The others listen on the same port, as in the world.
	network := fmt.Sprintf("127.%d.%d.", 16+rand.IntN(200), rand.IntN(250))
	plainServer, nobody, rejecting, alerting := network+"2", network+"3", network+"4", network+"5"
	realmta.StartPostfix(t, realmta.Options{Listen: net.JoinHostPort(plainServer, port)})
	script(t, net.JoinHostPort(rejecting, port), smtptest.Behaviour{STARTTLS: smtptest.TLSReject, Certificate: made})
	script(t, net.JoinHostPort(alerting, port), smtptest.Behaviour{STARTTLS: smtptest.TLSAlertAfterHello, Certificate: made})

	ee := fmt.Sprintf("3 1 1 %X", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	ee512 := fmt.Sprintf("3 0 2 %X", sha512.Sum512(leaf.Raw))
	whole := fmt.Sprintf("3 1 0 %X", leaf.RawSubjectPublicKeyInfo)
	ta := fmt.Sprintf("2 0 1 %X", sha256.Sum256(issuer.Raw))
	other := fmt.Sprintf("3 1 1 %X", sha256.Sum256(nil))
	pkixEE := "1" + ee[1:]
	// zone is a domain with one MX host, at an address, with TLSA records.
	zone := func(name, at string, tlsa ...string) realdns.Zone {
		records := "@ MX 10 mx\nmx A " + at + "\n"
		for _, r := range tlsa {
			records += "_" + port + "._tcp.mx TLSA " + r + "\n"
		}
		return realdns.Zone{Name: name, Signed: true, Records: records}
	}
	unsigned := func(z realdns.Zone) realdns.Zone {
		z.Signed = false
		return z
	}
	broken := func(z realdns.Zone, b realdns.Break) realdns.Zone {
		z.Breaks = []realdns.Break{b}
		return z
	}
	hashed := func(z realdns.Zone) realdns.Zone {
		z.NSEC3 = true
		return z
	}

	const (
		none, unusable, usable, failed, untold = realmta.TLSANone, realmta.TLSAUnusable, realmta.TLSAUsable, realmta.TLSAFailed, realmta.TLSAUntold
		noTLS, untrusted, trusted, verified    = realmta.NoTLS, realmta.Untrusted, realmta.Trusted, realmta.Verified
	)
	tests := []struct {
		zone     realdns.Zone
		tlsa     realmta.FingerTLSA
		trust    realmta.FingerTrust
		matched  string
		delivers bool
		failure  string
	}{
		{zone("ee.test", tlsServer, ee), usable, verified, ee, true, ""},
		{zone("ee512.test", tlsServer, ee512), usable, verified, ee512, true, ""},
		{zone("whole.test", tlsServer, whole), usable, verified, whole, true, ""},
		{zone("both.test", tlsServer, other, ee), usable, verified, ee, true, ""},
		{zone("other.test", tlsServer, other), usable, untrusted, "", false, ""},
		// DANE-TA looks at the name too: the certificate is for mx.ta.test.
		{zone("ta.test", tlsServer, ta), usable, verified, ta, true, ""},
		{zone("ta-name.test", tlsServer, ta), usable, untrusted, "", false, ""},
		// Nothing that can be used: TLS, with whomever.
		{zone("pkix-ee.test", tlsServer, pkixEE), unusable, untrusted, "", true, ""},
		{zone("short.test", tlsServer, "3 1 1 0011"), unusable, untrusted, "", true, ""},
		{zone("unusable-plain.test", plainServer, pkixEE), unusable, noTLS, "", false, ""},
		// Nothing there, with and without proof: DANE has no say, and the other rules judge.
		{zone("none.test", tlsServer), none, untrusted, "", true, ""},
		{hashed(zone("none3.test", tlsServer)), none, untrusted, "", true, ""},
		{zone("pkix.test", tlsServer), none, verified, "", true, ""}, // the certificate has this name too
		{zone("none-plain.test", plainServer), none, noTLS, "", true, ""},
		{unsigned(zone("unsigned.test", tlsServer, other)), none, untrusted, "", true, ""},
		// No TLS where a match is demanded.
		{zone("ee-plain.test", plainServer, ee), usable, noTLS, "", false, ""},
		{zone("ee-reject.test", rejecting, ee), usable, noTLS, "", false, ""},
		{zone("ee-alert.test", alerting, ee), usable, noTLS, "", false, "SSL_connect error"},
		{zone("ee-refused.test", nobody, ee), usable, noTLS, "", false, "Connection refused"},
		// Could not find out.
		{broken(zone("bogus.test", tlsServer, ee), realdns.Break{How: realdns.WrongSignature, Type: "TLSA"}), failed, noTLS, "", false, "TLSA lookup error"},
		{broken(zone("expired.test", tlsServer, ee), realdns.Break{How: realdns.Expired, Type: "TLSA"}), failed, noTLS, "", false, "TLSA lookup error"},
		{broken(zone("no-denial.test", tlsServer), realdns.Break{How: realdns.NoDenial}), failed, noTLS, "", false, "TLSA lookup error"},
		{broken(zone("bogus-a.test", tlsServer, ee), realdns.Break{How: realdns.WrongSignature, Name: "mx", Type: "A"}), untold, noTLS, "", false, "try again"},
		{broken(zone("bogus-mx.test", tlsServer, ee), realdns.Break{How: realdns.WrongSignature, Name: "@", Type: "MX"}), untold, noTLS, "", false, "try again"},
		{realdns.Zone{Name: "null.test", Records: "@ MX 0 .\n"}, untold, noTLS, "", false, "nullMX"},
		// RFC 7672 section 2.2.1: MX records without DNSSEC, a host with it. A match is worth less.
		{unsigned(realdns.Zone{Name: "leads-to-ee.test", Records: "@ MX 10 mx.ee.test.\n"}), usable, trusted, ee, true, ""},
		{unsigned(realdns.Zone{Name: "leads-to-other.test", Records: "@ MX 10 mx.other.test.\n"}), usable, untrusted, "", false, ""},
		// RFC 7672 section 2.2.3: the end of the aliases first; an alias into an unsigned zone is no DANE.
		{realdns.Zone{Name: "alias.test", Signed: true, Records: "@ MX 10 mx\nmx CNAME mx.ee.test.\n_" + port + "._tcp.mx TLSA " + other + "\n"},
			usable, verified, ee, true, ""},
		{realdns.Zone{Name: "leaves.test", Signed: true, Records: "@ MX 10 mx\nmx A " + tlsServer + "\n_" + port + "._tcp.mx CNAME _" + port + "._tcp.mx.unsigned.test.\n"},
			none, untrusted, "", true, ""},
	}
	var zones []realdns.Zone
	for _, tt := range tests {
		zones = append(zones, tt.zone)
	}
	finger := realmta.NewFinger(t, realdns.Start(t, realdns.World{Zones: zones}).Addr(), pki.RootPEM)
	for _, tt := range tests {
		got := finger.Probe(t, tt.zone.Name+":"+port)
		if got.TLSA != tt.tlsa || got.Trust != tt.trust || !sameRecord(got.Matched, tt.matched) || got.Delivers() != tt.delivers ||
			!strings.Contains(got.Failure, tt.failure) || (got.Failure == "") != (tt.failure == "") {
			t.Errorf("%s: got %s, delivers %t\nwant TLSA %s, %s, matches %q, delivers %t, failure with %q\n%s",
				tt.zone.Name, got, got.Delivers(), tt.tlsa, tt.trust, tt.matched, tt.delivers, tt.failure, got.Output)
		}
		if want := strings.HasPrefix(tt.zone.Name, "leads-to-"); got.InsecureMX != want {
			t.Errorf("%s: insecure MX %t, want %t", tt.zone.Name, got.InsecureMX, want)
		}
		if want := got.Trust != noTLS || tt.zone.Name == "ee-reject.test" || tt.zone.Name == "ee-alert.test"; got.STARTTLS != want {
			t.Errorf("%s: STARTTLS %t, want %t", tt.zone.Name, got.STARTTLS, want)
		}
		if (got.Protocol != "") != (got.Trust != noTLS) {
			t.Errorf("%s: protocol %q with %s", tt.zone.Name, got.Protocol, got.Trust)
		}
	}

	one := finger.Probe(t, "[mx.ee.test]:"+port)
	if one.Trust != verified || !sameRecord(one.Matched, ee) || len(one.Records) != 1 || one.Records[0] != ee {
		t.Errorf("one host: got %s with %q, want Verified by %s", one, one.Records, ee)
	}
}

// sameRecord compares a record with what the program shows of it, which is not all of long ones.
func sameRecord(shown, record string) bool {
	start, end, cut := strings.Cut(shown, "...")
	if !cut {
		return shown == record
	}
	return strings.HasPrefix(record, start) && strings.HasSuffix(record, end)
}

// script starts a scripted server at an address.
func script(t *testing.T, at string, b smtptest.Behaviour) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	server := smtptest.New(b)
	t.Cleanup(server.Close)
	server.Serve(l)
}

func parseCertificate(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
