package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/smtptest"
)

const text = "Subject: hi\r\n\r\n.dot\r\n..\r\nbye\r\n"

// message returns a small transaction for the recipients.
func message(recipients ...string) smtpclient.Transaction {
	return withContent(text, recipients...)
}

func withContent(content string, recipients ...string) smtpclient.Transaction {
	tx := smtpclient.Transaction{
		ReversePath: mail.Address{Local: "from", Domain: "sender.test"},
		Open:        func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
		Size:        int64(len(content)),
	}
	for _, r := range recipients {
		local, domain, _ := strings.Cut(r, "@")
		tx.Recipients = append(tx.Recipients, mail.Address{Local: local, Domain: domain})
	}
	return tx
}

// ways are the ways to transfer a message: what is offered, and the size that
// chooses among them.
var ways = []struct {
	name       string
	extensions []string
	lines      int
}{
	{"lockstep DATA", []string{"SIZE 99999999"}, 1},
	{"pipelined DATA", []string{"PIPELINING"}, 1},
	{"pipelined DATA, large", []string{"PIPELINING"}, 60_000},
	{"lockstep BDAT", []string{"CHUNKING"}, 1},
	{"lockstep BDAT, chunks", []string{"CHUNKING"}, 60_000},
	{"pipelined BDAT with the envelope", []string{"PIPELINING", "CHUNKING"}, 1},
	{"pipelined BDAT, one chunk", []string{"PIPELINING", "CHUNKING"}, 5000},
	{"pipelined BDAT, chunks", []string{"PIPELINING", "CHUNKING"}, 60_000},
}

func TestSendEveryWay(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Behaviour{Extensions: way.extensions})
			c := hello(t, s, config)
			content := strings.Repeat(text, way.lines)
			many := make([]string, 120)
			for i := range many {
				many[i] = fmt.Sprintf("r%d@rcpt.test", i)
			}
			for _, recipients := range [][]string{{"a@rcpt.test"}, {"a@rcpt.test", "b@rcpt.test"}, many} {
				res, err := c.Send(t.Context(), withContent(content, recipients...))
				if err != nil || res.State != smtpclient.StateCompleted {
					t.Fatalf("got %v, %v", res.State, err)
				}
				for i := range recipients {
					if !res.Delivered(i) || res.Reply(i).Code != 250 {
						t.Errorf("recipient %d: %v", i, res.Reply(i))
					}
				}
				if res.Chunked != slices.Contains(way.extensions, "CHUNKING") || res.Pipelined != slices.Contains(way.extensions, "PIPELINING") {
					t.Errorf("chunked %v, pipelined %v", res.Chunked, res.Pipelined)
				}
				got := s.Accepted()
				m := got[len(got)-1]
				if string(m.Content) != content || !slices.Equal(m.Recipients, recipients) || m.From != "from@sender.test" {
					t.Errorf("server got %d octets for %v", len(m.Content), m.Recipients)
				}
			}
			if c.Sent() != 3 || len(s.Accepted()) != 3 || !c.Usable() {
				t.Errorf("sent %d, accepted %d, usable %v", c.Sent(), len(s.Accepted()), c.Usable())
			}
		})
	}
}

func TestParameters(t *testing.T) {
	pki := smtptest.NewPKI(t)
	all := []string{"SIZE", "8BITMIME", "SMTPUTF8"}
	s := smtptest.Start(t, smtptest.Behaviour{Extensions: all, TLSExtensions: append(all, "REQUIRETLS"), Certificate: pki.Cert(t, smtptest.Valid, "mx.test")})
	c := hello(t, s, config)
	tx := message("a@rcpt.test")
	tx.RequireTLS = true
	if _, err := c.Send(t.Context(), tx); !errors.Is(err, smtpclient.ErrNoRequireTLS) {
		t.Errorf("REQUIRETLS in plaintext: %v", err)
	}
	if _, err := c.StartTLS(t.Context(), smtpclient.TLSConfig("mx.test", smtpclient.TLSOptions{})); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx.Need8Bit, tx.NeedUTF8 = true, true
	tx.ReversePath = mail.Address{}
	tx.Recipients[0].Local = "jürgen"
	if _, err := c.Send(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	m := s.Accepted()[0]
	if want := fmt.Sprintf("SIZE=%d BODY=8BITMIME SMTPUTF8 REQUIRETLS", len(text)); m.Params != want || m.From != "" || m.Recipients[0] != "jürgen@rcpt.test" || !m.TLS {
		t.Errorf("got %+v, want parameters %q", m, want)
	}
}

func TestMissingExtensions(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{Extensions: []string{"SIZE 10", "REQUIRETLS"}})
	c := hello(t, s, config)
	tests := map[error]func(*smtpclient.Transaction){
		smtpclient.ErrNo8BitMIME:   func(tx *smtpclient.Transaction) { tx.Need8Bit = true },
		smtpclient.ErrNoSMTPUTF8:   func(tx *smtpclient.Transaction) { tx.NeedUTF8 = true },
		smtpclient.ErrNoRequireTLS: func(tx *smtpclient.Transaction) { tx.RequireTLS = true }, // offered, but not inside TLS
		smtpclient.ErrTooBig:       func(*smtpclient.Transaction) {},
	}
	for want, change := range tests {
		tx := message("a@rcpt.test")
		change(&tx)
		if res, err := c.Send(t.Context(), tx); !errors.Is(err, want) || res.State != smtpclient.StateNotStarted {
			t.Errorf("got %v, %v, want %v", res.State, err, want)
		}
	}
	if !c.Usable() || c.Sent() != 0 {
		t.Error("not usable, or something was sent")
	}
}

// SEC-15
func TestAddressesAreChecked(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{})
	c := hello(t, s, config)
	bad := []mail.Address{
		{}, {Local: "a"}, {Domain: "b.test"},
		{Local: "a\r\nRCPT TO:<x@y>", Domain: "b.test"}, {Local: "a\n", Domain: "b.test"}, {Local: "a\x00", Domain: "b.test"},
		{Local: "a@evil> ORCPT=x", Domain: "b.test"}, {Local: "<", Domain: "b.test"}, {Local: "a\x7f", Domain: "b.test"},
		{Local: "a", Domain: "b.test> SIZE=1"}, {Local: "a", Domain: "b test"}, {Local: "a", Domain: "b\r\n.test"}, {Local: "a", Domain: "bü.test"},
		{Local: "jürgen", Domain: "b.test"}, {Local: "\xff", Domain: "b.test"}, {Local: strings.Repeat("a", 300), Domain: "b.test"},
	}
	for _, a := range bad {
		tx := message("ok@rcpt.test", "b@rcpt.test")
		tx.Recipients[1] = a
		if _, err := c.Send(t.Context(), tx); !errors.Is(err, smtpclient.ErrArgument) {
			t.Errorf("recipient %q: got %v", a, err)
		}
		if a.IsZero() {
			continue
		}
		tx = message("ok@rcpt.test")
		tx.ReversePath = a
		if _, err := c.Send(t.Context(), tx); !errors.Is(err, smtpclient.ErrArgument) {
			t.Errorf("reverse-path %q: got %v", a, err)
		}
	}
	tx := message("ok@rcpt.test")
	tx.Recipients = []mail.Address{{Local: `a b"\@x`, Domain: "b.test"}}
	if _, err := c.Send(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if got, want := s.Accepted()[0].Recipients, `["a b\"\\@x"@b.test]`; fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := len(s.Connections()[0].Commands); n != 4 && n != 5 {
		t.Errorf("%d commands: %v", n, s.Connections()[0].Verbs())
	}
}

// SEC-32
func TestMixedRecipients(t *testing.T) {
	replies := map[string]string{"no@rcpt.test": "550 5.1.1 unknown", "later@rcpt.test": "450 4.2.1 later", "fwd@rcpt.test": "251 will forward"}
	for _, final := range []string{"250 2.0.0 taken", "451 4.3.0 hm", "554 5.7.1 spam"} {
		for _, way := range ways {
			t.Run(way.name+" "+final[:3], func(t *testing.T) {
				s := smtptest.Start(t, smtptest.Behaviour{
					Extensions: way.extensions,
					Rcpt:       func(a string) string { return replies[a] },
					Replies:    map[string]string{"DOT": final, "LAST": final},
				})
				c := hello(t, s, config)
				res, err := c.Send(t.Context(), withContent(strings.Repeat(text, way.lines), "no@rcpt.test", "a@rcpt.test", "later@rcpt.test", "fwd@rcpt.test"))
				if err != nil || res.State != smtpclient.StateCompleted {
					t.Fatalf("got %v, %v", res.State, err)
				}
				for i, want := range []string{"550", final[:3], "450", final[:3]} {
					if got := fmt.Sprint(res.Reply(i).Code); got != want || res.Delivered(i) != (want == "250") {
						t.Errorf("recipient %d: got %s, delivered %v, want %s", i, got, res.Delivered(i), want)
					}
				}
				if m := s.Messages(); len(m) != 1 || len(m[0].Recipients) != 2 {
					t.Errorf("server got %+v", m)
				}
				again(t, c)
			})
		}
	}
}

// again checks that the connection takes one more message.
func again(t *testing.T, c *smtpclient.Client) {
	t.Helper()
	if !c.Usable() {
		t.Fatal("connection is not usable")
	}
	res, err := c.Send(t.Context(), message("fwd@rcpt.test"))
	if err != nil || res.Final.Code == 0 {
		t.Errorf("next message: %+v, %v", res, err)
	}
}

// SEC-32: all refused, with and without a 354 after it.
func TestAllRecipientsRefused(t *testing.T) {
	for _, way := range ways {
		for _, data := range []string{"", "354 go on", "503 no"} {
			if data != "" && !strings.HasPrefix(way.name, "pipelined DATA") {
				continue // no DATA is sent
			}
			t.Run(way.name+" "+data, func(t *testing.T) {
				b := smtptest.Behaviour{
					Extensions: way.extensions,
					Rcpt: func(a string) string {
						if strings.HasPrefix(a, "fwd@") {
							return ""
						}
						return "550 5.1.1 unknown"
					},
				}
				b.On = func(c smtptest.Command) (a smtptest.Action) {
					if c.Verb == "DATA" && c.N == 1 {
						a.Reply = data
					}
					return a
				}
				s := smtptest.Start(t, b)
				c := hello(t, s, config)
				res, err := c.Send(t.Context(), withContent(strings.Repeat(text, way.lines), "a@rcpt.test", "b@rcpt.test"))
				if err != nil || res.State != smtpclient.StateRecipientsRefused || res.Reply(1).Enhanced != "5.1.1" || res.Delivered(0) {
					t.Fatalf("got %+v, %v", res, err)
				}
				for _, m := range s.Messages() {
					if len(m.Content) > 0 && !m.Chunked || m.Accepted {
						t.Errorf("server got %d octets, accepted %v", len(m.Content), m.Accepted)
					}
				}
				again(t, c)
			})
		}
	}
}

func TestMailRefused(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Behaviour{Extensions: way.extensions, On: func(c smtptest.Command) (a smtptest.Action) {
				if c.Verb == "MAIL" && c.N == 1 {
					a.Reply = "530 5.7.0 Must issue a STARTTLS command first"
				}
				return a
			}})
			c := hello(t, s, config)
			res, err := c.Send(t.Context(), withContent(strings.Repeat(text, way.lines), "a@rcpt.test"))
			if err != nil || res.State != smtpclient.StateMailRefused || res.Reply(0).Code != 530 || res.Mail.Code != 530 {
				t.Fatalf("got %+v, %v", res, err)
			}
			if len(s.Accepted()) != 0 {
				t.Error("server accepted it")
			}
			again(t, c)
		})
	}
}

// SEC-02
func TestBadContentIsNeverCompleted(t *testing.T) {
	contents := map[string]string{"bare LF": "a\nb\r\n", "bare CR": "a\rb\r\n", "NUL": "a\x00\r\n", "smuggled end": "a\n.\r\nMAIL FROM:<x@y>\r\n", "no end": "a\r\nb"}
	for _, way := range ways[:6] {
		for name, content := range contents {
			t.Run(way.name+" "+name, func(t *testing.T) {
				s := smtptest.Start(t, smtptest.Behaviour{Extensions: way.extensions})
				c := hello(t, s, config)
				res, err := c.Send(t.Context(), withContent(content, "a@rcpt.test"))
				if !errors.Is(err, smtpclient.ErrContent) || res.State != smtpclient.StateAbandoned || c.Usable() {
					t.Errorf("got %v, %v", res.State, err)
				}
				closed(t, s, 1)
				if n := len(s.Messages()); n != 0 {
					t.Errorf("%d messages arrived", n)
				}
			})
		}
	}
}

func TestContentThatFails(t *testing.T) {
	broken := errors.New("disk is gone")
	opens := map[string]func(*smtpclient.Transaction){
		"shorter": func(tx *smtpclient.Transaction) { tx.Size++ },
		"longer":  func(tx *smtpclient.Transaction) { tx.Size -= 2 },
		"read error": func(tx *smtpclient.Transaction) {
			tx.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("a\r\n"), failing{broken})), nil
			}
		},
	}
	for _, way := range ways[:6] {
		for name, change := range opens {
			t.Run(way.name+" "+name, func(t *testing.T) {
				s := smtptest.Start(t, smtptest.Behaviour{Extensions: way.extensions})
				c := hello(t, s, config)
				tx := message("a@rcpt.test")
				change(&tx)
				res, err := c.Send(t.Context(), tx)
				if !errors.Is(err, smtpclient.ErrContent) || res.State != smtpclient.StateAbandoned || name == "read error" && !errors.Is(err, broken) {
					t.Errorf("got %v, %v", res.State, err)
				}
				closed(t, s, 1)
				if n := len(s.Messages()); n != 0 {
					t.Errorf("%d messages arrived", n)
				}
			})
		}
	}
	t.Run("cannot be opened", func(t *testing.T) {
		s := smtptest.Start(t, smtptest.Behaviour{})
		c := hello(t, s, config)
		tx := message("a@rcpt.test")
		tx.Open = func() (io.ReadCloser, error) { return nil, broken }
		if res, err := c.Send(t.Context(), tx); !errors.Is(err, broken) || res.State != smtpclient.StateNotStarted || !c.Usable() {
			t.Errorf("got %v, %v", res.State, err)
		}
		again(t, c)
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestBeforeFinal(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := smtptest.Start(t, smtptest.Behaviour{Extensions: way.extensions})
			c := hello(t, s, config)
			lost := errors.New("lease lost")
			asked := 0
			tx := withContent(strings.Repeat(text, way.lines), "a@rcpt.test")
			tx.BeforeFinal = func(context.Context) error { asked++; return nil }
			if res, err := c.Send(t.Context(), tx); err != nil || !res.Delivered(0) || asked != 1 {
				t.Fatalf("got %v, %v, asked %d times", res.State, err, asked)
			}
			tx.BeforeFinal = func(context.Context) error { return lost }
			res, err := c.Send(t.Context(), tx)
			if !errors.Is(err, lost) || !errors.Is(err, smtpclient.ErrAbandoned) || res.State != smtpclient.StateAbandoned {
				t.Errorf("got %v, %v", res.State, err)
			}
			closed(t, s, 1)
			if n := len(s.Messages()); n != 1 {
				t.Errorf("%d messages arrived, want 1", n)
			}
			// A context that ends while we are asked counts, too.
			c = hello(t, s, config)
			ctx, cancel := context.WithCancel(t.Context())
			tx.BeforeFinal = func(context.Context) error { cancel(); return nil }
			if res, err := c.Send(ctx, tx); !errors.Is(err, context.Canceled) || res.State != smtpclient.StateAbandoned {
				t.Errorf("got %v, %v", res.State, err)
			}
			closed(t, s, 2)
			if n := len(s.Messages()); n != 1 {
				t.Errorf("%d messages arrived, want 1", n)
			}
		})
	}
}

// SEC-29: between the end of the content and its answer only FinalContext cuts.
func TestShutdownWaitsForTheAnswer(t *testing.T) {
	for _, way := range []int{0, 3, 5} {
		t.Run(ways[way].name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := func(c smtptest.Command) (a smtptest.Action) {
					if c.Verb == "DOT" || c.Verb == "LAST" {
						a.Delay = 9 * time.Minute
					}
					return a
				}
				c, s := session(t, smtptest.Behaviour{Extensions: ways[way].extensions, On: late}, config)
				defer s.Close()
				if err := c.Hello(t.Context()); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Minute, cancel)
				start := time.Now()
				res, err := c.Send(ctx, message("a@rcpt.test"))
				if err != nil || !res.Delivered(0) || time.Since(start) != 9*time.Minute {
					t.Errorf("got %v, %v after %v", res.State, err, time.Since(start))
				}

				hard, cut := context.WithCancelCause(t.Context())
				cause := errors.New("power is going")
				time.AfterFunc(time.Minute, func() { cut(cause) })
				tx := message("a@rcpt.test")
				tx.FinalContext = hard
				start = time.Now()
				res, err = c.Send(t.Context(), tx)
				if !errors.Is(err, cause) || res.State != smtpclient.StateOutcomeUnknown || time.Since(start) != time.Minute {
					t.Errorf("got %v, %v after %v", res.State, err, time.Since(start))
				}
			})
		})
	}
}

// An idle connection may be dead: the content waits for the envelope's replies.
func TestIdleConnectionIsNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := session(t, smtptest.Behaviour{On: func(c smtptest.Command) smtptest.Action {
			return smtptest.Action{Silent: c.Verb == "MAIL" && c.N == 2, Close: c.Verb == "MAIL" && c.N == 2}
		}}, config)
		defer s.Close()
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		if res, err := c.Send(t.Context(), message("a@rcpt.test")); err != nil || !res.Delivered(0) {
			t.Fatalf("got %v, %v", res.State, err)
		}
		time.Sleep(time.Minute)
		if res, err := c.Send(t.Context(), message("a@rcpt.test")); err == nil || res.State != smtpclient.StateLost {
			t.Errorf("got %v, %v", res.State, err)
		}
	})
}

// SEC-28: a server that takes our content slower than block by block.
func TestServerStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := session(t, smtptest.Behaviour{Extensions: []string{"8BITMIME"}, StopReading: "DATA"}, config)
		defer s.Close()
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		res, err := c.Send(t.Context(), withContent(strings.Repeat(text, 10_000), "a@rcpt.test"))
		if !errors.Is(err, smtpclient.ErrTimeout) || res.State != smtpclient.StateLost {
			t.Errorf("got %v, %v", res.State, err)
		}
		if took := time.Since(start); took < 3*time.Minute || took > 3*time.Minute+time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// No content follows an envelope that was refused, if the caller wants it so.
func TestAwaitEnvelope(t *testing.T) {
	for _, tt := range []struct {
		await bool
		want  string
	}{
		{false, "[EHLO MAIL RCPT BDAT LAST]"},
		{true, "[EHLO MAIL RCPT]"},
	} {
		s := smtptest.Start(t, smtptest.Behaviour{RequireTLS: true})
		tx := message("a@rcpt.test")
		tx.AwaitEnvelope = tt.await
		res, err := hello(t, s, config).Send(t.Context(), tx)
		if err != nil || res.State != smtpclient.StateMailRefused || res.Mail.Code != 530 {
			t.Errorf("await %v: got %v %v, %v", tt.await, res.State, res.Mail, err)
		}
		if got := fmt.Sprint(s.Connections()[0].Verbs()); got != tt.want {
			t.Errorf("await %v: commands: got %s, want %s", tt.await, got, tt.want)
		}
	}
}

func TestNoPipeliningNoChunking(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{})
	c := hello(t, s, smtpclient.Config{Name: "out.example.org", NoPipelining: true, NoChunking: true})
	res, err := c.Send(t.Context(), message("a@rcpt.test"))
	if err != nil || res.Pipelined || res.Chunked || !res.Delivered(0) {
		t.Errorf("got %+v, %v", res, err)
	}
	if got, want := fmt.Sprint(s.Connections()[0].Verbs()), "[EHLO MAIL RCPT DATA DOT]"; got != want {
		t.Errorf("commands: got %s, want %s", got, want)
	}
}

func TestEmptyContent(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{})
	res, err := hello(t, s, config).Send(t.Context(), withContent("", "a@rcpt.test"))
	if err != nil || !res.Delivered(0) || !bytes.Equal(s.Accepted()[0].Content, nil) {
		t.Errorf("got %+v, %v", res, err)
	}
}

// One Close from elsewhere ends a step.
func TestCloseEndsAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := session(t, smtptest.Behaviour{On: silentAt("EHLO")}, config)
		defer s.Close()
		time.AfterFunc(time.Second, func() { c.Close() })
		if err := c.Hello(t.Context()); err == nil || c.Usable() {
			t.Errorf("got %v", err)
		}
	})
}
