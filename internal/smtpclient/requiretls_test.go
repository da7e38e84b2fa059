package smtpclient_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// RFC 8689 section 4.2.1: after STARTTLS the server must announce REQUIRETLS in the EHLO
// that follows. What it announced before counts for nothing (RFC 3207 section 4.2), and
// a message that needs the extension does not leave without it (SEC-56).
func TestREQUIRETLSIsSentOnlyAfterItWasAnnouncedInsideTLS(t *testing.T) {
	pki := smtptest.NewPKI(t)
	cert := pki.Cert(t, smtptest.Valid, "mx.test")
	for name, c := range map[string]struct {
		before, after []string
		startTLS      bool
		sent          bool
	}{
		"never":                       {nil, nil, true, false},
		"before TLS only":             {[]string{"REQUIRETLS"}, nil, true, false},
		"after TLS only":              {nil, []string{"REQUIRETLS"}, true, true},
		"before and after":            {[]string{"REQUIRETLS"}, []string{"REQUIRETLS"}, true, true},
		"after TLS, in lower case":    {nil, []string{"requiretls"}, true, true},
		"part of another word":        {nil, []string{"XREQUIRETLS", "REQUIRETLSX"}, true, false},
		"second word of another line": {nil, []string{"X REQUIRETLS"}, true, false},
		"announced, but no TLS":       {[]string{"REQUIRETLS"}, []string{"REQUIRETLS"}, false, false},
	} {
		for _, pipelining := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				base := []string{"8BITMIME"}
				if pipelining {
					base = append(base, "PIPELINING", "CHUNKING")
				}
				s := smtptest.Start(t, smtptest.Behaviour{
					Extensions: slices.Concat(base, c.before), TLSExtensions: slices.Concat(base, c.after), Certificate: cert,
				})
				client := hello(t, s, config)
				if c.startTLS {
					if _, err := client.StartTLS(t.Context(), smtpclient.TLSConfig("mx.test", smtpclient.TLSOptions{})); err != nil {
						t.Fatal(err)
					}
					if err := client.Hello(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				tx := message("a@rcpt.test")
				tx.RequireTLS = true
				_, err := client.Send(t.Context(), tx)
				if !c.sent {
					if !errors.Is(err, smtpclient.ErrNoRequireTLS) {
						t.Errorf("got %v, want ErrNoRequireTLS", err)
					}
					for _, conn := range s.Connections() {
						if slices.Contains(conn.Verbs(), "MAIL") {
							t.Error("MAIL was sent")
						}
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := s.Accepted(); len(got) != 1 || got[0].Params != "REQUIRETLS" || !got[0].TLS {
					t.Errorf("the server got %+v", got)
				}
				// The next message on the connection is not marked by its neighbour.
				if _, err := client.Send(t.Context(), message("a@rcpt.test")); err != nil {
					t.Fatal(err)
				}
				if got := s.Accepted(); len(got) != 2 || got[1].Params != "" {
					t.Errorf("the second message came with %+v", got[len(got)-1].Params)
				}
			})
		}
	}
}
