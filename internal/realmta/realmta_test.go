package realmta_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/realmta"
)

const hostname = "mx1.recipient.test"

func servers() map[string]func(testing.TB, realmta.Options) *realmta.Server {
	return map[string]func(testing.TB, realmta.Options) *realmta.Server{
		"postfix": realmta.StartPostfix,
		"exim":    realmta.StartExim,
	}
}

func TestStoresMailThatCameThroughSTARTTLS(t *testing.T) {
	for name, start := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certificate, key, roots := selfSigned(t)
			server := start(t, realmta.Options{
				Hostname: hostname, Domains: []string{"recipient.test", "other.test"},
				Certificate: certificate, Key: key, RequireTLS: true,
			})
			client := dial(t, server.Addr)

			err := client.Mail("app@sender.test")
			if err == nil || !strings.Contains(err.Error(), "STARTTLS") {
				t.Errorf("MAIL before STARTTLS: got %v, want a refusal that names STARTTLS", err)
			}
			if err := client.StartTLS(&tls.Config{RootCAs: roots, ServerName: hostname}); err != nil {
				t.Fatalf("STARTTLS: %v", err)
			}
			send(t, client, "app@sender.test", "Subject: hello\r\n\r\nA line.\r\n", "amy@recipient.test", "Bob@other.test")

			got := server.Wait(t, 2)
			if len(got) != 2 {
				t.Fatalf("got %d messages, want 2", len(got))
			}
			var recipients []string
			for _, m := range got {
				recipients = append(recipients, m.Recipient)
				if m.ReversePath != "app@sender.test" {
					t.Errorf("reverse-path: got %q, want app@sender.test", m.ReversePath)
				}
				// ESMTPS, or UTF8SMTPS (RFC 6531 section 4.3).
				if received := strings.ToLower(m.Received()); !strings.Contains(received, "smtps") {
					t.Errorf("Received: got %q, want it to say with ESMTPS", m.Received())
				}
				if !strings.Contains(string(m.Data), "Subject: hello\n") || !strings.HasSuffix(string(m.Data), "\n\nA line.\n") {
					t.Errorf("data: got %q", m.Data)
				}
			}
			slices.Sort(recipients)
			if want := []string{"Bob@other.test", "amy@recipient.test"}; !slices.Equal(recipients, want) {
				t.Errorf("recipients: got %q, want %q", recipients, want)
			}
		})
	}
}

func TestStoresMailInTheClearAndRelaysNothing(t *testing.T) {
	for name, start := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, realmta.Options{Hostname: hostname, Domains: []string{"recipient.test"}})
			client := dial(t, server.Addr)
			if offered, _ := client.Extension("STARTTLS"); offered {
				t.Error("STARTTLS is offered without a certificate")
			}
			if err := client.Mail("app@sender.test"); err != nil {
				t.Fatal(err)
			}
			if err := client.Rcpt("amy@elsewhere.test"); err == nil {
				t.Error("a foreign recipient was accepted")
			}
			if err := client.Reset(); err != nil {
				t.Fatal(err)
			}
			send(t, client, "", "Subject: bounce\r\n\r\nx\r\n", "amy@recipient.test")
			if got := server.Wait(t, 1)[0]; got.ReversePath != "" || got.Recipient != "amy@recipient.test" {
				t.Errorf("got %q to %q, want the null reverse-path to amy@recipient.test", got.ReversePath, got.Recipient)
			}
			server.Stop()
			if conn, err := net.Dial("tcp", server.Addr); err == nil {
				conn.Close()
				t.Error("something listens after Stop")
			}
			if got, err := server.Messages(); err != nil || len(got) != 1 {
				t.Errorf("after Stop: got %d messages, %v; want 1", len(got), err)
			}
		})
	}
}

func dial(t *testing.T, addr string) *smtp.Client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	client, err := smtp.NewClient(conn, hostname)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func send(t *testing.T, client *smtp.Client, from, data string, to ...string) {
	t.Helper()
	if err := client.Mail(from); err != nil {
		t.Fatalf("MAIL: %v", err)
	}
	for _, recipient := range to {
		if err := client.Rcpt(recipient); err != nil {
			t.Fatalf("RCPT %s: %v", recipient, err)
		}
	}
	w, err := client.Data()
	if err != nil {
		t.Fatalf("DATA: %v", err)
	}
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("final dot: %v", err)
	}
}

func selfSigned(t *testing.T) (certificate, key []byte, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hostname}, DNSNames: []string{hostname},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return certificate, key, roots
}
