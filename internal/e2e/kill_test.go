package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	_ "modernc.org/sqlite"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// kills is how often the server is killed.
const kills = 50

// recordTime is how long after the receiver's 250 a delivery may still be unrecorded. It
// is generous, for machines that do much else at the same time.
const recordTime = 10 * time.Second

// readTime is how long after the death of its sender a receiver may still be busy with
// what that had written.
const readTime = time.Second

// A ledger is what the senders know.
type ledger struct {
	mu    sync.Mutex
	sent  int
	acked map[string][]string // message id → recipients, of messages answered 200 or 250
}

// REL-01, REL-05, REL-47, REL-50: the server is killed again and again while several
// senders use both doors. Nothing that it acknowledged is lost, nothing is delivered
// twice unless the kill came between the receiver's 250 and its record, and the events
// are complete: one accepted and one delivered for each recipient, whatever happened.
func TestKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, plainDomain)
	rg.stop(t)
	receivers := []*receiver{
		w.receive(t, "one", smtptest.Valid, smtptest.Behaviour{}),
		w.receive(t, "two", smtptest.SelfSigned, smtptest.Behaviour{}),
		w.receive(t, "three", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}),
	}
	book := &ledger{acked: make(map[string][]string)}
	where := newBoard()
	var senders sync.WaitGroup
	for n := range 6 {
		senders.Go(func() { book.send(where, n, receivers) })
	}
	var killed []time.Time
	for range kills {
		c := w.spawn(t)
		where.set(c.client)
		book.awaitMore(rand.IntN(8))
		<-time.After(time.Duration(rand.IntN(100_000)) * time.Microsecond) // a random moment is the point
		killed = append(killed, time.Now())
		c.kill(t)
	}
	where.end()
	senders.Wait()

	rg = w.start(t)
	rg.settle(t)
	copies := arrivals(t, receivers)
	events, err := rg.events(plainDomain, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkEvidence(t, events, rg.proven(t))
	rg.stop(t)
	book.check(t, copies)
	checkDuplicates(t, copies, events, killed)
	checkEvents(t, copies, events)
	checkFolder(t, w)
}

// awaitMore waits until so many more messages are acknowledged, but not for long.
func (b *ledger) awaitMore(n int) {
	count := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.acked)
	}
	enough, late := count()+n, time.After(500*time.Millisecond)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for count() < enough {
		select {
		case <-tick.C:
		case <-late:
			return
		}
	}
}

// send submits messages until the end, through one of the doors.
func (b *ledger) send(where *board, n int, receivers []*receiver) {
	var failed *client
	for i := 0; ; i++ {
		c := where.get(failed)
		if c == nil {
			return
		}
		failed = nil
		id := fmt.Sprintf("%d.%d@kill.test", n, i)
		to := []string{receivers[i%len(receivers)].address()}
		if i%3 == 0 {
			to = append(to, "second@"+receivers[(i+1)%len(receivers)].domain)
		}
		if i%4 == 0 { // two at one next hop
			to = append(to, "third@"+receivers[i%len(receivers)].domain)
		}
		text := "Hello\r\n"
		if i%5 == 0 { // beyond the size that is kept in the database
			text = strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef\r\n", 6000)
		}
		if b.submit(c, n, id, text, to) != nil {
			failed = c
		}
	}
}

func (b *ledger) submit(c *client, n int, id, text string, to []string) error {
	b.mu.Lock()
	b.sent++
	b.mu.Unlock()
	var err error
	if n%3 == 0 {
		head := fmt.Sprintf("From: bob@%s\r\nTo: %s\r\nSubject: kill\r\nMessage-ID: <%s>\r\n\r\n", plainDomain, strings.Join(to, ", "), id)
		err = c.submitSMTP(plainDomain, n%2 == 0, &smtp.MailOptions{}, head+text, to...)
	} else {
		_, err = c.submit(plainDomain, "messages", form{
			{name: "from", value: "bob@" + plainDomain}, {name: "to", value: strings.Join(to, ",")},
			{name: "subject", value: "kill"}, {name: "text", value: text}, {name: "h:Message-Id", value: "<" + id + ">"},
		})
	}
	if err == nil {
		b.mu.Lock()
		b.acked[id] = to
		b.mu.Unlock()
	}
	return err
}

// A delivery is one message id for one recipient.
type delivery struct{ id, recipient string }

// An arrival is one copy at a receiver.
type arrival struct {
	at  time.Time // of the reply to the end of the content
	tls bool
}

// arrivals returns what the receivers took, in order of time.
func arrivals(t *testing.T, receivers []*receiver) map[delivery][]arrival {
	t.Helper()
	copies := make(map[delivery][]arrival)
	for _, r := range receivers {
		for _, conn := range r.Connections() {
			var ends []time.Time
			for _, c := range conn.Commands {
				if c.Verb == "DOT" || c.Verb == "LAST" {
					ends = append(ends, c.At)
				}
			}
			for i, m := range conn.Messages {
				if !m.Accepted {
					continue
				}
				id := headerOf(m.Content, "Message-Id")
				if !bytes.HasSuffix(m.Content, []byte("\r\n")) || id == "" {
					t.Fatalf("a damaged message arrived:\n%.500s", m.Content)
				}
				for _, rcpt := range m.Recipients {
					d := delivery{strings.Trim(id, "<>"), rcpt}
					copies[d] = append(copies[d], arrival{ends[i], m.TLS})
				}
			}
		}
	}
	return copies
}

// headerOf returns a field's value from a header section without parsing more.
func headerOf(content []byte, name string) string {
	head, _, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// check looks for what was acknowledged and did not arrive.
func (b *ledger) check(t *testing.T, copies map[delivery][]arrival) {
	t.Helper()
	if len(b.acked) < kills {
		t.Errorf("only %d messages were acknowledged; this proves nothing", len(b.acked))
	}
	lost := 0
	for id, to := range b.acked {
		for _, rcpt := range to {
			if len(copies[delivery{id, rcpt}]) == 0 {
				lost++
				t.Errorf("%s for %s was acknowledged and is lost", id, rcpt)
			}
		}
	}
	t.Logf("%d messages sent, %d acknowledged, %d recipients reached, %d lost", b.sent, len(b.acked), len(copies), lost)
}

// checkDuplicates allows a second copy only where the server was killed between the
// receiver's 250 to the first one and its record: the kill came soon after the 250, and
// the one delivered event is younger than the last copy.
func checkDuplicates(t *testing.T, copies map[delivery][]arrival, events []Event, killed []time.Time) {
	t.Helper()
	recorded := make(map[delivery]time.Time)
	for _, e := range events {
		if e.Event == "delivered" {
			recorded[delivery{e.Message.Headers.MessageID, e.Recipient}] = timeOf(e)
		}
	}
	double := make(map[string]bool)
	for d, list := range copies {
		slices.SortFunc(list, func(a, b arrival) int { return a.at.Compare(b.at) })
		last := list[len(list)-1]
		for _, a := range list[:len(list)-1] {
			double[d.id] = true
			if !slices.ContainsFunc(killed, func(k time.Time) bool {
				return k.After(a.at.Add(-readTime)) && k.Before(last.at) && k.Sub(a.at) < recordTime
			}) {
				t.Errorf("%s for %s came again although nothing was killed soon after %s", d.id, d.recipient, a.at)
			}
			if recorded[d].Before(last.at) {
				t.Errorf("%s for %s was recorded as delivered at %s, and came again at %s", d.id, d.recipient, recorded[d], last.at)
			}
		}
	}
	t.Logf("%d messages came twice in %d kills", len(double), len(killed))
}

// timeOf returns an event's moment.
func timeOf(e Event) time.Time { return time.UnixMicro(int64(e.Timestamp * 1e6)) }

// checkEvents wants one accepted and one delivered event for everything that arrived,
// and nothing else.
func checkEvents(t *testing.T, copies map[delivery][]arrival, events []Event) {
	t.Helper()
	accepted, delivered := make(map[delivery]int), make(map[delivery]int)
	ids := make(map[string]bool)
	var slowest time.Duration
	for _, e := range events {
		if ids[e.ID] {
			t.Errorf("event id %s twice", e.ID)
		}
		ids[e.ID] = true
		d := delivery{e.Message.Headers.MessageID, e.Recipient}
		switch e.Event {
		case "accepted":
			accepted[d]++
		case "delivered":
			delivered[d]++
			list := copies[d]
			if len(list) == 0 {
				t.Errorf("the log says that %v was delivered; it never arrived", d)
			} else if slowest = max(slowest, timeOf(e).Sub(list[len(list)-1].at)); e.Status.TLS == nil {
				t.Errorf("%v: no tls in the log", d)
			} else if last := list[len(list)-1]; *e.Status.TLS != last.tls {
				t.Errorf("%v: the log says tls %v, the receiver saw %t", d, e.Status.TLS, last.tls)
			}
		default:
			t.Errorf("%v %s %s: %+v", d, e.Severity, e.Event, e.Status)
		}
	}
	t.Logf("slowest record: %s after the receiver's reply", slowest)
	for d := range copies {
		if accepted[d] != 1 || delivered[d] != 1 {
			t.Errorf("%v has %d accepted and %d delivered events", d, accepted[d], delivered[d])
		}
	}
	if len(accepted) != len(copies) {
		t.Errorf("%d recipients were accepted, %d reached", len(accepted), len(copies))
	}
}

// checkFolder looks at what the kills left on disk.
func checkFolder(t *testing.T, w *world) {
	t.Helper()
	if left := w.folder(t, "tmp"); len(left) > 0 {
		t.Errorf("left in the spool folder: %q", left)
	}
	files, err := filepath.Glob(filepath.Join(w.data(), "*.db"))
	if err != nil || len(files) < 2 {
		t.Fatalf("database files %q, %v", files, err)
	}
	for _, f := range files {
		db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: f}).EscapedPath()+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		var verdict string
		if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("%s: %s %v", filepath.Base(f), verdict, err)
		}
		_ = db.Close()
	}
}
