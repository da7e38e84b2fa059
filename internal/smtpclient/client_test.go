package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/smtptest"
)

var config = smtpclient.Config{Name: "out.example.org"}

// dial connects to a server on loopback.
func dial(t *testing.T, s *smtptest.Server, cfg smtpclient.Config) *smtpclient.Client {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := smtpclient.New(conn, cfg)
	t.Cleanup(func() { c.Close() })
	return c
}

// hello connects and says EHLO.
func hello(t *testing.T, s *smtptest.Server, cfg smtpclient.Config) *smtpclient.Client {
	t.Helper()
	c := dial(t, s, cfg)
	if err := c.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// closed waits until the server has seen n connections end.
func closed(t *testing.T, s *smtptest.Server, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.WaitClosed(ctx, n); err != nil {
		t.Fatal(err)
	}
}

// asError takes the *smtpclient.Error out of err.
func asError(t *testing.T, err error) *smtpclient.Error {
	t.Helper()
	var e *smtpclient.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *smtpclient.Error", err)
	}
	return e
}

func TestHello(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{Host: "mx.starttls.example", Extensions: []string{"pipelining", "Size 1000", "8BitMime"}})
	c := hello(t, s, config)
	caps := c.Capabilities()
	if !caps.Has("PIPELINING") || caps.Size() != 1000 || !caps.Has("8BITMIME") || caps.Has("STARTTLS") {
		t.Errorf("capabilities: %+v", caps)
	}
	if got := c.Greeting().Text; got != "mx.starttls.example ESMTP" {
		t.Errorf("greeting: %q", got)
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Errorf("NOOP: %v", err)
	}
	if err := c.Reset(t.Context()); err != nil {
		t.Errorf("RSET: %v", err)
	}
	if !c.Usable() {
		t.Error("not usable")
	}
	if err := c.Quit(t.Context(), 0); err != nil {
		t.Errorf("QUIT: %v", err)
	}
	if c.Usable() {
		t.Error("usable after QUIT")
	}
	closed(t, s, 1)
	if got, want := fmt.Sprint(s.Connections()[0].Verbs()), "[EHLO NOOP RSET QUIT]"; got != want {
		t.Errorf("commands: got %s, want %s", got, want)
	}
}

func TestHelloFallsBackToHelo(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{Replies: map[string]string{"EHLO": "500-PIPELINING\n500 unknown"}})
	c := hello(t, s, config)
	if c.Capabilities().Has("PIPELINING") {
		t.Error("capabilities out of a refusal")
	}
	res, err := c.Send(t.Context(), message("a@rcpt.test"))
	if err != nil || !res.Delivered(0) || res.Pipelined || res.Chunked {
		t.Errorf("got %+v, %v", res, err)
	}
	if m := s.Accepted(); len(m) != 1 || m[0].Params != "" {
		t.Errorf("server got %+v", m)
	}
}

// SEC-33: each of these as the answer to connecting, EHLO, HELO, RSET, QUIT.
func TestAnswersOutsideOfTransactions(t *testing.T) {
	codes := []int{220, 221, 250, 354, 421, 454, 500, 501, 502, 504, 530, 550, 554}
	for _, verb := range []string{"GREETING", "EHLO", "HELO", "RSET", "QUIT"} {
		for _, code := range codes {
			t.Run(fmt.Sprint(verb, code), func(t *testing.T) {
				replies := map[string]string{verb: fmt.Sprint(code, " so be it")}
				if verb == "HELO" {
					replies["EHLO"] = "502 no"
				}
				s := smtptest.Start(t, smtptest.Behaviour{Replies: replies})
				c := dial(t, s, config)
				err := c.Hello(t.Context())
				good, fallback := map[string]int{"GREETING": 220, "EHLO": 250, "HELO": 250, "RSET": 0, "QUIT": 221}[verb], false
				switch verb {
				case "EHLO":
					fallback = code >= 500
				case "RSET":
					if err != nil {
						t.Fatal(err)
					}
					if err = c.Reset(t.Context()); code < 300 {
						good = code
					}
				case "QUIT":
					if err != nil {
						t.Fatal(err)
					}
					err = c.Quit(t.Context(), 0)
				}
				if code == good || fallback {
					if err != nil {
						t.Errorf("got %v", err)
					}
					return
				}
				e := asError(t, err)
				switch {
				case code == 421 && (!errors.Is(err, smtpclient.ErrClosing) || e.Reply.Code != 421),
					code < 400 && !errors.Is(err, smtpclient.ErrProtocol),
					code > 421 && (e.Err != nil || e.Reply.Code != code):
					t.Errorf("got %#v", e)
				}
				if usable := c.Usable(); usable != (verb == "RSET" && code > 421) {
					t.Errorf("usable: %v", usable)
				}
			})
		}
	}
}

func TestQuitAfterRefusedGreeting(t *testing.T) {
	s := smtptest.Start(t, smtptest.Behaviour{Replies: map[string]string{"GREETING": "554 5.3.2 go away"}})
	c := dial(t, s, config)
	if e := asError(t, c.Hello(t.Context())); e.Reply.Code != 554 || e.Reply.Enhanced != "5.3.2" || e.Stage != smtpclient.StageGreeting {
		t.Errorf("got %+v", e)
	}
	if err := c.Quit(t.Context(), 0); err != nil {
		t.Errorf("QUIT: %v", err)
	}
	closed(t, s, 1)
	if got := fmt.Sprint(s.Connections()[0].Verbs()); got != "[QUIT]" {
		t.Errorf("commands: %s", got)
	}
}

// SEC-15
func TestHelloNameIsChecked(t *testing.T) {
	for _, name := range []string{"", "a b", "a\r\nMAIL FROM:<>", "a\n", "a\x00b", "<a>", "ä.example", "[]"} {
		s := smtptest.Start(t, smtptest.Behaviour{})
		c := dial(t, s, smtpclient.Config{Name: name})
		if err := c.Hello(t.Context()); !errors.Is(err, smtpclient.ErrArgument) {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, name := range []string{"a.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"} {
		s := smtptest.Start(t, smtptest.Behaviour{})
		if err := dial(t, s, smtpclient.Config{Name: name}).Hello(t.Context()); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// SEC-30, SEC-33: octets that answer nothing poison the connection.
func TestUnsolicitedOctets(t *testing.T) {
	tests := map[string][]smtptest.Step{
		"EHLO reply before EHLO": {smtptest.SendRaw("220 hi\r\n250-mx\r\n250 STARTTLS\r\n"), smtptest.Stall()},
		"half a line":            {smtptest.SendRaw("220 hi\r\n2"), smtptest.Stall()},
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			s := smtptest.StartScript(t, script)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := dial(t, s, config).Hello(ctx)
			if !errors.Is(err, smtpclient.ErrProtocol) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("421 while idle", func(t *testing.T) {
		s := smtptest.StartScript(t, []smtptest.Step{
			smtptest.Send("220 hi"), smtptest.Expect("EHLO"), smtptest.Send("250 mx"),
			smtptest.Expect("NOOP"), smtptest.Send("250 ok"), smtptest.Send("421 4.4.2 idle too long"), smtptest.CloseConn(),
		})
		c := hello(t, s, config)
		if err := c.Noop(t.Context()); err != nil {
			t.Fatal(err)
		}
		closed(t, s, 1)
		for c.Usable() { // until the octets are through loopback
			runtime.Gosched()
		}
		res, err := c.Send(t.Context(), message("a@rcpt.test"))
		if e := asError(t, err); !errors.Is(err, smtpclient.ErrClosing) || e.Reply.Enhanced != "4.4.2" || res.State != smtpclient.StateNotStarted {
			t.Errorf("got %+v, %v", res, err)
		}
	})
	t.Run("closed while idle", func(t *testing.T) {
		s := smtptest.StartScript(t, []smtptest.Step{
			smtptest.Send("220 hi"), smtptest.Expect("EHLO"), smtptest.Send("250-mx", "250-PIPELINING", "250 CHUNKING"), smtptest.CloseConn(),
		})
		c := hello(t, s, config)
		closed(t, s, 1)
		for c.Usable() {
			runtime.Gosched()
		}
		res, err := c.Send(t.Context(), message("a@rcpt.test"))
		if err == nil || res.State != smtpclient.StateNotStarted {
			t.Errorf("got %+v, %v", res, err)
		}
	})
}

// SEC-27: a flood at every reply ends at the caps, in memory and in time.
func TestFloods(t *testing.T) {
	floods := map[string]string{"lines": "250-x\r\n", "one line": "2", "capabilities": "250-XAAAAAAAAAAAAAAA\r\n"}
	for name, flood := range floods {
		for _, verb := range []string{"GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT"} {
			t.Run(name+" at "+verb, func(t *testing.T) {
				s := smtptest.Start(t, smtptest.Behaviour{
					Extensions: []string{"8BITMIME"},
					On: func(c smtptest.Command) smtptest.Action {
						if c.Verb == verb {
							return smtptest.Action{Flood: flood}
						}
						return smtptest.Action{}
					},
				})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				c := dial(t, s, config)
				err := c.Hello(ctx)
				var res smtpclient.Result
				if err == nil && verb != "QUIT" {
					res, err = c.Send(ctx, message("a@rcpt.test"))
				}
				if err == nil {
					err = c.Quit(ctx, 0)
				}
				if !errors.Is(err, smtpclient.ErrProtocol) || c.Usable() {
					t.Errorf("got %v, usable %v", err, c.Usable())
				}
				if verb == "DOT" && res.State != smtpclient.StateOutcomeUnknown {
					t.Errorf("state: %v", res.State)
				}
			})
		}
	}
}

// session starts a client and a server within a synctest bubble.
func session(t *testing.T, b smtptest.Behaviour, cfg smtpclient.Config) (*smtpclient.Client, *smtptest.Server) {
	s := smtptest.New(b)
	c := smtpclient.New(s.Pipe(), cfg)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}

// SEC-28: silence at each stage ends after that stage's timeout, and a reply
// that drips in at one octet per two seconds ends no later.
func TestTimeouts(t *testing.T) {
	tests := []struct {
		verb string
		want time.Duration
	}{
		{"GREETING", 5 * time.Minute}, {"EHLO", 5 * time.Minute}, {"MAIL", 5 * time.Minute}, {"RCPT", 5 * time.Minute},
		{"DATA", 2 * time.Minute}, {"DOT", 10 * time.Minute}, {"NOOP", 5 * time.Minute}, {"QUIT", 2 * time.Second},
	}
	misbehaviours := map[string]smtptest.Action{
		"silence": {Silent: true},
		"drip":    {Raw: "250-" + strings.Repeat("x", 1000), Drip: 2 * time.Second},
	}
	for _, tt := range tests {
		for name, action := range misbehaviours {
			t.Run(tt.verb+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, s := session(t, smtptest.Behaviour{
						Extensions: []string{"8BITMIME"},
						On: func(c smtptest.Command) smtptest.Action {
							if c.Verb == tt.verb {
								return action
							}
							return smtptest.Action{}
						},
					}, config)
					defer s.Close()
					defer c.Close()
					start := time.Now()
					err := c.Hello(t.Context())
					var res smtpclient.Result
					if err == nil {
						switch tt.verb {
						case "NOOP":
							err = c.Noop(t.Context())
						case "QUIT":
							err = c.Quit(t.Context(), tt.want)
						default:
							res, err = c.Send(t.Context(), message("a@rcpt.test"))
						}
					}
					if err == nil || tt.verb != "QUIT" && !errors.Is(err, smtpclient.ErrTimeout) {
						t.Errorf("got %v", err)
					}
					if got := time.Since(start); got != tt.want {
						t.Errorf("took %v, want %v", got, tt.want)
					}
					if unknown := res.State == smtpclient.StateOutcomeUnknown; unknown != (tt.verb == "DOT") {
						t.Errorf("state: %v", res.State)
					}
				})
			})
		}
	}
}

func TestContextEndsAnyStepAtOnce(t *testing.T) {
	for _, verb := range []string{"GREETING", "EHLO", "MAIL", "RCPT", "DATA"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := session(t, smtptest.Behaviour{Extensions: []string{"8BITMIME"}, On: silentAt(verb)}, config)
				defer s.Close()
				cause := errors.New("we stop")
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause) })
				start := time.Now()
				err := c.Hello(ctx)
				if err == nil {
					var res smtpclient.Result
					if res, err = c.Send(ctx, message("a@rcpt.test")); res.State != smtpclient.StateAbandoned {
						t.Errorf("state: %v", res.State)
					}
				}
				if !errors.Is(err, cause) || time.Since(start) != time.Second || c.Usable() {
					t.Errorf("got %v after %v, usable %v", err, time.Since(start), c.Usable())
				}
			})
		})
	}
}

// silentAt says nothing from the given verb on.
func silentAt(verb string) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) smtptest.Action { return smtptest.Action{Silent: c.Verb == verb} }
}

func TestErrorQuotesForeignText(t *testing.T) { // SEC-37
	s := smtptest.Start(t, smtptest.Behaviour{Replies: map[string]string{"GREETING": "554-no\n554 \"way\" \x1b[2J"}})
	err := dial(t, s, config).Hello(t.Context())
	if got, want := err.Error(), `greeting: server said "554 no \"way\" �[2J"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
