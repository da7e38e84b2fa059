package smtpclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/smtptest"
)

var plain = smtpclient.TLSOptions{}

func startTLS(t *testing.T, c *smtpclient.Client, o smtpclient.TLSOptions) (smtpclient.TLSFacts, error) {
	t.Helper()
	return c.StartTLS(t.Context(), smtpclient.TLSConfig("mx.test", o))
}

func TestStartTLS(t *testing.T) {
	pki := smtptest.NewPKI(t)
	for kind := smtptest.Valid; kind <= smtptest.IncompleteChain; kind++ {
		for _, small := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " small ", small), func(t *testing.T) {
				s := smtptest.Start(t, smtptest.Behaviour{
					Certificate: pki.Cert(t, kind, "mx.test"), STARTTLS: smtptest.TLSLowerCase,
					Extensions: []string{"BEFORE", "PIPELINING"}, TLSExtensions: []string{"AFTER"}, RequireTLS: true,
				})
				c := hello(t, s, config)
				f, err := startTLS(t, c, smtpclient.TLSOptions{SmallHello: small})
				if err != nil || f.Outcome != smtpclient.TLSCompleted || f.Answer != smtpclient.AnswerServerHello || f.Injected != 0 {
					t.Fatalf("got %+v, %v", f, err)
				}
				if f.BigHello() == small || small && f.HelloSize > 400 || len(f.State.PeerCertificates) == 0 || f.State.Version != tls.VersionTLS13 {
					t.Errorf("hello of %d octets, %d certificates", f.HelloSize, len(f.State.PeerCertificates))
				}
				if small == (f.State.CurveID == tls.X25519MLKEM768) {
					t.Errorf("group %v", f.State.CurveID)
				}
				if c.Capabilities().Has("BEFORE") {
					t.Error("capabilities from before TLS are still there")
				}
				if _, err := c.Send(t.Context(), message("a@rcpt.test")); err == nil {
					t.Error("sent without EHLO inside TLS")
				}
				if err := c.Hello(t.Context()); err != nil {
					t.Fatal(err)
				}
				if caps := c.Capabilities(); caps.Has("PIPELINING") || caps.Has("STARTTLS") || !caps.Has("AFTER") {
					t.Errorf("capabilities inside TLS: %+v", caps)
				}
				if res, err := c.Send(t.Context(), message("a@rcpt.test")); err != nil || !res.Delivered(0) {
					t.Errorf("got %+v, %v", res, err)
				}
				if err := c.Quit(t.Context(), 2*time.Second); err != nil {
					t.Errorf("QUIT: %v", err)
				}
				closed(t, s, 1)
				seen := s.Connections()[0]
				if !seen.TLS || seen.SNI != "mx.test" || seen.HelloSize != f.HelloSize || seen.PlaintextMail() || !seen.Messages[0].TLS {
					t.Errorf("server saw %+v", seen)
				}
			})
		}
	}
}

// tls-policy rows 1 to 4, 11, 13 and 16.
func TestStartTLSFailures(t *testing.T) {
	pki := smtptest.NewPKI(t)
	cert := pki.Cert(t, smtptest.Valid, "mx.test")
	tests := []struct {
		name       string
		b          smtptest.Behaviour
		want       smtpclient.TLSOutcome
		answer     smtpclient.HelloAnswer
		unanswered bool
		usable     bool
	}{
		{name: "not offered", b: smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}, want: smtpclient.TLSNotOffered, usable: true},
		{name: "only in the host name", b: smtptest.Behaviour{STARTTLS: smtptest.TLSOnlyInName}, want: smtpclient.TLSNotOffered, usable: true},
		{name: "closed at STARTTLS", b: smtptest.Behaviour{STARTTLS: smtptest.TLSCloseOnCommand}, want: smtpclient.TLSNoReply},
		{name: "nonsense at STARTTLS", b: smtptest.Behaviour{Replies: map[string]string{"STARTTLS": "999 what"}}, want: smtpclient.TLSNoReply},
		{name: "closed after 220", b: smtptest.Behaviour{STARTTLS: smtptest.TLSCloseAfter220}, want: smtpclient.TLSFailed, unanswered: true},
		{name: "closed after ClientHello", b: smtptest.Behaviour{STARTTLS: smtptest.TLSCloseAfterHello}, want: smtpclient.TLSFailed, unanswered: true},
		{name: "reset after ClientHello", b: smtptest.Behaviour{STARTTLS: smtptest.TLSResetAfterHello}, want: smtpclient.TLSFailed, unanswered: true},
		{name: "reset on a big ClientHello", b: smtptest.Behaviour{STARTTLS: smtptest.TLSResetBigHello}, want: smtpclient.TLSFailed, unanswered: true},
		{name: "garbage", b: smtptest.Behaviour{STARTTLS: smtptest.TLSGarbage}, want: smtpclient.TLSFailed, answer: smtpclient.AnswerGarbage},
		{name: "alert", b: smtptest.Behaviour{STARTTLS: smtptest.TLSAlertAfterHello}, want: smtpclient.TLSFailed, answer: smtpclient.AnswerAlert},
		{name: "TLS 1.1", b: smtptest.Behaviour{STARTTLS: smtptest.TLSOld}, want: smtpclient.TLSFailed, answer: smtpclient.AnswerAlert},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.b.Certificate = cert
			s := smtptest.Start(t, tt.b)
			c := hello(t, s, config)
			f, err := startTLS(t, c, plain)
			if err == nil || f.Outcome != tt.want || f.Answer != tt.answer || f.HelloUnanswered() != tt.unanswered || c.Usable() != tt.usable {
				t.Errorf("got %+v, %v, unanswered %v, usable %v", f, err, f.HelloUnanswered(), c.Usable())
			}
			if c.TLS().Outcome != f.Outcome || f.Err == nil {
				t.Errorf("TLS() says %+v", c.TLS())
			}
			if tt.usable {
				again(t, c)
			}
		})
	}
}

func TestSmallHelloHelps(t *testing.T) {
	pki := smtptest.NewPKI(t)
	s := smtptest.Start(t, smtptest.Behaviour{STARTTLS: smtptest.TLSResetBigHello, Certificate: pki.Cert(t, smtptest.Valid, "mx.test")})
	if f, err := startTLS(t, hello(t, s, config), smtpclient.TLSOptions{SmallHello: true}); err != nil || f.BigHello() {
		t.Errorf("got %+v, %v", f, err)
	}
}

// tls-policy row 2, SEC-33: after a refusal the session is as it was.
func TestSTARTTLSRejected(t *testing.T) {
	for _, code := range []int{221, 250, 354, 421, 454, 500, 501, 502, 503, 504, 530, 550, 554} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Behaviour{STARTTLS: smtptest.TLSReject, STARTTLSReply: fmt.Sprint(code, " no")})
			c := hello(t, s, config)
			f, err := startTLS(t, c, plain)
			if f.Reply.Code != code || err == nil || f.HelloSize != 0 {
				t.Fatalf("got %+v, %v", f, err)
			}
			if code == 421 {
				if f.Outcome != smtpclient.TLSNoReply || !errors.Is(err, smtpclient.ErrClosing) || c.Usable() {
					t.Errorf("got %+v, %v", f, err)
				}
				return
			}
			if f.Outcome != smtpclient.TLSRejected || !c.Usable() || !c.Capabilities().Has("PIPELINING") {
				t.Errorf("got %+v, %v", f, err)
			}
			again(t, c)
		})
	}
}

// tls-policy row 13, SEC-33
func TestInjectionIsDiscarded(t *testing.T) {
	pki := smtptest.NewPKI(t)
	inject := "250-evil\r\n250-EVIL\r\n250 CHUNKING\r\n"
	for name, text := range map[string]string{"replies": inject, "more than a buffer": strings.Repeat(inject, 300), "half a line": "25"} {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Behaviour{Certificate: pki.Cert(t, smtptest.Valid, "mx.test"), Inject: text, TLSExtensions: []string{"AFTER"}})
			c := hello(t, s, config)
			f, err := startTLS(t, c, plain)
			if err != nil || f.Injected != len(text) {
				t.Fatalf("got %+v, %v, want %d injected", f, err, len(text))
			}
			if err := c.Hello(t.Context()); err != nil || c.Capabilities().Has("EVIL") || !c.Capabilities().Has("AFTER") {
				t.Errorf("got %v, %+v", err, c.Capabilities())
			}
			again(t, c)
		})
	}
}

// tls-policy row 4: a stall ends after the handshake's own timeout.
func TestHandshakeStalls(t *testing.T) {
	pki := smtptest.NewPKI(t)
	modes := map[smtptest.STARTTLSMode]bool{smtptest.TLSStall: true, smtptest.TLSStallBigHello: true, smtptest.TLSStallAfterServer: false}
	for mode, unanswered := range modes {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := session(t, smtptest.Behaviour{STARTTLS: mode, Certificate: pki.Cert(t, smtptest.Valid, "mx.test")}, config)
				defer s.Close()
				defer c.Close()
				if err := c.Hello(t.Context()); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				f, err := startTLS(t, c, plain)
				if !errors.Is(err, smtpclient.ErrTimeout) || f.Outcome != smtpclient.TLSStalled || f.HelloUnanswered() != unanswered || time.Since(start) != 30*time.Second {
					t.Errorf("got %+v, %v after %v", f, err, time.Since(start))
				}
			})
		})
	}
	t.Run("drip", func(t *testing.T) { // SEC-28
		synctest.Test(t, func(t *testing.T) {
			s := smtptest.NewScript([]smtptest.Step{
				smtptest.Send("220 hi"), smtptest.Expect("EHLO"), smtptest.Send("250-mx", "250 STARTTLS"), smtptest.Expect("STARTTLS"), smtptest.Send("220 go"),
				smtptest.Drip("\x16\x03\x03\x40\x00\x02"+strings.Repeat("\x00", 1000), 2*time.Second),
			})
			defer s.Close()
			c := smtpclient.New(s.Pipe(), config)
			defer c.Close()
			if err := c.Hello(t.Context()); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if f, _ := startTLS(t, c, plain); f.Outcome != smtpclient.TLSStalled || f.Answer != smtpclient.AnswerServerHello || time.Since(start) != 30*time.Second {
				t.Errorf("got %+v after %v", f, time.Since(start))
			}
		})
	})
	t.Run("no reply to STARTTLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, s := session(t, smtptest.Behaviour{Certificate: pki.Cert(t, smtptest.Valid, "mx.test"), On: silentAt("STARTTLS")}, config)
			defer s.Close()
			defer c.Close()
			if err := c.Hello(t.Context()); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if f, _ := startTLS(t, c, plain); f.Outcome != smtpclient.TLSNoReply || time.Since(start) != 5*time.Minute {
				t.Errorf("got %+v after %v", f, time.Since(start))
			}
		})
	})
}

func TestHandshakeInterrupted(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		c, s := session(t, smtptest.Behaviour{STARTTLS: smtptest.TLSStall, Certificate: pki.Cert(t, smtptest.Valid, "mx.test")}, config)
		defer s.Close()
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f, err := c.StartTLS(ctx, smtpclient.TLSConfig("mx.test", plain))
		if f.Outcome != smtpclient.TLSInterrupted || !errors.Is(err, context.DeadlineExceeded) || f.HelloUnanswered() {
			t.Errorf("got %+v, %v", f, err)
		}
	})
}

// tls-policy row 16, SEC-36: the handshake is complete for us, and then it is not.
func TestLateRejection(t *testing.T) {
	pki := smtptest.NewPKI(t)
	for _, mode := range []smtptest.STARTTLSMode{smtptest.TLSLateRejection, smtptest.TLSLateClose} {
		for _, wait := range []bool{false, true} { // before the rejection is there, and after
			t.Run(fmt.Sprint(mode, " wait ", wait), func(t *testing.T) {
				s := smtptest.Start(t, smtptest.Behaviour{STARTTLS: mode, Certificate: pki.Cert(t, smtptest.Valid, "mx.test")})
				c := hello(t, s, config)
				f, err := startTLS(t, c, plain)
				if err != nil || f.Outcome != smtpclient.TLSCompleted {
					t.Fatalf("got %+v, %v", f, err)
				}
				if wait {
					closed(t, s, 1)
				}
				err = c.Hello(t.Context())
				f = c.TLS()
				if !errors.Is(err, smtpclient.ErrLateRejection) || f.Outcome != smtpclient.TLSFailed || !f.LateRejection || f.HelloUnanswered() || c.Usable() {
					t.Errorf("got %+v, %v", f, err)
				}
			})
		}
	}
	t.Run("closed after EHLO inside TLS is no rejection", func(t *testing.T) {
		s := smtptest.Start(t, smtptest.Behaviour{Certificate: pki.Cert(t, smtptest.Valid, "mx.test"), On: func(c smtptest.Command) smtptest.Action {
			return smtptest.Action{Silent: c.Verb == "NOOP", Close: c.Verb == "NOOP"}
		}})
		c := hello(t, s, config)
		if _, err := startTLS(t, c, plain); err != nil {
			t.Fatal(err)
		}
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Noop(t.Context()); err == nil || errors.Is(err, smtpclient.ErrLateRejection) || c.TLS().Outcome != smtpclient.TLSCompleted {
			t.Errorf("got %v", err)
		}
	})
}

// rows 5 to 8: an unfit session is left with QUIT inside TLS within the limit.
func TestQuitInsideTLSIsBounded(t *testing.T) {
	pki := smtptest.NewPKI(t)
	synctest.Test(t, func(t *testing.T) {
		c, s := session(t, smtptest.Behaviour{Certificate: pki.Cert(t, smtptest.Expired, "mx.test"), On: silentAt("QUIT")}, config)
		defer s.Close()
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := startTLS(t, c, plain); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_ = c.Quit(t.Context(), 2*time.Second)
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("took %v", got)
		}
		closed(t, s, 1)
		cmds := s.Connections()[0].Commands
		if last := cmds[len(cmds)-1]; last.Verb != "QUIT" || !last.TLS {
			t.Errorf("last command: %+v", last)
		}
	})
}

func TestTLSOptions(t *testing.T) {
	pki := smtptest.NewPKI(t)
	cert := pki.Cert(t, smtptest.Valid, "mx.test")
	old := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s := smtptest.Start(t, smtptest.Behaviour{TLSConfig: old})
	if f, err := startTLS(t, hello(t, s, config), plain); err == nil { // row 11
		t.Errorf("TLS 1.1 without being asked to: %+v", f)
	}
	if f, err := startTLS(t, hello(t, s, config), smtpclient.TLSOptions{MinVersion: tls.VersionTLS10, Legacy: true}); err != nil || f.State.Version != tls.VersionTLS11 {
		t.Errorf("got %+v, %v", f, err)
	}
	c := smtpclient.TLSConfig("mx.test.", smtpclient.TLSOptions{Legacy: true})
	if c.ServerName != "mx.test" || c.ClientSessionCache != nil || c.Renegotiation != tls.RenegotiateNever || len(c.CipherSuites) != 14 {
		t.Errorf("got %+v", c)
	}
	for _, suite := range c.CipherSuites {
		if name := tls.CipherSuiteName(suite); strings.Contains(name, "RC4") || strings.Contains(name, "3DES") {
			t.Errorf("offers %s", name)
		}
	}
}

// SEC-50: whatever the given configuration says, no session is resumed.
func TestNoResumption(t *testing.T) {
	pki := smtptest.NewPKI(t)
	s := smtptest.Start(t, smtptest.Behaviour{Certificate: pki.Cert(t, smtptest.Valid, "mx.test")})
	cfg := smtpclient.TLSConfig("mx.test", plain)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for range 2 {
		c := hello(t, s, config)
		f, err := c.StartTLS(t.Context(), cfg)
		if err != nil || f.State.DidResume {
			t.Errorf("got %+v, %v", f, err)
		}
		if err := c.Hello(t.Context()); err != nil {
			t.Error(err)
		}
		_ = c.Quit(t.Context(), 0)
	}
}

// SEC-35
func TestChainLimits(t *testing.T) {
	pki := smtptest.NewPKI(t)
	cert := pki.Cert(t, smtptest.Valid, "mx.test")
	chain := func(n int, filler []byte) tls.Certificate {
		c := cert
		c.Certificate = [][]byte{cert.Certificate[0]}
		for len(c.Certificate) < n {
			c.Certificate = append(c.Certificate, filler)
		}
		return c
	}
	var names []string
	for i := range 1500 {
		names = append(names, fmt.Sprintf("name-%d.of.a.rather.long.kind.example", i))
	}
	big, err := pki.IssueTemplate(smtptest.LeafTemplate(names...))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cert tls.Certificate
		ok   bool
	}{
		"10 certificates":                {chain(10, cert.Certificate[1]), true},
		"11 certificates":                {chain(11, cert.Certificate[1]), false},
		"two certificates over 100 KiB":  {chain(3, big.Certificate[0]), false},
		"one large certificate under it": {chain(2, big.Certificate[0]), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Behaviour{Certificate: tt.cert})
			f, err := startTLS(t, hello(t, s, config), plain)
			if (err == nil) != tt.ok || !tt.ok && (!errors.Is(err, smtpclient.ErrChain) || f.Outcome != smtpclient.TLSFailed) {
				t.Errorf("got %v, %v", f.Outcome, err)
			}
		})
	}
	t.Run("16k RSA", func(t *testing.T) {
		s := smtptest.Start(t, smtptest.Behaviour{Certificate: hugeRSA(t, cert)})
		start := time.Now()
		f, err := startTLS(t, hello(t, s, config), plain)
		if err == nil || f.Outcome != smtpclient.TLSFailed {
			t.Errorf("got %v, %v after %v", f.Outcome, err, time.Since(start))
		}
	})
}

// hugeRSA sends a certificate that names a key of 16,384 bits nobody has; the
// handshake must end before a signature is looked at.
func hugeRSA(t *testing.T, cert tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).Lsh(big.NewInt(1), 16383)
	n.SetBit(n, 0, 1)
	template := smtptest.LeafTemplate("mx.test")
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &rsa.PublicKey{N: n, E: 65537}, key)
	if err != nil {
		t.Fatal(err)
	}
	cert.Certificate = [][]byte{der}
	cert.Leaf = nil
	return cert
}

// TLS 1.3 tickets and other octets of TLS are no unsolicited reply.
func TestOctetsOfTLSAreNotUnsolicited(t *testing.T) {
	pki := smtptest.NewPKI(t)
	s := smtptest.Start(t, smtptest.Behaviour{Certificate: pki.Cert(t, smtptest.Valid, "mx.test")})
	for range 20 {
		c := hello(t, s, config)
		if _, err := startTLS(t, c, plain); err != nil {
			t.Fatal(err)
		}
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 5000} {
			if res, err := c.Send(t.Context(), withContent(strings.Repeat(text, size), "a@rcpt.test")); err != nil || !res.Delivered(0) {
				t.Fatalf("got %+v, %v", res.State, err)
			}
		}
		_ = c.Quit(t.Context(), 0)
	}
}

func TestInventedSuccessInsideTLS(t *testing.T) { // SEC-30
	pki := smtptest.NewPKI(t)
	early := make(chan struct{})
	server := &tls.Config{Certificates: []tls.Certificate{pki.Cert(t, smtptest.Valid, "mx.test")}}
	s := smtptest.StartScript(t, []smtptest.Step{
		smtptest.Send("220 hi"), smtptest.Expect("EHLO"), smtptest.Send("250-mx", "250 STARTTLS"), smtptest.Expect("STARTTLS"), smtptest.Send("220 go"),
		smtptest.TLS(server), smtptest.Expect("EHLO"), smtptest.Send("250 mx"),
		smtptest.Expect("MAIL"), smtptest.Send("250 ok"), smtptest.Expect("RCPT"), smtptest.Send("250 ok"),
		smtptest.Expect("DATA"), smtptest.Send("354 go"), smtptest.Send("250 taken"), smtptest.Do(func() { close(early) }), smtptest.Stall(),
	})
	c := hello(t, s, config)
	if _, err := startTLS(t, c, plain); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx := message("a@rcpt.test")
	tx.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(text), waiting(early))), nil
	}
	res, err := c.Send(t.Context(), tx)
	if !errors.Is(err, smtpclient.ErrProtocol) || res.State != smtpclient.StateLost {
		t.Errorf("got %+v, %v", res, err)
	}
}

// waiting is a reader that ends when the channel is closed.
type waiting <-chan struct{}

func (w waiting) Read([]byte) (int, error) {
	<-w
	return 0, io.EOF
}
