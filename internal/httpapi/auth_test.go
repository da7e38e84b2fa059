package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/contract"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// SEC-58: somebody behind the same address cannot lock a good key out.
func TestGuesserDoesNotLockOutItsNeighbour(t *testing.T) {
	rg := newRig(t)
	if w := rg.call("admin", "GET", "/v3/domains", nil); w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	const burst = 40 // failures that an address has
	codes := map[int]int{}
	for i := range 2 * burst {
		w := rg.call(fmt.Sprintf("guess-%d", i), "GET", "/v3/domains", nil)
		codes[w.Code]++
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if codes[401] != burst || codes[429] != burst {
		t.Errorf("answers were %v", codes)
	}
	if w := rg.call("admin", "GET", "/v3/domains", nil); w.Code != 200 {
		t.Errorf("the good key: %d", w.Code)
	}
	if w := rg.call("own-admin", "GET", "/v3/domains", nil); w.Code != 429 {
		t.Errorf("a key not seen before: %d", w.Code)
	}
	rg.store.keys = rg.store.keys[1:]
	if w := rg.call("admin", "GET", "/v3/domains", nil); w.Code != 401 {
		t.Errorf("the good key once deleted: %d", w.Code)
	}
}

// A store that cannot answer is not a wrong key: 500 with an id that the log has too,
// and nothing of the cause.
func TestStoreTroubleIsInternalError(t *testing.T) {
	rg := newRig(t)
	rg.store.fail = errors.New("disk on fire at /var/lib/secret")
	w := rg.call("admin", "GET", "/v3/domains", nil)
	id := w.Header().Get("X-Request-Id")
	if want := fmt.Sprintf("{\"message\":\"Internal Server Error\",\"id\":%q}\n", id); w.Code != 500 || w.Body.String() != want {
		t.Errorf("status %d %s, want %s", w.Code, w.Body, want)
	}
	if !strings.Contains(rg.log.String(), "disk on fire") || !strings.Contains(rg.log.String(), id) {
		t.Errorf("log is %s", rg.log)
	}
}

type panicking struct{}

func (panicking) Accept(context.Context, accept.Submission) (accept.Receipt, error) {
	panic("index out of range at secret.go:12")
}

func TestPanicIsInternalErrorWithoutTrace(t *testing.T) {
	rg := newRig(t, func(_ *Config, d *Deps) { d.Acceptor = panicking{} })
	w := rg.do("admin", contract.FormRequest(t, "/v3/example.com/messages", false, [][2]string{{"from", "a@example.com"}}))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("status %d %s", w.Code, w.Body)
	}
	if !strings.Contains(rg.log.String(), "secret.go:12") {
		t.Errorf("log is %s", rg.log)
	}
}

// Refusals of the accept room and of the store keep their status.
func TestErrorsKeepTheirStatus(t *testing.T) {
	for _, c := range []struct {
		err   error
		want  int
		after string
	}{
		{&accept.Error{Status: 403, Message: "no"}, 403, ""},
		{fmt.Errorf("accept: %w", &accept.Error{Status: 503, Message: "busy", RetryAfter: 10 * time.Second}), 503, "10"},
		{&accept.Error{Status: 500, Message: "secret"}, 500, ""},
		{fmt.Errorf("x: %w", store.ErrFull), 507, "60"},
		{store.ErrClosed, 503, "5"},
		{context.DeadlineExceeded, 503, "1"},
		{door.ErrTooLarge, 413, ""},
		{errors.New("anything"), 500, ""},
	} {
		rg := newRig(t, func(_ *Config, d *Deps) { d.Acceptor = failing{c.err} })
		w := rg.do("admin", contract.FormRequest(t, "/v3/example.com/messages", false, nil))
		if w.Code != c.want || w.Header().Get("Retry-After") != c.after || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v: status %d, Retry-After %q, %s", c.err, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
}

type failing struct{ err error }

func (f failing) Accept(context.Context, accept.Submission) (accept.Receipt, error) {
	return accept.Receipt{}, f.err
}

// P5: the limit's fields count down, then the call is refused until the minute is over.
func TestSendingLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rg := newRig(t, func(c *Config, d *Deps) {
			c.SendsPerMinute = 2
			d.Acceptor = failing{&accept.Error{Status: 400, Message: "x"}}
		})
		send := func(domain string) (int, string) {
			w := rg.do("admin", contract.FormRequest(t, "/v3/"+domain+"/messages", false, nil))
			return w.Code, w.Header().Get("X-RateLimit-Remaining")
		}
		for i, want := range []string{"400 1", "400 0", "429 0", "429 0"} {
			if code, left := send("example.com"); fmt.Sprint(code, " ", left) != want {
				t.Errorf("call %d: %d %s, want %s", i, code, left, want)
			}
		}
		if code, left := send("example.org"); code != 400 || left != "1" {
			t.Errorf("another domain: %d %s", code, left)
		}
		time.Sleep(time.Minute)
		if code, _ := send("example.com"); code != 400 {
			t.Errorf("a minute later: %d", code)
		}
	})
}

// SEC-75: no secret that passes through ever reaches the log, at any level.
func TestNoSecretsInTheLog(t *testing.T) {
	var log bytes.Buffer
	rg := newRig(t, func(_ *Config, d *Deps) {
		d.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const canary = "canary-0123456789abcdef"
	rg.call(canary, "GET", "/v3/domains", nil)
	rg.call("admin", "POST", "/v1/sealpost/keys", map[string][]string{"value": {canary}})
	rg.call(canary, "GET", "/v3/domains", nil)
	rg.call("admin", "POST", "/v3/domains/example.com/credentials", map[string][]string{"login": {"a"}, "password": {canary}})
	rg.call("admin", "PUT", "/v3/domains/example.com?smtp_password="+canary, nil)
	rg.call("admin", "POST", "/v3/example.com/messages", map[string][]string{"from": {"a@example.com"}, "to": {"b@example.net"}, "text": {canary}, "o:require-tls": {canary}})
	rg.store.fail = errors.New("trouble")
	rg.call(canary, "GET", "/v3/domains", nil)
	if strings.Contains(log.String(), canary) {
		t.Errorf("log holds a secret: %s", log.String())
	}
	if !strings.Contains(log.String(), "request served") {
		t.Error("nothing was logged")
	}
}

// The whole way, over a socket: the raw form of a stored message and nothing left in the
// spool folder.
func TestStoredMessageAsItIs(t *testing.T) {
	rg := newRig(t)
	content := "Subject: Hi\r\n\r\n\"quoted\" \\ tab\t Grüße \xff\x80 " + strings.Repeat("ü", 40_000) + "\r\n"
	id := rg.message(t, "example.com", content)
	r := contract.Request(t, "GET", "/v3/domains/example.com/messages/"+id.String(), "")
	r.Header.Set("Accept", "message/rfc2822")
	w := rg.do("admin", r)
	want := "{\"recipients\":\"ann@example.net\",\"sender\":\"bob@example.com\",\"from\":\"Bob \\u003cbob@example.com\\u003e\",\"subject\":\"Hi\",\"body-mime\":"
	if !strings.HasPrefix(w.Body.String(), want) {
		t.Errorf("answer begins %.200s", w.Body)
	}
	var got struct {
		Body string `json:"body-mime"`
	}
	decode(t, w.Body, &got)
	if got.Body != strings.ToValidUTF8(content, "\uFFFD\uFFFD") && got.Body != strings.NewReplacer("\xff", "\uFFFD", "\x80", "\uFFFD").Replace(content) {
		t.Errorf("content differs: %.100q", got.Body)
	}
}

type brokenContent struct{ store.Messages }

func (b brokenContent) Content(context.Context, int64, mail.ID) (store.Content, error) {
	return store.Content{Size: 10, Open: func() (io.ReadCloser, error) { return nil, os.ErrInvalid }}, nil
}

func TestDamagedContentIsAnError(t *testing.T) {
	rg := newRig(t, func(_ *Config, d *Deps) { d.Messages = brokenContent{d.Messages} })
	id := rg.message(t, "example.com", "x")
	if w := rg.call("admin", "GET", "/v3/domains/example.com/messages/"+id.String(), nil); w.Code != 500 {
		t.Errorf("status %d %s", w.Code, w.Body)
	}
}
