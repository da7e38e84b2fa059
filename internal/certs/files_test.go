package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func newCertificate() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.sealpost.test"},
		DNSNames: []string{"mx.sealpost.test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// REL-46
func TestCertificatesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func() *tls.Certificate {
		c, err := newCertificate()
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
			if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	if _, err := Load(certFile, keyFile, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("loaded nothing")
	}
	write()
	c, err := Load(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := c.Get(nil)
	synctest.Test(t, func(t *testing.T) {
		c.checked = time.Now()
		os.WriteFile(certFile, []byte("half a fi"), 0o600)
		time.Sleep(2 * recheck)
		if got, err := c.Get(nil); err != nil || got != first {
			t.Errorf("a broken file took over: %v", err)
		}
		os.Remove(certFile)
		time.Sleep(2 * recheck)
		if got, err := c.Get(nil); err != nil || got != first {
			t.Errorf("a missing file took over: %v", err)
		}
	})
	write()
	os.Chtimes(certFile, time.Now(), time.Now().Add(time.Hour))
	c.checked = time.Time{}
	if got, err := c.Get(nil); err != nil || got == first {
		t.Errorf("not reloaded: %v", err)
	}
}
