package delivery

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// SEC-32: every recipient has its own result.
func TestMixedRecipients(t *testing.T) {
	for _, extensions := range [][]string{{}, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
		t.Run(strings.Join(extensions, "+"), func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				server := w.serve("192.0.2.1", smtptest.Behaviour{Extensions: extensions, Rcpt: func(a string) string {
					return map[byte]string{'g': "", 'l': "450 4.2.1 later", 'n': "550 5.1.1 no such user"}[a[0]]
				}})
				r := w.d.Attempt(w.t.Context(), job(mail.Unset, mail.Unset, "good", "later", "nobody", "great"))
				synctest.Wait()
				want := []mail.Outcome{mail.Delivered, mail.Deferred, mail.Bounced, mail.Delivered}
				for i, got := range r.Results {
					if got.Outcome != want[i] || got.Session == nil || got.Session.MXHost != "mx.example.test" {
						t.Errorf("recipient %d: %s %s", i, shortly(got), got.Reply)
					}
				}
				if r.Results[2].Reply.Code != 550 || r.Results[2].Reply.Enhanced != "5.1.1" || r.Results[2].Reply.Local || r.Results[2].Reason != "bounce" {
					t.Errorf("refusal %+v", r.Results[2])
				}
				if m := server.Accepted(); len(m) != 1 || len(m[0].Recipients) != 2 {
					t.Errorf("the receiver accepted %+v", m)
				}
			})
		})
	}
}

// The reply to the whole message decides about those that were accepted.
func TestReplyAfterTheDot(t *testing.T) {
	tests := []struct {
		reply string
		want  mail.Outcome
	}{
		{"250 2.0.0 queued", mail.Delivered},
		{"451 4.3.0 try later", mail.Deferred},
		{"554 5.7.1 spam", mail.Bounced},
		{"421 4.3.2 shutting down", mail.Deferred},
		{"000 strange", mail.Deferred},
		{"354 go on", mail.Deferred},
	}
	for _, tt := range tests {
		for _, verb := range []string{"DOT", "LAST"} {
			t.Run(verb+" "+tt.reply, func(t *testing.T) {
				inWorld(t, standard, func(w *world) {
					extensions := []string{"PIPELINING"}
					if verb == "LAST" {
						extensions = append(extensions, "CHUNKING")
					}
					w.serve("192.0.2.1", smtptest.Behaviour{Extensions: extensions, Replies: map[string]string{verb: tt.reply}})
					if got := w.attempt(job(mail.Unset, mail.Unset)); got.Outcome != tt.want {
						t.Errorf("%s: %s", shortly(got), got.Reply)
					}
				})
			})
		}
	}
}

// The reply to MAIL decides, also where RCPT was on its way already and is
// answered with a 503 (Exim). A temporary refusal must not become a bounce.
func TestReplyToMail(t *testing.T) {
	tests := []struct {
		reply string
		want  mail.Outcome
		scope mail.Scope
	}{
		{"451 4.7.1 greylisted", mail.Deferred, mail.ScopeMessage},
		{"452 4.3.1 disk full", mail.Deferred, mail.ScopeMessage},
		{"553 5.1.8 sender not allowed", mail.Bounced, mail.ScopeMessage},
	}
	for _, tt := range tests {
		for _, extensions := range [][]string{{}, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
			t.Run(fmt.Sprint(tt.reply, extensions), func(t *testing.T) {
				inWorld(t, standard, func(w *world) {
					w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), Extensions: extensions, Replies: map[string]string{
						"MAIL": tt.reply, "RCPT": "503 sender not yet given", "DATA": "503 valid RCPT command must precede DATA", "LAST": "503 no recipients",
					}})
					got := w.attempt(job(mail.Unset, mail.Unset))
					if got.Outcome != tt.want || got.Scope != tt.scope || got.Reply.String() != tt.reply {
						t.Errorf("%s, scope %v: %s", shortly(got), got.Scope, got.Reply)
					}
				})
			})
		}
	}
}

// What a refusal says about others: one of MAIL is about its sender and must not slow
// down anybody else's mail to the host; one at the door is about the host.
func TestScopeOfRefusals(t *testing.T) {
	tests := []struct {
		verb, reply string
		want        mail.Scope
	}{
		{"MAIL", "451 4.7.1 greylisted", mail.ScopeMessage},
		{"MAIL", "550 5.7.1 not you", mail.ScopeMessage},
		{"RCPT", "451 4.2.1 later", mail.ScopeRecipient},
		{"RCPT", "550 5.1.1 nobody", mail.ScopeRecipient},
		{"DOT", "451 4.3.0 later", mail.ScopeMessage},
		{"GREETING", "450 4.3.2 busy", mail.ScopeHost},
		{"MAIL", "421 4.3.2 closing", mail.ScopeHost},
	}
	for _, tt := range tests {
		t.Run(tt.verb+" "+tt.reply, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				w.serve("192.0.2.1", smtptest.Behaviour{Extensions: []string{"PIPELINING"}, Replies: map[string]string{tt.verb: tt.reply}})
				if got := w.attempt(job(mail.Unset, mail.Unset)); got.Scope != tt.want || got.Outcome == mail.Delivered {
					t.Errorf("%s: scope %d, want %d", shortly(got), got.Scope, tt.want)
				}
			})
		})
	}
}

// SEC-29: the reply was lost. Deferred, and not at once to the next host.
func TestOutcomeUnknown(t *testing.T) {
	inWorld(t, "@ MX 10 mx\n@ MX 20 backup\nmx A 192.0.2.1\nbackup A 192.0.2.3", func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{On: func(c smtptest.Command) smtptest.Action {
			return smtptest.Action{Close: c.Verb == "LAST" || c.Verb == "DOT", Silent: c.Verb == "LAST" || c.Verb == "DOT"}
		}})
		backup := w.serve("192.0.2.3", smtptest.Behaviour{})
		got := w.attempt(job(mail.Unset, mail.Unset))
		if got.Outcome != mail.Deferred || !strings.Contains(got.Reply.Text, "outcome unknown") || got.Scope != mail.ScopeMessage {
			t.Errorf("%s: %s", shortly(got), got.Reply)
		}
		if len(server.Messages()) != 1 || len(backup.Connections()) != 0 {
			t.Errorf("%d copies sent, %d connections to the backup", len(server.Messages()), len(backup.Connections()))
		}
	})
}

// The answer may take nine minutes (RFC 5321 section 4.5.3.2.6): one copy.
func TestSlowAnswer(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{On: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "LAST" || c.Verb == "DOT" {
				return smtptest.Action{Delay: 9 * time.Minute}
			}
			return smtptest.Action{}
		}})
		got := w.attempt(job(mail.Unset, mail.Unset))
		if got.Outcome != mail.Delivered || len(server.Messages()) != 1 {
			t.Errorf("%s, %d copies", shortly(got), len(server.Messages()))
		}
	})
}

// What the server cannot take is refused by us, in our words.
func TestIncapableServer(t *testing.T) {
	tests := []struct {
		name, enhanced string
		change         func(j *mail.Job)
	}{
		{"SMTPUTF8", "5.6.7", func(j *mail.Job) { j.Envelope.NeedUTF8 = true }},
		{"8BITMIME", "5.6.3", func(j *mail.Job) { j.Envelope.Need8Bit = true }},
		{"SIZE", "5.3.4", func(j *mail.Job) { j.Size = 5000 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), Extensions: []string{"SIZE 1000"}})
				j := job(mail.Unset, mail.Unset)
				tt.change(&j)
				got := w.attempt(j)
				if got.Outcome != mail.Bounced || got.Reply.Enhanced != tt.enhanced || !got.Reply.Local {
					t.Errorf("%s: %s", shortly(got), got.Reply)
				}
				if s := got.Session; s.MXHost != "mx.example.test" || s.TLS || s.CertificateVerified || s.Detail.Handshake != "completed" {
					t.Errorf("a message that was not sent is logged as %s", shortly(got))
				}
			})
		})
	}
}

// SEC-18: an address that needs SMTPUTF8 does not take others down with it.
func TestUTF8RecipientAmongOthers(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{Extensions: []string{"PIPELINING"}})
		r := w.d.Attempt(w.t.Context(), job(mail.Unset, mail.Unset, "b", "jürgen"))
		synctest.Wait()
		if r.Results[0].Outcome != mail.Delivered || r.Results[1].Outcome != mail.Bounced || r.Results[1].Reply.Enhanced != "5.6.7" {
			t.Errorf("%s and %s", shortly(r.Results[0]), shortly(r.Results[1]))
		}
		alone := w.attempt(job(mail.Unset, mail.Unset, "jürgen"))
		if alone.Outcome != mail.Bounced || len(server.Accepted()) != 1 || len(server.Connections()) != 1 {
			t.Errorf("alone: %s, %d accepted, %d connections", shortly(alone), len(server.Accepted()), len(server.Connections()))
		}
	})
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{})
		if got := w.attempt(job(mail.Unset, mail.Unset, "jürgen")); got.Outcome != mail.Delivered || !strings.Contains(server.Accepted()[0].Params, "SMTPUTF8") {
			t.Errorf("%s", shortly(got))
		}
	})
}

// A stored message that cannot be read is nobody's fault but ours.
func TestUnreadableContent(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{})
		j := job(mail.Unset, mail.Unset)
		j.Open = func() (io.ReadCloser, error) { return nil, errors.New("checksum does not match") }
		got := w.attempt(j)
		if got.Outcome != mail.Deferred || got.Scope != mail.ScopeMessage || len(server.Messages()) != 0 {
			t.Errorf("%s: %s", shortly(got), got.Reply)
		}
	})
}

// Several messages over one connection, each logged with its number on it.
func TestConnectionIsReused(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid)})
		for i := range 3 {
			got := w.attempt(job(mail.True, mail.Unset))
			d := got.Session.Detail
			if shortly(got) != deliveredVerified || d.MessageNumber != i+1 || d.Reused != (i > 0) || len(d.Attempts) != 0 {
				t.Errorf("message %d: %s, number %d, reused %t", i, shortly(got), d.MessageNumber, d.Reused)
			}
		}
		if n := len(server.Connections()); n != 1 {
			t.Errorf("%d connections", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if c := server.Connections()[0]; !c.Closed || c.Verbs()[len(c.Verbs())-1] != "QUIT" {
			t.Errorf("idle connection was not ended: %v", c.Verbs())
		}
	})
}

// SEC-39, mistake 24: messages of every class in every order to a host whose
// certificate does not verify. Each travels as it would have alone.
func TestPoolNeverLowers(t *testing.T) {
	want := badCert
	for first := range 4 {
		for second := range 4 {
			for third := range 4 {
				inWorld(t, standard, func(w *world) {
					server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Expired)})
					for _, pair := range []int{first, second, third} {
						if got := shortly(w.attempt(job(pairFlags(pair)))); got != want[pair] {
							t.Errorf("%s of %s, %s, %s: %s, want %s", pairNames[pair], pairNames[first], pairNames[second], pairNames[third], got, want[pair])
						}
					}
					for _, m := range server.Accepted() {
						if len(m.Content) == 0 {
							t.Error("empty message")
						}
					}
				})
			}
		}
	}
}

// An unverified session that came about after refused plaintext is not for others
// with default flags: they are promised plaintext first.
func TestUnverifiedIsNotReusedForDefaultFlags(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Expired), RequireTLS: true})
		for range 2 {
			w.attempt(job(mail.Unset, mail.Unset))
		}
		if n := len(server.Connections()); n != 6 {
			t.Errorf("%d connections, want two times TLS, plaintext, TLS", n)
		}
	})
}

// The connection that default flags led to in a roundabout way serves others
// too. Their log tells of their own way, which is straight.
func TestReuseTellsNoFallbackOfOthers(t *testing.T) {
	for _, pair := range []int{1, 3} {
		t.Run(pairNames[pair], func(t *testing.T) {
			inWorld(t, standard, func(w *world) {
				w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.SelfSigned), RequireTLS: true})
				first := w.attempt(job(mail.Unset, mail.Unset)).Session.Detail
				if first.Fallback != "tls-unverified-after-plaintext-refused" {
					t.Fatalf("first: fallback %q", first.Fallback)
				}
				got := w.attempt(job(pairFlags(pair)))
				d := got.Session.Detail
				if shortly(got) != deliveredUnverified || !d.Reused || d.Fallback != "none" || d.FallbackReason != "" {
					t.Errorf("%s, reused %t, fallback %q because of %q", shortly(got), d.Reused, d.Fallback, d.FallbackReason)
				}
			})
		})
	}
}

// Plaintext is reused only within the idle time of its connection.
func TestPlaintextReuseIsYoung(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Expired)})
		w.attempt(job(mail.Unset, mail.Unset)) // TLS, then plaintext
		w.attempt(job(mail.Unset, mail.Unset)) // reused
		if n := len(server.Connections()); n != 2 {
			t.Fatalf("%d connections, want 2", n)
		}
		time.Sleep(11 * time.Second)
		w.attempt(job(mail.Unset, mail.Unset)) // TLS is tried again
		if n := len(server.Connections()); n != 4 {
			t.Errorf("%d connections, want 4", n)
		}
	})
}

// A connection in plaintext that is never idle is left all the same when the reason for
// it is as old as an idle one may get: then TLS is tried again.
func TestPlaintextReasonIsYoung(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Expired)})
		for range 4 { // at 0, 4, 8 and 12 s
			w.attempt(job(mail.Unset, mail.Unset))
			time.Sleep(4 * time.Second)
		}
		if n := len(server.Connections()); n != 4 {
			t.Errorf("%d connections, want 4: TLS, plaintext, and both again for the last message", n)
		}
	})
}

// A pooled connection that the server closed in the meantime is no failure.
func TestStaleConnection(t *testing.T) {
	for _, extensions := range [][]string{{}, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
		for _, mode := range []smtptest.STARTTLSMode{smtptest.TLSOffered, smtptest.TLSNotOffered} {
			t.Run(fmt.Sprint(extensions, mode), func(t *testing.T) {
				inWorld(t, standard, func(w *world) {
					var once sync.Once
					server := w.serve("192.0.2.1", smtptest.Behaviour{Certificate: w.cert(smtptest.Valid), STARTTLS: mode, Extensions: extensions, On: func(c smtptest.Command) smtptest.Action {
						var a smtptest.Action
						if c.Verb == "MAIL" && c.N == 2 {
							once.Do(func() { a = smtptest.Action{Close: true, Silent: true} })
						}
						return a
					}})
					for i := range 2 {
						if got := w.attempt(job(mail.Unset, mail.Unset)); got.Outcome != mail.Delivered || len(got.Session.Detail.Attempts) != 0 {
							t.Errorf("message %d: %s: %s", i, shortly(got), got.Reply)
						}
					}
					if n := len(server.Accepted()); n != 2 {
						t.Errorf("%d messages accepted", n)
					}
				})
			})
		}
	}
}

// A connection is given up after so many messages.
func TestMessagesPerConnection(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		w.d.pool.perConn = 2
		server := w.serve("192.0.2.1", smtptest.Behaviour{})
		for range 5 {
			w.attempt(job(mail.Unset, mail.Unset))
		}
		if n := len(server.Connections()); n != 3 {
			t.Errorf("%d connections for 5 messages, want 3", n)
		}
	})
}

// A plaintext connection of one domain is no answer for another whose best hosts
// include one that was not asked yet.
func TestPlaintextIsNotSharedPastAnEqual(t *testing.T) {
	inWorld(t, standard, func(w *world) {
		if err := w.dns.SetZone(dnstest.Zone{Origin: "second.test", Records: "@ MX 10 mx.example.test.\n@ MX 10 good\ngood A 192.0.2.2"}); err != nil {
			t.Fatal(err)
		}
		w.serve("192.0.2.1", smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
		w.serve("192.0.2.2", w.certFor("good.second.test", smtptest.Valid))
		for range 8 { // equals are shuffled
			if s := shortly(w.attempt(job(mail.Unset, mail.Unset))); s != inPlaintext+"plaintext-not-offered" {
				t.Fatal(s)
			}
			j := job(mail.Unset, mail.Unset)
			j.NextHop = "second.test"
			if s := shortly(w.attempt(j)); s != deliveredVerified {
				t.Error(s)
			}
		}
	})
}
