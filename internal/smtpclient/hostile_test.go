package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// SEC-30: every reply class at every state. Success is a 2xx to the end of the
// content and nothing else.
func TestEveryReplyAtEveryState(t *testing.T) {
	codes := []string{"000", "199", "200", "220", "250", "251", "299", "300", "354", "399", "400", "421", "450", "499", "500", "550", "599", "600", "999", "2", "abc"}
	verbs := []string{"MAIL", "RCPT", "DATA", "BDAT", "DOT", "LAST"}
	for _, way := range ways {
		for _, verb := range verbs {
			for _, code := range codes {
				chunked := slices.Contains(way.extensions, "CHUNKING")
				if chunked == (verb == "DATA" || verb == "DOT") && verb != "MAIL" && verb != "RCPT" || verb == "BDAT" && way.lines < 50_000 {
					continue
				}
				t.Run(way.name+" "+verb+" "+code, func(t *testing.T) {
					t.Parallel()
					s := smtptest.Start(t, smtptest.Behaviour{Extensions: way.extensions, Replies: map[string]string{verb: code + " x"}})
					c := hello(t, s, config)
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					res, err := c.Send(ctx, withContent(strings.Repeat(text, way.lines), "a@rcpt.test"))
					checkReplyAtState(t, verb, code, &res, err)
				})
			}
		}
	}
}

func checkReplyAtState(t *testing.T, verb, code string, res *smtpclient.Result, err error) {
	t.Helper()
	end := verb == "DOT" || verb == "LAST"
	class := code[0]
	valid := len(code) == 3 && class >= '2' && class <= '5'
	switch {
	case verb == "DATA" && code == "354", verb != "DATA" && valid && class == '2':
		if err != nil || !res.Delivered(0) {
			t.Errorf("a yes: got %v, %v", res.State, err)
		}
	case verb == "LAST" && code == "500": // told BDAT is unknown, DATA is tried
		if err != nil || !res.Delivered(0) || res.Chunked {
			t.Errorf("BDAT unknown: got %+v, %v", res, err)
		}
	case verb == "BDAT" && code == "500": // chunks were under way: the connection ends, or DATA is tried
		if res.State != smtpclient.StateDataRefused && !res.Delivered(0) {
			t.Errorf("BDAT unknown: got %+v, %v", res, err)
		}
	case valid && (class == '4' || class == '5'):
		if res.Delivered(0) || res.State == smtpclient.StateOutcomeUnknown || fmt.Sprint(res.Reply(0).Code) != code && res.Mail.Positive() {
			t.Errorf("a no: got %v, %v, %v", res.State, res.Reply(0), err)
		}
		if closing := code == "421" && !end; closing != errors.Is(err, smtpclient.ErrClosing) && !res.Recipients[0].Temporary() {
			t.Errorf("got %v", err)
		}
	default:
		if !errors.Is(err, smtpclient.ErrProtocol) || res.Delivered(0) || res.Reply(0).Permanent() {
			t.Errorf("nonsense: got %+v, %v", res, err)
		}
		if end && res.State != smtpclient.StateOutcomeUnknown {
			t.Errorf("nonsense at the end: got %v", res.State)
		}
	}
}

// SEC-29, SEC-31: closed or reset instead of an answer, and after one.
func TestClosedAfterEachCommand(t *testing.T) {
	actions := map[string]smtptest.Action{
		"closes": {Silent: true, Close: true}, "resets": {Silent: true, Reset: true},
		"421": {Reply: "421 4.3.2 bye", Close: true}, "half a reply": {Raw: "250-taken\r\n25", Close: true},
	}
	for _, way := range ways {
		for _, verb := range []string{"EHLO", "MAIL", "RCPT", "DATA", "BDAT", "DOT", "LAST"} {
			for name, action := range actions {
				t.Run(way.name+" "+name+" at "+verb, func(t *testing.T) {
					t.Parallel()
					reached := false
					s := smtptest.Start(t, smtptest.Behaviour{Extensions: way.extensions, On: func(c smtptest.Command) smtptest.Action {
						if c.Verb == verb && (verb != "RCPT" || c.N == 3) {
							reached = true
							return action
						}
						return smtptest.Action{}
					}, Rcpt: func(a string) string {
						if a == "no@rcpt.test" {
							return "550 5.1.1 unknown"
						}
						return ""
					}})
					c := dial(t, s, config)
					err := c.Hello(t.Context())
					if verb == "EHLO" {
						if err == nil || c.Usable() {
							t.Errorf("got %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					res, err := c.Send(t.Context(), withContent(strings.Repeat(text, way.lines), "no@rcpt.test", "a@rcpt.test", "b@rcpt.test"))
					c.Close()
					s.Close()
					if !reached {
						return // this way does not use the command
					}
					end := verb == "DOT" || verb == "LAST"
					early := way.name == "pipelined BDAT with the envelope"
					if err == nil && !(end && name == "421") {
						t.Errorf("no error; %+v", res)
					}
					if got := res.Reply(0); res.Recipients[0].Code != 0 && got.Code != 550 {
						t.Errorf("the refused one: %v", got)
					}
					for i := 1; i < 3; i++ {
						reply := res.Reply(i)
						if res.Delivered(i) || reply.Permanent() || reply.Positive() || (name == "421") != (reply.Code == 421) && name != "resets" {
							t.Errorf("recipient %d: %v, %v, %v", i, res.State, reply, err)
						}
					}
					unknown := (end || early) && name != "421"
					if got := res.State == smtpclient.StateOutcomeUnknown; got != unknown && !(early && name == "resets") {
						t.Errorf("state: %v, %v", res.State, err)
					}
					if c.Usable() {
						t.Error("usable")
					}
				})
			}
		}
	}
}

// SEC-30: a 250 that was there before the content ended is no success.
func TestInventedSuccess(t *testing.T) {
	for _, stay := range []smtptest.Step{smtptest.Stall(), smtptest.ExpectContent()} {
		s := smtptest.StartScript(t, []smtptest.Step{
			smtptest.Send("220 hi"), smtptest.Expect("EHLO"), smtptest.Send("250 mx"),
			smtptest.Expect("MAIL"), smtptest.Send("250 ok"), smtptest.Expect("RCPT"), smtptest.Send("250 ok"),
			smtptest.Expect("DATA"), smtptest.Send("354 go", "250 taken"), stay,
		})
		res, err := hello(t, s, config).Send(t.Context(), message("a@rcpt.test"))
		if !errors.Is(err, smtpclient.ErrProtocol) || res.State != smtpclient.StateLost || res.Delivered(0) {
			t.Errorf("got %+v, %v", res, err)
		}
	}
}

func TestRefusedDuringContent(t *testing.T) {
	s := smtptest.StartScript(t, []smtptest.Step{
		smtptest.Send("220 hi"), smtptest.Expect("EHLO"), smtptest.Send("250 mx"),
		smtptest.Expect("MAIL"), smtptest.Send("250 ok"), smtptest.Expect("RCPT"), smtptest.Send("250 ok"),
		smtptest.Expect("DATA"), smtptest.Send("354 go", "552 5.3.4 too much"), smtptest.Stall(),
	})
	res, err := hello(t, s, config).Send(t.Context(), message("a@rcpt.test"))
	if err == nil || res.State != smtpclient.StateDataRefused || res.Reply(0).Code != 552 {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestMoreRepliesThanCommands(t *testing.T) { // SEC-30
	s := smtptest.Start(t, smtptest.Behaviour{Extensions: []string{"8BITMIME"}, Replies: map[string]string{"DOT": "250 taken\n250 and again"}})
	c := hello(t, s, config)
	res, err := c.Send(t.Context(), message("a@rcpt.test"))
	if err != nil || !res.Delivered(0) {
		t.Errorf("got %+v, %v", res, err)
	}
	if c.Usable() {
		t.Error("usable with an extra reply waiting")
	}
}

// SEC-34: CHUNKING offered and BDAT unknown.
func TestBDATUnknown(t *testing.T) {
	for _, extensions := range [][]string{{"CHUNKING"}, {"CHUNKING", "PIPELINING"}} {
		s := smtptest.Start(t, smtptest.Behaviour{Extensions: extensions, Replies: map[string]string{"LAST": "502 5.5.1 unknown"}})
		c := hello(t, s, config)
		for range 2 {
			res, err := c.Send(t.Context(), message("a@rcpt.test"))
			if err != nil || !res.Delivered(0) || res.Chunked {
				t.Errorf("got %+v, %v", res, err)
			}
		}
		if c.Sent() != 2 || len(s.Accepted()) != 2 || len(s.Messages()) != 3 {
			t.Errorf("sent %d, accepted %d of %d", c.Sent(), len(s.Accepted()), len(s.Messages()))
		}
	}
	t.Run("content taken for commands", func(t *testing.T) {
		unknown := strings.Repeat("500 what?\r\n", 6)
		s := smtptest.StartScript(t, []smtptest.Step{
			smtptest.Send("220 hi"), smtptest.Expect("EHLO"), smtptest.Send("250-mx", "250-PIPELINING", "250 CHUNKING"),
			smtptest.Expect("MAIL"), smtptest.Send("250 ok"), smtptest.Expect("RCPT"), smtptest.Send("250 ok"),
			smtptest.Expect("BDAT"), smtptest.SendRaw("500 what?\r\n"), smtptest.ExpectOctets(int64(len(text))), smtptest.SendRaw(unknown), smtptest.Stall(),
		})
		res, err := hello(t, s, config).Send(t.Context(), message("a@rcpt.test"))
		if err == nil || res.State != smtpclient.StateLost || res.Reply(0).Code != 0 {
			t.Errorf("got %+v, %v", res, err)
		}
	})
}
