package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtptest"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// A hundred days of exceptions: each ends on its own day, the log says so once, and in
// the words of the system.
func TestExceptionsEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))) // ids begin in 2024
		s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		start := time.Now().UTC()
		o := mail.Override{Target: "to.example", DANE: mail.Ignore, Author: "operator", Reason: "x", Expires: start.Add(24 * time.Hour)}
		if err := s.CreateOverride(t.Context(), &o, false); err != nil {
			t.Fatal(err)
		}
		d := store.Domain{Name: "from.example", State: store.DomainActive,
			Delivery: mail.DomainDelivery{STS: mail.Audit, PolicyUntil: start.Add(48 * time.Hour), DeferDowngrade: true}}
		if err := s.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		a := &app{store: s, log: slog.New(slog.DiscardHandler)}
		running := make(chan struct{})
		go func() { a.keepExceptions(t.Context()); close(running) }()
		log := func() string {
			t.Helper()
			synctest.Wait()
			list, err := s.AuditLog(t.Context(), store.AuditQuery{})
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, e := range slices.Backward(list) {
				lines = append(lines, fmt.Sprintf("day %d %s %s %s", e.Time.Sub(start)/(24*time.Hour), e.Actor, e.Action, e.Kind))
			}
			return strings.Join(lines, "; ")
		}
		want := "day 0 system create override; day 0 system create domain"
		time.Sleep(24*time.Hour - time.Minute)
		if got := log(); got != want {
			t.Errorf("before the end: %s", got)
		}
		time.Sleep(2 * time.Minute)
		want += "; day 1 system expire override"
		if got := log(); got != want {
			t.Errorf("after a day: %s", got)
		}
		time.Sleep(24 * time.Hour)
		want += "; day 2 system update domain"
		if got := log(); got != want {
			t.Errorf("after two days: %s", got)
		}
		got, err := s.Domain(t.Context(), "from.example")
		if err != nil || got.Delivery.STS != "" || !got.Delivery.PolicyUntil.IsZero() || !got.Delivery.DeferDowngrade {
			t.Errorf("the domain has %+v, %v", got.Delivery, err)
		}
		time.Sleep(98 * 24 * time.Hour)
		if got := log(); got != want {
			t.Errorf("after a hundred days: %s", got)
		}
		if list, err := s.ListOverrides(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("an override is listed %d days after its end: %v", 99, err)
		}
	})
}

func TestClientCertificate(t *testing.T) {
	dir := t.TempDir()
	a := &app{cfg: config.Config{Server: config.Server{DataDir: dir}}}
	if err := a.checkClientCert("bank"); err == nil || !strings.Contains(err.Error(), "client-certs/bank.pem") {
		t.Errorf("without a file: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, clientCertsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, clientCertsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := a.checkClientCert("bank"); err == nil || !strings.Contains(err.Error(), "set it to 0700") {
		t.Errorf("in a folder that all may read: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, clientCertsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	pki := smtptest.NewPKI(t)
	write := func(parts ...[]byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, clientCertsDir, "bank.pem"), slices.Concat(parts...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, old := pki.Cert(t, smtptest.Valid, "client.example"), pki.Cert(t, smtptest.Expired, "client.example")
	for _, c := range []struct {
		name  string
		parts [][]byte
		want  string
	}{
		{"chain and key", [][]byte{chainPEM(good), keyPEM(t, good)}, ""},
		{"key first", [][]byte{keyPEM(t, good), chainPEM(good)}, ""},
		{"no key", [][]byte{chainPEM(good)}, "private key"},
		{"no certificate", [][]byte{keyPEM(t, good)}, "certificate chain"},
		{"another's key", [][]byte{chainPEM(good), keyPEM(t, pki.Cert(t, smtptest.Valid, "x.example"))}, "does not match"},
		{"expired", [][]byte{chainPEM(old), keyPEM(t, old)}, "has expired on 1999-01-01"},
		{"empty", nil, "certificate chain"},
	} {
		write(c.parts...)
		err := a.checkClientCert("bank")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), dir) {
			t.Errorf("%s: the client is told a path of this host: %v", c.name, err)
		}
	}
}

func chainPEM(c tls.Certificate) []byte {
	var b bytes.Buffer
	for _, der := range c.Certificate {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.Bytes()
}

func keyPEM(t *testing.T, c tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
