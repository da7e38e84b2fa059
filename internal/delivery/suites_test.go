package delivery

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	ourpkix "github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// rsaKey is made once, outside of any bubble: it is slow.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// serveRSAOnly puts a server behind the only host that knows RSA key exchange and
// nothing else, with a certificate that verifies.
func (w *world) serveRSAOnly() *smtptest.Server {
	w.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old"}, DNSNames: []string{"mx.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey())
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(mustParse(der))
	w.d.cfg.Verifier = ourpkix.New(roots)
	return w.serve("192.0.2.1", smtptest.Behaviour{TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: rsaKey()}},
		MaxVersion:   tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
	}})
}

// wantRSAOnly is what each pair of flags gets from such a server.
var wantRSAOnly = [4]string{deliveredVerified, deliveredVerified, deferred + "refused-handshake-failed", deliveredVerified}

// RSA key exchange is offered only where nothing has to verify. A message that needs
// verification does not ride on a connection that has it because an earlier one did not.
func TestPoolKeepsRSAKeyExchangeApart(t *testing.T) {
	rsaKey()
	for first := range 4 {
		for second := range 4 {
			inWorld(t, standard, func(w *world) {
				w.serveRSAOnly()
				for _, pair := range []int{first, second} {
					if got := shortly(w.attempt(job(pairFlags(pair)))); got != wantRSAOnly[pair] {
						t.Errorf("%s of %s, %s: %s, want %s", pairNames[pair], pairNames[first], pairNames[second], got, wantRSAOnly[pair])
					}
				}
			})
		}
	}
}

// Check says of such a server what deliveries meet.
func TestCheckOfRSAKeyExchange(t *testing.T) {
	rsaKey()
	inWorld(t, standard, func(w *world) {
		w.serveRSAOnly()
		c := w.d.Check(w.t.Context(), "example.test")
		synctest.Wait()
		for i, o := range c.Outcomes {
			if want := predicted(wantRSAOnly[i]); o.Delivery != want {
				t.Errorf("%s: %s (%s), want %s", pairNames[i], o.Delivery, o.Result, want)
			}
		}
	})
}

// After a plaintext refusal, the connection that carries the message over TLS after all
// is a session like others: counted once.
func TestSessionAfterRefusedPlaintextIsCounted(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		seen := &observations{}
		w.d.cfg.Reporter = seen
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Expired), RequireTLS: true})
		w.attempt(job(mail.Unset, mail.Unset))
		if got := seen.lines(); len(got) != 2 {
			t.Errorf("two handshakes, observed %q", got)
		}
		w.attempt(job(mail.Unset, mail.True)) // on the connection of the second
		if got := seen.lines(); len(got) != 2 {
			t.Errorf("a used connection was observed again: %q", got)
		}
	})
}
