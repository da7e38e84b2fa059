package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/config"
)

// REL-43: a certificate and a key that do not fit are found before anything switches.
func TestCheckFilesFindsWhatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certPEM, keyPEM := pair(t)
	_, otherPEM := pair(t)
	cert, key, other := write("c.pem", certPEM), write("k.pem", keyPEM), write("o.pem", otherPEM)
	garbage := write("garbage.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	missing := filepath.Join(dir, "missing.pem")

	valid := config.Default()
	tests := []struct {
		name   string
		change func(c *config.Config)
		want   string // in the error; empty: none
	}{
		{"no files named", func(c *config.Config) {}, ""},
		{"all good", func(c *config.Config) {
			c.HTTP.TLS, c.HTTP.CertFile, c.HTTP.KeyFile = config.TLSFiles, cert, key
			c.Submission.CertFile, c.Submission.KeyFile, c.Delivery.CAFile = cert, key, cert
			c.Server.DataDir = dir
		}, ""},
		{"key of another certificate", func(c *config.Config) {
			c.HTTP.TLS, c.HTTP.CertFile, c.HTTP.KeyFile = config.TLSFiles, cert, other
		}, "belong together"},
		{"files missing", func(c *config.Config) { c.Submission.CertFile, c.Submission.KeyFile = missing, key }, "submission.cert_file"},
		{"key missing", func(c *config.Config) { c.Submission.CertFile, c.Submission.KeyFile = cert, missing }, "its key: "},
		{"bad PEM", func(c *config.Config) { c.Submission.CertFile, c.Submission.KeyFile = garbage, key }, "must be PEM"},
		{"authorities: bad certificate", func(c *config.Config) { c.Delivery.CAFile = garbage }, "certificate 1: "},
		{"authorities: a key", func(c *config.Config) { c.Delivery.CAFile = key }, `block of type "PRIVATE KEY"`},
		{"authorities: empty", func(c *config.Config) { c.Delivery.CAFile = write("empty.pem", nil) }, "is not PEM"},
		{"authorities: text after them", func(c *config.Config) {
			c.Delivery.CAFile = write("tail.pem", append(append([]byte(nil), certPEM...), "tail"...))
		}, "something after them"},
		{"data folder is a file", func(c *config.Config) { c.Server.DataDir = cert }, "is a file; name a folder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid
			c.Server.DataDir = missing // serve makes it
			tt.change(&c)
			err := c.CheckFiles()
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want none", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"x.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}
