package smtptest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// A wire is the crudest of clients.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func open(t *testing.T, s *smtptest.Server) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{t, conn, bufio.NewReader(conn)}
}

// say writes text and returns the next reply's last line.
func (w *wire) say(text string) string {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, text); err != nil {
		w.t.Fatal(err)
	}
	return w.hear()
}

func (w *wire) hear() string {
	w.t.Helper()
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		if len(line) > 3 && line[3] != '-' {
			return strings.TrimRight(line, "\r\n")
		}
	}
}

func TestDialogueIsRecorded(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{})
	w := open(t, s)
	dialogue := []struct{ say, want string }{
		{"", "220 mx.test ESMTP"},
		{"EHLO me\r\n", "250 CHUNKING"},
		{"DATA\r\n", "554 5.5.1 no valid recipients"},
		{"MAIL FROM:<a@b.test> SIZE=3\r\n", "250 2.1.0 OK"},
		{"mail from:<a@b.test>\r\n", "503 5.5.1 nested MAIL"},
		{"RCPT TO:<\"x>y\"@b.test>\r\n", "250 2.1.5 OK"},
		{"DATA\r\n", "354 go ahead"},
		// SEC-01: only CRLF.CRLF ends it.
		{"..a\r\n\n.\r\n\r\n.\nb\r\n.\r\n", "250 2.0.0 taken"},
		{"RCPT TO:<c@d>\r\n", "503 5.5.1 MAIL first"},
		{"MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\nde", "250 2.1.0 OK"},
		{"", "250 2.1.5 OK"}, {"", "250 2.0.0 chunk taken"}, {"", "250 2.0.0 taken"},
		{"STARTTLS\r\n", "502 5.5.1 not offered"},
		{"VRFY x\r\n", "502 5.5.2 not implemented"},
		{"QUIT\r\n", "221 2.0.0 bye"},
	}
	for _, d := range dialogue {
		if got := w.say(d.say); got != d.want {
			t.Fatalf("to %q: got %q, want %q", d.say, got, d.want)
		}
	}
	if err := s.WaitClosed(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	m := s.Accepted()
	if len(m) != 2 {
		t.Fatalf("%d messages", len(m))
	}
	if got, want := string(m[0].Content), ".a\r\n\n.\r\n\r\n\nb\r\n"; got != want || m[0].From != "a@b.test" || m[0].Params != "SIZE=3" || m[0].Recipients[0] != `"x>y"@b.test` {
		t.Errorf("first: %+v, content %q, want %q", m[0], got, want)
	}
	if string(m[1].Content) != "abcde" || !m[1].Chunked || m[1].From != "" || m[1].TLS {
		t.Errorf("second: %+v", m[1])
	}
	c := s.Connections()
	if len(c) != 1 || !c[0].Closed || !c[0].PlaintextMail() || c[0].TLS || c[0].HelloSize != 0 {
		t.Errorf("connections: %+v", c)
	}
}

func TestWaitClosedEndsWithItsContext(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{})
	open(t, s).hear()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitClosed(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestActions(t *testing.T) {
	actions := map[string]smtptest.Action{
		"delay":  {Delay: time.Hour},
		"drip":   {Drip: time.Minute},
		"silent": {Silent: true},
		"close":  {Close: true},
		"gone":   {Silent: true, Close: true},
	}
	for name, action := range actions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := smtptest.New(smtptest.Behaviour{On: func(smtptest.Command) smtptest.Action { return action }})
				defer s.Close()
				conn := s.Pipe()
				defer conn.Close()
				_ = conn.SetReadDeadline(time.Now().Add(24 * time.Hour))
				start := time.Now()
				line, err := bufio.NewReader(conn).ReadString('\n')
				took := time.Since(start)
				want := map[string]time.Duration{"delay": time.Hour, "drip": time.Duration(len(line)) * time.Minute, "silent": 24 * time.Hour}[name]
				if took != want || (err != nil) != (name == "silent" || name == "gone") {
					t.Errorf("got %q, %v after %v, want %v", line, err, took, want)
				}
			})
		})
	}
}

func TestMaxConns(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{MaxConns: 1})
	if got := open(t, s).hear(); got[:3] != "220" {
		t.Errorf("first: %s", got)
	}
	if got := open(t, s).hear(); got[:3] != "421" {
		t.Errorf("second: %s", got)
	}
}

func TestScript(t *testing.T) {
	s := smtptest.StartScript(t,
		[]smtptest.Step{smtptest.Send("220 one"), smtptest.Expect("ehlo"), smtptest.SendRaw("250 x\n"), smtptest.CloseConn()},
		[]smtptest.Step{smtptest.Send("220 two"), smtptest.Expect("HELO"), smtptest.Send("250 y")},
	)
	w := open(t, s)
	if a, b := w.hear(), w.say("EHLO me\r\n"); a != "220 one" || b != "250 x" {
		t.Errorf("got %q, %q", a, b)
	}
	w = open(t, s)
	w.hear()
	_, _ = io.WriteString(w, "EHLO me\r\n")
	if err := s.WaitClosed(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if errs := s.ScriptErrors(); len(errs) != 1 || !strings.Contains(errs[0].Error(), `connection 2: step 2: expected "HELO", got "EHLO me"`) {
		t.Errorf("errors: %v", errs)
	}
	if got := s.Connections()[0].Commands; len(got) != 1 || got[0].Line != "EHLO me" {
		t.Errorf("commands: %v", got)
	}
}

// Each kind has its one fault and no other.
func TestPKI(t *testing.T) {
	pki := smtptest.NewPKI(t)
	for kind := smtptest.Valid; kind <= smtptest.IncompleteChain; kind++ {
		cert := pki.Cert(t, kind, "mx.test", "*.mx.test")
		opts := x509.VerifyOptions{Roots: pki.Roots, Intermediates: x509.NewCertPool(), CurrentTime: time.Now()}
		for _, der := range cert.Certificate[1:] {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			opts.Intermediates.AddCert(c)
		}
		leaf := cert.Leaf
		_, chain := leaf.Verify(opts)
		opts.CurrentTime = leaf.NotBefore
		_, chainInTime := leaf.Verify(opts)
		name := leaf.VerifyHostname("mx.test")
		got := fmt.Sprint(chain == nil, chainInTime == nil, name == nil)
		want := map[smtptest.CertKind]string{
			smtptest.Valid: "true true true", smtptest.SelfSigned: "false false true", smtptest.WrongName: "true true false",
			smtptest.Expired: "false true true", smtptest.NotYetValid: "false true true",
			smtptest.UnknownCA: "false false true", smtptest.IncompleteChain: "false false true",
		}[kind]
		if got != want {
			t.Errorf("%v: got %s, want %s", kind, got, want)
		}
		if self := leaf.CheckSignatureFrom(leaf) == nil || leaf.Issuer.String() == leaf.Subject.String(); self != (kind == smtptest.SelfSigned) {
			t.Errorf("%v: self-signed %v", kind, self)
		}
		if (len(leaf.IssuingCertificateURL) > 0) != (kind == smtptest.IncompleteChain) {
			t.Errorf("%v: issuer URL %v", kind, leaf.IssuingCertificateURL)
		}
	}
	if ok := x509.NewCertPool().AppendCertsFromPEM(pki.RootPEM); !ok {
		t.Error("the PEM holds no root")
	}
}

func TestPKIWithinSynctest(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		cert := pki.Cert(t, smtptest.Valid, "mx.test")
		s := smtptest.New(smtptest.Behaviour{Certificate: cert})
		defer s.Close()
		conn := s.Pipe()
		defer conn.Close()
		w := &wire{t, conn, bufio.NewReader(conn)}
		w.hear()
		if got := w.say("STARTTLS\r\n"); got != "220 2.0.0 ready" {
			t.Fatal(got)
		}
		c := tls.Client(conn, &tls.Config{ServerName: "mx.test", RootCAs: pki.Roots})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		w = &wire{t, c, bufio.NewReader(c)}
		if got := w.say("EHLO me\r\nQUIT\r\n"); got != "250 CHUNKING" {
			t.Error(got)
		}
		if got := w.hear(); got != "221 2.0.0 bye" {
			t.Error(got)
		}
		if err := s.WaitClosed(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if got := s.Connections()[0]; !got.TLS || got.SNI != "mx.test" || got.Version != tls.VersionTLS13 {
			t.Errorf("got %+v", got)
		}
	})
}
