package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// twoEqual has two hosts of one preference and a worse one.
const threeHosts = "@ MX 10 mx\n@ MX 10 mx2\n@ MX 20 backup\nmx A 192.0.2.1\nmx2 A 192.0.2.2\nbackup A 192.0.2.3"

func (w *world) certFor(name string, kind smtptest.CertKind) smtptest.Behaviour {
	c, err := pki().Issue(kind, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return smtptest.Behaviour{Host: name, Certificate: c}
}

// Equals get the chance to offer better TLS before anybody is sent plaintext, and
// a worse preference is never better than a fallback on the best.
func TestOrderOfHosts(t *testing.T) {
	tests := []struct {
		name             string
		first, second    smtptest.CertKind
		require, skip    mail.Tri
		wantTLS, wantVer bool
		wantHosts        []string // allowed for delivery
		backup           int      // connections to the backup
	}{
		{"one of two equals verifies", smtptest.Expired, smtptest.Valid, mail.Unset, mail.Unset, true, true, []string{"mx2.example.test"}, 0},
		{"neither verifies: plaintext to the best, not TLS to the backup", smtptest.Expired, smtptest.SelfSigned, mail.Unset, mail.Unset, false, false, []string{"mx.example.test", "mx2.example.test"}, 0},
		{"required: on to the backup", smtptest.Expired, smtptest.SelfSigned, mail.True, mail.Unset, true, true, []string{"backup.example.test"}, 1},
		{"any certificate: the best takes it", smtptest.Expired, smtptest.SelfSigned, mail.True, mail.True, true, false, []string{"mx.example.test", "mx2.example.test"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 8 { // equals are shuffled
				inWorld(t, threeHosts, func(w *world) {
					w.serve("192.0.2.1", w.certFor("mx.example.test", tt.first))
					w.serve("192.0.2.2", w.certFor("mx2.example.test", tt.second))
					backup := w.serve("192.0.2.3", w.certFor("backup.example.test", smtptest.Valid))
					got := w.attempt(job(tt.require, tt.skip))
					if got.Outcome != mail.Delivered || got.Session.TLS != tt.wantTLS || got.Session.CertificateVerified != tt.wantVer {
						t.Fatalf("%s: %s", shortly(got), got.Reply)
					}
					if !slices.Contains(tt.wantHosts, got.Session.MXHost) {
						t.Errorf("delivered to %s, want one of %v", got.Session.MXHost, tt.wantHosts)
					}
					if n := len(backup.Connections()); n != tt.backup {
						t.Errorf("%d connections to the backup, want %d", n, tt.backup)
					}
				})
			}
		})
	}
}

// Every address of a host is tried at the full level before any plaintext.
func TestOrderOfAddresses(t *testing.T) {
	inWorld(t, "@ MX 10 mx\nmx A 192.0.2.1\nmx A 192.0.2.2\nmx AAAA 2001:db8::1", func(w *world) {
		w.serve("192.0.2.1", smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
		w.serve("2001:db8::1", smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
		w.serve("192.0.2.2", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		got := w.attempt(job(mail.Unset, mail.Unset))
		if s := shortly(got); s != deliveredVerified || got.Session.Detail.MXIP != "192.0.2.2" {
			t.Errorf("%s at %s", s, got.Session.Detail.MXIP)
		}
	})
}

// A host that cannot be reached, or says no at the door, is passed over.
func TestNextHost(t *testing.T) {
	doors := map[string]*smtptest.Behaviour{
		"connection refused": nil,
		"greeting 421":       {Replies: map[string]string{"GREETING": "421 4.3.2 too busy"}},
		"greeting 554":       {Replies: map[string]string{"GREETING": "554 5.7.1 go away"}},
		"421 to MAIL":        {Replies: map[string]string{"MAIL": "421 4.3.2 closing"}},
		"closes upon RCPT": {Extensions: []string{"PIPELINING"}, On: func(c smtptest.Command) smtptest.Action {
			return smtptest.Action{Close: c.Verb == "RCPT", Silent: c.Verb == "RCPT"}
		}},
	}
	for name, b := range doors {
		t.Run(name, func(t *testing.T) {
			inWorld(t, "@ MX 10 mx\n@ MX 20 backup\nmx A 192.0.2.1\nbackup A 192.0.2.3", func(w *world) {
				if b != nil {
					w.serve("192.0.2.1", *b)
				}
				w.serve("192.0.2.3", w.certFor("backup.example.test", smtptest.Valid))
				got := w.attempt(job(mail.Unset, mail.Unset))
				if got.Outcome != mail.Delivered || got.Session.MXHost != "backup.example.test" {
					t.Errorf("%s at %q: %s", shortly(got), got.Session.MXHost, got.Reply)
				}
				if len(got.Session.Detail.Attempts) == 0 {
					t.Error("the first host is missing in the evidence")
				}
			})
		})
	}
}

// The only host is unreachable or refuses the session: deferred, whatever the
// class of its words.
func TestUnreachableDefers(t *testing.T) {
	for _, greeting := range []string{"", "421 4.3.2 busy", "554 5.7.1 go away"} {
		t.Run(greeting, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				if greeting != "" {
					w.serve("192.0.2.1", smtptest.Behaviour{Replies: map[string]string{"GREETING": greeting}})
				}
				got := w.attempt(job(mail.Unset, mail.Unset))
				if got.Outcome != mail.Deferred || !got.Reply.Temporary() || got.Scope != mail.ScopeHost || got.Session.MXHost != "mx.example.test" {
					t.Errorf("%+v", got)
				}
				if got.Session.TLS || got.Session.CertificateVerified {
					t.Error("logged a level that was not achieved")
				}
			})
		})
	}
}

// What the DNS says about the domain (SEC-42 to SEC-44).
func TestRoute(t *testing.T) {
	tests := []struct {
		name, zone string
		fault      *dnstest.Fault
		want       string
	}{
		{"null MX", "@ MX 0 .", nil, "bounced 556 5.1.10"},
		{"only an address literal", "@ MX 10 192.0.2.1.", nil, "bounced 550 5.4.4"},
		{"no MX, no address, first time", "@ TXT x", nil, "deferred 451 4.4.4"},
		{"SERVFAIL", standard, &dnstest.Fault{RCode: 2}, "deferred 451 4.4.3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, tt.zone, func(w *world) {
				if tt.fault != nil {
					w.dns.SetFault("example.test", dnssec.MX, *tt.fault)
				}
				if s := shortly(w.attempt(job(mail.Unset, mail.Unset))); s != tt.want {
					t.Errorf("%s, want %s", s, tt.want)
				}
				if len(w.dials) > 0 {
					t.Errorf("connected to %v", w.dials)
				}
			})
		})
	}
}

// SEC-44: that a domain does not exist is believed when it is said again, at
// least five minutes later.
func TestAbsenceIsConfirmed(t *testing.T) {
	inWorld(t, "@ TXT x", func(w *world) {
		first := w.attempt(job(mail.Unset, mail.Unset))
		time.Sleep(2 * time.Minute)
		second := w.attempt(job(mail.Unset, mail.Unset))
		time.Sleep(10 * time.Minute)
		third := w.attempt(job(mail.Unset, mail.Unset))
		if first.Outcome != mail.Deferred || !first.NoMX || second.Outcome != mail.Deferred || third.Outcome != mail.Bounced {
			t.Errorf("%s, %s, %s", shortly(first), shortly(second), shortly(third))
		}
	})
}

// An implicit MX is the domain itself, and the domain is the name to verify.
func TestImplicitMX(t *testing.T) {
	inWorld(t, "@ A 192.0.2.1", func(w *world) {
		w.serve("192.0.2.1", w.certFor("example.test", smtptest.Valid))
		got := w.attempt(job(mail.True, mail.Unset))
		if s := shortly(got); s != deliveredVerified || got.Session.MXHost != "example.test" {
			t.Errorf("%s at %q", s, got.Session.MXHost)
		}
	})
}

// An MX host that is an alias is verified by the name in the MX record only.
func TestAliasedHost(t *testing.T) {
	for _, name := range []string{"mx.example.test", "real.example.test", "example.test"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, "@ MX 10 mx\nmx CNAME real\nreal A 192.0.2.1", func(w *world) {
				w.serve("192.0.2.1", w.certFor(name, smtptest.Valid))
				got := w.attempt(job(mail.True, mail.Unset))
				if delivered := got.Outcome == mail.Delivered; delivered != (name == "mx.example.test") {
					t.Errorf("certificate for %s: %s", name, shortly(got))
				}
			})
		})
	}
}

// SEC-41: all addresses refused is permanent and says why; one refused address is
// skipped.
func TestForbiddenAddresses(t *testing.T) {
	guard := func(w *world, forbidden ...string) {
		next := w.d.cfg.Dial
		w.d.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			ap := netip.MustParseAddrPort(address)
			if slices.Contains(forbidden, ap.Addr().String()) {
				return nil, &net.OpError{Op: "dial", Err: &netguard.Refusal{Addr: ap, Class: netguard.Private}}
			}
			return next(ctx, network, address)
		}
	}
	inWorld(t, "@ MX 10 mx\nmx A 10.0.0.1", func(w *world) {
		guard(w, "10.0.0.1")
		got := w.attempt(job(mail.Unset, mail.Unset))
		if got.Outcome != mail.Bounced || got.Reply.Enhanced != "5.4.6" || !strings.Contains(got.Reply.Text, "private") {
			t.Errorf("%s: %s", shortly(got), got.Reply)
		}
	})
	inWorld(t, "@ MX 10 mx\nmx A 10.0.0.1\nmx A 192.0.2.1", func(w *world) {
		guard(w, "10.0.0.1")
		if got := w.attempt(job(mail.Unset, mail.Unset)); got.Outcome != mail.Deferred {
			t.Errorf("one address forbidden, the other down: %s", shortly(got))
		}
		w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		if s := shortly(w.attempt(job(mail.True, mail.Unset))); s != deliveredVerified {
			t.Error(s)
		}
	})
}

// A host that once needed a small ClientHello is greeted with one for a day.
func TestSmallHelloIsRemembered(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.d.pool.idle = -1
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), STARTTLS: smtptest.TLSResetBigHello})
		for range 2 {
			if got := w.attempt(job(mail.True, mail.Unset)); got.Session.Detail.Fallback != "small-hello" || got.Session.Detail.PostQuantum {
				t.Fatalf("%s, fallback %q", shortly(got), got.Session.Detail.Fallback)
			}
		}
		if n := len(server.Connections()); n != 3 {
			t.Errorf("%d connections, want 3: large, small, small", n)
		}
		time.Sleep(25 * time.Hour)
		w.attempt(job(mail.True, mail.Unset))
		if n := len(server.Connections()); n != 5 {
			t.Errorf("%d connections after a day, want 5", n)
		}
	})
}

// A stalled handshake costs its own 30 seconds, not the command timeout, and counts
// as a TLS failure (mistake 5).
func TestHandshakeTimeout(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.serve("192.0.2.1", smtptest.Behaviour{STARTTLS: smtptest.TLSStall, Certificate: w.cert(smtptest.Valid)})
		start := time.Now()
		got := w.attempt(job(mail.True, mail.Unset))
		if s := shortly(got); s != deferred+"refused-handshake-failed" {
			t.Error(s)
		}
		if took := time.Since(start).Round(time.Second); took != time.Minute {
			t.Errorf("took %s, want two handshakes of 30 s", took)
		}
	})
}

// One attempt is bounded as a whole, however slowly a host drips (SEC-28).
func TestAttemptIsBounded(t *testing.T) {
	zone := "@ MX 10 mx\n"
	for _, last := range "123456789" {
		zone += "mx A 192.0.2." + string(last) + "\n"
	}
	inWorld(t, zone, func(w *world) {
		for _, last := range "123456789" {
			w.serve("192.0.2."+string(last), smtptest.Behaviour{On: func(c smtptest.Command) smtptest.Action {
				return smtptest.Action{Delay: 4*time.Minute + 50*time.Second}
			}})
		}
		start := time.Now()
		got := w.attempt(job(mail.True, mail.Unset))
		if took := time.Since(start); got.Outcome != mail.Deferred || took > attemptTime+time.Minute {
			t.Errorf("%s after %s", shortly(got), took)
		}
	})
}

// The connection that the time limit ended is in the evidence, as are all before it.
func TestTimeLimitLeavesEvidence(t *testing.T) {
	zone := "@ MX 10 mx\n"
	for _, last := range "123456789" {
		zone += "mx A 192.0.2." + string(last) + "\n"
	}
	for _, verb := range []string{"EHLO", "MAIL"} {
		t.Run(verb, func(t *testing.T) {
			inWorld(t, zone, func(w *world) {
				for _, last := range "123456789" {
					w.serve("192.0.2."+string(last), smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), Extensions: []string{}, On: func(c smtptest.Command) (a smtptest.Action) {
						if c.Verb == verb {
							a.Silent = true
						}
						return a
					}})
				}
				got := w.attempt(job(mail.True, mail.Unset))
				if got.Session == nil || got.Reply.Text != "the attempt took too long" {
					t.Fatalf("%s, %s", shortly(got), got.Reply)
				}
				if n := 1 + len(got.Session.Detail.Attempts); n != len(w.dials) {
					t.Errorf("%d connections, %d in the evidence", len(w.dials), n)
				}
			})
		})
	}
}

// Check predicts what deliveries do, host by host, and never sends MAIL.
func TestCheck(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				server := w.serve("192.0.2.1", r.serve(w))
				c := w.d.Check(w.t.Context(), "example.test")
				synctest.Wait()
				if len(c.Hosts) != 1 || len(c.Outcomes) != 4 || c.Hosts[0].MXHost != "mx.example.test" {
					t.Fatalf("%+v", c)
				}
				for i, o := range c.Outcomes {
					if got, want := o.Delivery, predicted(r.want[i]); got != want || o != c.Hosts[0].Outcomes[i] {
						t.Errorf("%s: %s (%s), want %s", pairNames[i], got, o.Result, want)
					}
				}
				for _, conn := range server.Connections() {
					if slices.Contains(conn.Verbs(), "MAIL") {
						t.Error("the check sent MAIL")
					}
				}
			})
		})
	}
}

// predicted turns what a delivery reports into what the check should have said.
func predicted(report string) string {
	switch {
	case report == deliveredVerified:
		return "verified"
	case report == deliveredUnverified:
		return "unverified"
	case strings.HasPrefix(report, "delivered"):
		return "plaintext"
	}
	return "not-delivered"
}

// Check says what it could not find out.
func TestCheckUnreachable(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		c := w.d.Check(w.t.Context(), "example.test")
		if len(c.Hosts) != 1 || c.Hosts[0].Error == "" || c.Outcomes[0].Delivery != "unreachable" {
			t.Errorf("%+v", c)
		}
	})
	inWorld(t, "@ MX 0 .", func(w *world) {
		if c := w.d.Check(w.t.Context(), "example.test"); c.Route != "null MX" || len(c.Hosts) != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Shutdown before the final dot abandons; nothing is decided (REL-07).
func TestShutdownBeforeTheDot(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		ctx, cancel := context.WithCancelCause(w.t.Context())
		w.serve("192.0.2.1", smtptest.Behaviour{Extensions: []string{"PIPELINING"}, On: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "RCPT" {
				cancel(errors.New("shutting down"))
				return smtptest.Action{Delay: time.Hour}
			}
			return smtptest.Action{}
		}})
		got := w.d.Attempt(ctx, job(mail.Unset, mail.Unset)).Results[0]
		if got.Outcome != mail.Abandoned {
			t.Errorf("%s: %s", shortly(got), got.Reply)
		}
	})
}

// After the final dot the reply is waited for, shutdown or not.
func TestShutdownAfterTheDot(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		inWorld(t, standard, func(w *world) {
			ctx, cancel := context.WithCancelCause(w.t.Context())
			extensions := []string{"PIPELINING"}
			if chunked {
				extensions = append(extensions, "CHUNKING")
			}
			w.serve("192.0.2.1", smtptest.Behaviour{Extensions: extensions, On: func(c smtptest.Command) smtptest.Action {
				if c.Verb == "DOT" || c.Verb == "LAST" {
					cancel(errors.New("shutting down"))
					return smtptest.Action{Delay: 9 * time.Minute}
				}
				return smtptest.Action{}
			}})
			got := w.d.Attempt(ctx, job(mail.Unset, mail.Unset)).Results[0]
			if got.Outcome != mail.Delivered {
				t.Errorf("chunked %t: %s: %s", chunked, shortly(got), got.Reply)
			}
		})
	}
}
