package delivery

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mx"
	"github.com/sealpost/sealpost/internal/pkix"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// oneHost is a Router that knows one MX host.
type oneHost struct{}

func (oneHost) Resolve(_ context.Context, domain string) mx.Result {
	return mx.Result{Domain: domain, State: mx.Found, Hosts: []mx.Host{{Name: "mx.example.test", Preference: 10}}}
}

func (oneHost) Addresses(_ context.Context, host string) mx.AddressResult {
	return mx.AddressResult{Host: host, State: dnssec.Found, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
}

// Over real sockets: a server that hangs up after each message costs nobody an
// attempt, whether we see the end before, while or after we take the connection from
// the pool.
func TestServerHangsUpAfterEachMessage(t *testing.T) {
	server := smtptest.Start(t, smtptest.Behaviour{
		Certificate: pki().Cert(t, smtptest.Valid, "mx.example.test"),
		On: func(c smtptest.Command) smtptest.Action {
			return smtptest.Action{Close: c.Verb == "DOT" || c.Verb == "LAST"}
		},
	})
	d := New(Config{
		HostName: "sender.test", Router: oneHost{}, Verifier: pkix.New(pki().Roots),
		Peers: &memoryPeers{seen: map[string]bool{}},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, server.Addr())
		},
	})
	defer d.Close()
	const messages = 30
	for range messages {
		got := d.Attempt(t.Context(), job(mail.True, mail.Unset)).Results[0]
		if shortly(got) != deliveredVerified {
			t.Fatalf("%s: %s", shortly(got), got.Reply)
		}
		if n := len(got.Session.Detail.Attempts); n != 0 {
			t.Errorf("%d abandoned connections in the evidence: %+v", n, got.Session.Detail.Attempts)
		}
	}
	if n := len(server.Accepted()); n != messages {
		t.Errorf("the server accepted %d messages, want %d", n, messages)
	}
}
