package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// A gate holds a receiver's reply to one verb back until it is opened.
type gate struct {
	verbs   string
	reached chan struct{} // closed when the verb came for the first time
	opened  chan struct{}
	once    sync.Once
}

func newGate(t *testing.T, verbs string) *gate {
	g := &gate{verbs: verbs, reached: make(chan struct{}), opened: make(chan struct{})}
	t.Cleanup(g.open)
	return g
}

func (g *gate) open() {
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) hold(c smtptest.Command) smtptest.Action {
	if strings.Contains(g.verbs, c.Verb) {
		g.once.Do(func() { close(g.reached) })
		<-g.opened
	}
	return smtptest.Action{}
}

// short is a message to one address.
func short(to string) form {
	return form{{name: "from", value: "bob@" + plainDomain}, {name: "to", value: to}, {name: "subject", value: "Hi"}, {name: "text", value: "Hello"}}
}

// REL-07: a shutdown waits for the reply to a message that was sent to its end, and
// records it. The restarted server does not send it again.
func TestShutdownAfterFinalDot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	g := newGate(t, "DOT LAST")
	to := w.receive(t, "slow", smtptest.Valid, smtptest.Behaviour{On: g.hold})
	id := rg.mustSubmit(t, plainDomain, "messages", short(to.address()))
	<-g.reached
	rg.cancel()
	await(t, "the door to close", func() bool { _, _, err := rg.do(rg.http, "GET", rg.base+"/", nil); return err != nil })
	select {
	case <-rg.stopped:
		t.Fatal("the server stopped while a reply was due")
	default:
	}
	g.open()
	rg.stop(t)
	rg = w.start(t)
	checkOnce(t, rg, to, id, 1)
}

// REL-07: before the final dot there is nothing to wait for. The attempt is abandoned,
// does not count, leaves no event, and is made again after the restart.
func TestShutdownBeforeFinalDot(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"EHLO", "STARTTLS", "MAIL", "RCPT", "DATA"} {
		t.Run(verb, func(t *testing.T) {
			w := newWorld(t)
			rg := w.start(t)
			rg.open(t, plainDomain)
			g := newGate(t, verb)
			// Without CHUNKING, so that there is a DATA to hold.
			to := w.receive(t, "slow", smtptest.Valid, smtptest.Behaviour{On: g.hold, Extensions: []string{"SIZE 52428800", "8BITMIME"}})
			id := rg.mustSubmit(t, plainDomain, "messages", short(to.address()))
			<-g.reached
			rg.stop(t)
			g.open()
			rg = w.start(t)
			checkOnce(t, rg, to, id, 1)
		})
	}
}

// checkOnce wants one copy at the receiver, one accepted and one delivered event and an
// empty queue.
func checkOnce(t *testing.T, rg *rig, to *receiver, id string, attempt int) {
	t.Helper()
	e := rg.outcome(t, plainDomain, id)
	if e.Event != "delivered" || e.Status.Attempt != attempt {
		t.Errorf("%s at attempt %d: %+v", e.Event, e.Status.Attempt, e.Status)
	}
	rg.settle(t)
	if n := len(to.Accepted()); n != 1 {
		t.Errorf("%d copies", n)
	}
	if all := rg.of(t, plainDomain, id); len(all) != 2 || all[0].Event != "accepted" {
		t.Errorf("%d events", len(all))
	}
}

// REL-07: what is being read when the shutdown begins is read to its end,
// acknowledged, and delivered by the next server.
func TestShutdownWhileReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	to := w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{})

	body, contentType, err := short(to.address()).with(field{name: "h:Message-Id", value: "<http@reading.test>"}).encode()
	if err != nil {
		t.Fatal(err)
	}
	half := body.Len() / 2
	pr, pw := io.Pipe()
	req, err := http.NewRequest("POST", rg.base+"/v3/"+plainDomain+"/messages", pr)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	answered := make(chan int, 1)
	go func() {
		status, _, err := rg.send(rg.http, req)
		if err != nil {
			t.Error(err)
		}
		answered <- status
	}()
	if _, err := pw.Write(body.Next(half)); err != nil {
		t.Fatal(err)
	}

	s, err := rg.dialSMTP(plainDomain, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Mail("bob@"+plainDomain, &smtp.MailOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Rcpt(to.address(), nil); err != nil {
		t.Fatal(err)
	}
	data, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(data, "From: bob@"+plainDomain+"\r\nMessage-ID: <smtp@reading.test>\r\n"); err != nil {
		t.Fatal(err)
	}

	rg.cancel()
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	await(t, "the door to close", func() bool { _, _, err := rg.do(fresh, "GET", rg.base+"/", nil); return err != nil })
	if _, err := io.Copy(pw, body); err != nil {
		t.Fatal(err)
	}
	_ = pw.Close()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the request that was being read was answered %d", status)
	}
	if _, err := io.WriteString(data, "Subject: x\r\n\r\nHello\r\n"); err != nil {
		t.Error(err)
	}
	if err := data.Close(); err != nil {
		t.Errorf("the message that was being read was answered %v", err)
	}
	_ = s.Close()
	rg.stop(t)
	rg = w.start(t)
	for _, id := range []string{"http@reading.test", "smtp@reading.test"} {
		if e := rg.outcome(t, plainDomain, id); e.Event != "delivered" {
			t.Errorf("%s: %s %+v", id, e.Event, e.Status)
		}
	}
	if n := len(to.Accepted()); n != 2 {
		t.Errorf("%d messages arrived, want 2", n)
	}
}

// A deferred message and its history survive a restart, and the operator can have it
// tried at once.
func TestRetrySurvivesRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	var mu sync.Mutex
	busy := true
	to := w.receive(t, "busy", smtptest.Valid, smtptest.Behaviour{Rcpt: func(string) string {
		mu.Lock()
		defer mu.Unlock()
		if busy {
			return "451 4.7.1 come back later"
		}
		return ""
	}})
	id := rg.mustSubmit(t, plainDomain, "messages", short(to.address()))
	first := rg.outcome(t, plainDomain, id)
	if s := first.Status; first.Event != "failed" || first.Severity != "temporary" || s.Code != 451 || s.Enhanced != "4.7.1" || s.Attempt != 1 || s.Retry == nil || !*s.TLS {
		t.Fatalf("first attempt: %s %+v", first.Event, s)
	}
	rg.stop(t)
	mu.Lock()
	busy = false
	mu.Unlock()
	rg = w.start(t)
	rows, _ := rg.operate(t, "GET", "/v1/sealpost/queue", url.Values{"message": {first.Storage.Key}})["items"].([]any)
	if len(rows) != 1 {
		t.Fatalf("queue after the restart: %v", rows)
	}
	if row := rows[0].(map[string]any); row["attempt"] != 1.0 || row["recipient"] != to.address() || !strings.Contains(row["last_reply"].(string), "come back later") {
		t.Errorf("row %v", row)
	}
	if n := rg.operate(t, "POST", "/v1/sealpost/queue/retry", url.Values{"message": {first.Storage.Key}})["count"]; n != 1.0 {
		t.Fatalf("retried %v rows", n)
	}
	second := rg.outcomes(t, plainDomain, id, 2)[1]
	if second.Event != "delivered" || second.Status.Attempt != 2 {
		t.Errorf("second attempt: %s %+v", second.Event, second.Status)
	}
	if n := len(to.Accepted()); n != 1 {
		t.Errorf("%d copies", n)
	}
}

// REL-05: what a killed process left in the spool folder is gone after the next start.
func TestStartEmptiesSpoolFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.data(), "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.data(), "tmp", "spool-1"), bytes.Repeat([]byte{'x'}, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	if left := w.folder(t, "tmp"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
