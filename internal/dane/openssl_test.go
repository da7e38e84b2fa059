package dane_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/dane"
)

// OpenSSL has the implementation of DANE that most mail servers use, Postfix among them.
// It gets every row of the table over a real handshake, and must agree, or the row says
// why not.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("no openssl: install the Debian package openssl")
	}
	for _, tt := range rows(t) {
		if tt.names != nil {
			continue // its test client takes one name only
		}
		r := usable(t, tt.records...)
		if len(r.Records) > r.Records.Usable() && !digestsOnly(r.Records) {
			continue // it refuses such records when they are given, before any chain
		}
		matched := secondOpinion(t, openssl, tt)
		if ours := tt.match != noMatch; matched != ours && tt.differs == "" {
			t.Errorf("%s: OpenSSL matches: %t, we: %t", tt.name, matched, ours)
		} else if matched == ours && tt.differs != "" {
			t.Errorf("%s: OpenSSL agrees now, though it %q", tt.name, tt.differs)
		}
	}
}

// digestsOnly reports whether nothing but digest agility took records out.
func digestsOnly(rs dane.Records) bool {
	for _, r := range rs {
		if r.Problem != dane.Usable && r.Problem != dane.WeakerDigest {
			return false
		}
	}
	return true
}

// secondOpinion serves the row's chain and reports whether openssl completes the
// handshake.
func secondOpinion(t *testing.T, openssl string, tt row) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	config := &tls.Config{Certificates: []tls.Certificate{tlsCert(tt.chain...)}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		server := tls.Server(conn, config)
		if server.HandshakeContext(ctx) == nil {
			_, _ = server.Read(make([]byte, 1)) // until it hangs up
		}
	}()
	args := []string{
		"s_client", "-connect", listener.Addr().String(), "-servername", base, "-brief",
		"-no-CAfile", "-no-CApath", "-no-CAstore", "-verify_return_error",
		"-dane_tlsa_domain", base, "-dane_ee_no_namechecks", // RFC 7672 section 3.1.1
	}
	for _, r := range tt.records {
		args = append(args, "-dane_tlsa_rrdata", presentation(r))
	}
	out, err := exec.CommandContext(ctx, openssl, args...).CombinedOutput()
	listener.Close()
	<-served
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", tt.name, err)
	}
	if !strings.Contains(string(out), "Verif") && !strings.Contains(string(out), "verify") {
		t.Fatalf("%s: openssl judged nothing:\n%s", tt.name, out)
	}
	return err == nil && strings.Contains(string(out), "Verification: OK")
}
