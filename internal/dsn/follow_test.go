package dsn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// RFC 8689 section 5: notices about messages with REQUIRETLS are protected in the same
// manner, and of the message they hold the header only (SEC-56).
func TestTheSenderOfAMessageWithREQUIRETLSIsNotified(t *testing.T) {
	r := newRig(t)
	f := r.started()
	r.accept(submission("ann@one.test"))
	r.settle("one.test", 550, "no such user")
	r.catchUp(f)
	list := r.notices()
	if len(list) != 1 || list[0].failed() != "ann@one.test" {
		t.Fatalf("%d notices", len(list))
	}
	n := list[0]
	if !n.Envelope.ReversePath.IsZero() || !slices.Equal(n.Meta.Recipients, []string{"bob@sender.test"}) {
		t.Errorf("RFC 5321 section 4.5.5: envelope from %q to %v", n.Envelope.ReversePath, n.Meta.Recipients)
	}
	if !n.Envelope.RequireTLS {
		t.Error("RFC 8689 section 5: the notice is not marked with REQUIRETLS")
	}
	if strings.Contains(string(n.octets), "SECRET") || n.media[len(n.media)-1] != "text/rfc822-headers" || !strings.Contains(n.third, "Subject: The plan\r\n") {
		t.Errorf("RFC 8689 section 5: header only; got\n%s", n.octets)
	}
	if from := n.header.Get("From"); from != "Mail Delivery System <postmaster@sender.test>" && from != `"Mail Delivery System" <postmaster@sender.test>` {
		t.Errorf("From is %s", from)
	}
	if !strings.Contains(n.text, "> 550 no such user") || !strings.Contains(n.text, "mx.one.test") {
		t.Errorf("the text is\n%s", n.text)
	}
	if n.Meta.Domain != sending || n.Meta.Sender != "" || n.Meta.Method != "smtp" || n.Meta.Subject != "Your message could not be delivered" {
		t.Errorf("in the log it is %+v", n.Meta)
	}
	r.catchUp(f)
	r.restart()
	r.catchUp(r.follower())
	if again := r.pending(); again != 1 {
		t.Errorf("%d notices are queued, want 1", again)
	}
	if got := f.Stats(); got != (Stats{Notified: 1}) {
		t.Errorf("stats %+v", got)
	}
}

// pending counts the rows queued for the sender.
func (r *rig) pending() int {
	r.Helper()
	rows, err := r.store.Rows(r.Context(), store.RowQuery{NextHop: sending, Limit: 1000})
	r.must(err)
	return len(rows)
}

func TestNoNotice(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*accept.Submission)
		code   int
	}{
		"of a delivery":                       {func(*accept.Submission) {}, 250},
		"for the null reverse-path (SEC-62)":  {func(s *accept.Submission) { s.ReversePath = mail.Address{} }, 550},
		"without REQUIRETLS":                  {func(s *accept.Submission) { s.RequireTLS = false }, 550},
		"without REQUIRETLS, for want of TLS": {func(s *accept.Submission) { s.RequireTLS = false }, 530},
		"with TLS-Required: No, for another reason": {func(s *accept.Submission) {
			s.RequireTLS, s.Raw = false, strings.NewReader("TLS-Required: No\r\n"+content)
		}, 550},
		"for a message by the API": {func(s *accept.Submission) {
			s.Sender.Door, s.ReversePath, s.Recipients, s.To = accept.HTTP, mail.Address{}, nil, []string{"ann@one.test"}
		}, 550},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.started()
			s := submission("ann@one.test")
			c.change(&s)
			r.accept(s)
			if r.settle("one.test", c.code, "x") != 1 {
				t.Fatal("nothing was settled")
			}
			r.catchUp(f)
			if n := r.pending(); n != 0 {
				t.Errorf("%d notices", n)
			}
		})
	}
}

// RFC 8689 section 4.2.2: a notice must be returned if relay fails for want of TLS where
// the server requires it.
func TestTLSRequiredNoThatDidNotHelp(t *testing.T) {
	r := newRig(t)
	f := r.started()
	s := submission("ann@one.test", "bob@two.test")
	s.RequireTLS, s.Raw = false, strings.NewReader("TLS-Required: No\r\n"+content)
	r.accept(s)
	r.settle("two.test", 550, "no such user")
	r.settle("one.test", 530, "Must issue a STARTTLS command first")
	r.catchUp(f)
	list := r.notices()
	if len(list) != 1 || list[0].failed() != "ann@one.test" {
		t.Fatalf("%d notices", len(list))
	}
	if n := list[0]; n.Envelope.RequireTLS || !n.Envelope.TLSOptional || strings.Contains(string(n.octets), "SECRET") {
		t.Errorf("envelope %+v of\n%s", n.Envelope, n.octets)
	}
}

func TestForWantOfTLS(t *testing.T) {
	for name, c := range map[string]struct {
		st   *event.Status
		want bool
	}{
		"nothing known":     {nil, false},
		"the server's 530":  {&event.Status{Code: 530, Message: "no"}, true},
		"an enhanced code":  {&event.Status{Code: 550, EnhancedCode: "5.7.10", Message: "TLS please"}, true},
		"another refusal":   {&event.Status{Code: 550, EnhancedCode: "5.1.1", Message: "no such user"}, false},
		"our own words":     {&event.Status{Code: 530, Message: "no", Local: true}, false},
		"our own refusal":   {&event.Status{Code: 602, Local: true, TLSDetail: &mail.TLSDetail{Result: "refused-not-offered"}}, true},
		"refused after all": {&event.Status{Code: 550, Message: "no", TLSDetail: &mail.TLSDetail{Result: "verified-pkix"}}, false},
	} {
		if got := forWantOfTLS(c.st); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// RFC 3464 section 2: a DSN must not be sent about a DSN.
func TestNoNoticeAboutANotice(t *testing.T) {
	r := newRig(t)
	f := r.started()
	r.accept(submission("ann@one.test"))
	r.settle("one.test", 550, "no such user")
	r.catchUp(f)
	if n := r.settle(sending, 550, "no such sender"); n != 1 {
		t.Fatalf("%d notices", n)
	}
	r.catchUp(f)
	if n := r.pending(); n != 0 {
		t.Errorf("%d notices about a notice", n)
	}
}

func TestFailuresOfOneMessageShareANotice(t *testing.T) {
	r := newRig(t)
	f := r.started()
	r.accept(submission("a@one.test", "b@one.test", "c@two.test", "d@three.test"))
	r.accept(submission("e@one.test"))
	r.settle("one.test", 550, "no such user")
	r.settle("two.test", 554, "go away")
	r.catchUp(f)
	r.settle("three.test", 550, "late")
	r.catchUp(f)
	var got []string
	for _, n := range r.notices() {
		got = append(got, n.failed())
	}
	slices.Sort(got)
	if want := []string{"a@one.test b@one.test c@two.test", "d@three.test", "e@one.test"}; !slices.Equal(got, want) {
		t.Errorf("notices tell of %q, want %q", got, want)
	}
}

// A follower that never was before does not dig up the past.
func TestTheFirstStartBeginsWithThePresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		r := newRig(t)
		r.accept(submission("ann@one.test"))
		r.settle("one.test", 550, "old")
		time.Sleep(time.Second)
		r.started()
		if n := r.pending(); n != 0 {
			t.Errorf("%d notices about the past", n)
		}
		r.accept(submission("bob@two.test"))
		r.restart()
		r.settle("two.test", 550, "new")
		r.catchUp(r.follower())
		if n := r.pending(); n != 1 {
			t.Errorf("%d notices, want 1", n)
		}
	})
}

// Whatever call fails and whatever call the process dies at, before or after their effect:
// in the end each failure has been told of once.
func TestTroubleAndACrashAnywhereNeitherLoseNorDoubleANotice(t *testing.T) {
	for _, after := range []bool{false, true} {
		reached := true
		for trouble := 0; reached; trouble++ { // 0: none
			for death := trouble + 1; ; death++ {
				s := &saboteur{fails: []int{trouble, death}, after: after}
				t.Run(fmt.Sprintf("trouble at %d, death at %d, after %v", trouble, death, after), func(t *testing.T) { crash(t, s) })
				if reached = s.calls >= trouble; s.calls < death {
					break // there was no call with that number
				}
				if death > 30 {
					t.Fatal("too many calls")
				}
			}
		}
	}
}

func crash(t *testing.T, s *saboteur) {
	r := newRig(t)
	first := r.started()
	if s.after { // with the place in the log kept just before, and long before
		r.must(first.roles.Cursors.SetCursor(t.Context(), doneCursor, first.at))
	}
	r.accept(submission("a@one.test", "b@two.test"))
	r.accept(submission("c@one.test"))
	f := r.follower(func(roles *Roles) {
		roles.Cursors, roles.Door = sabotagedCursors{roles.Cursors, s}, sabotagedDoor{roles.Door, s}
	})
	// What fails between trouble and the next try, or crash and restart, must not get
	// into the batch that was begun.
	for _, hop := range []string{"one.test", "two.test"} {
		r.settle(hop, 550, "no such user")
		if errs := r.stumble(f); errs > 0 && s.calls >= s.fails[1] {
			r.restart()
			f = r.follower()
		}
	}
	for r.stumble(f) > 0 {
		if s.calls >= s.fails[1] {
			r.restart()
			f = r.follower()
		}
	}
	r.restart()
	r.catchUp(r.follower())
	told := map[string]int{}
	for _, n := range r.notices() {
		for a := range strings.FieldsSeq(n.failed()) {
			told[a]++
		}
	}
	for _, a := range []string{"a@one.test", "b@two.test", "c@one.test"} {
		if told[a] != 1 {
			t.Errorf("%s was told of %d times", a, told[a])
		}
	}
}

// stumble lets the follower read on until the end of the log, or until something fails.
func (r *rig) stumble(f *Follower) (errs int) {
	r.Helper()
	for {
		more, err := f.step(r.Context())
		if err != nil && !errors.Is(err, errSabotage) {
			r.Fatal(err)
		}
		if err != nil {
			return 1
		}
		if !more {
			return 0
		}
	}
}

// Retention: the notice comes without the header when nothing is left of the message.
func TestTheContentMayBeGone(t *testing.T) {
	r := newRig(t)
	f := r.started()
	r.accept(submission("ann@one.test"))
	r.settle("one.test", 550, "no such user")
	r.must(r.store.Prune(t.Context(), store.Retention{Content: time.Now().Add(time.Hour)}))
	r.catchUp(f)
	list := r.notices()
	if len(list) != 1 || !slices.Equal(list[0].media, []string{"text/plain", "message/delivery-status"}) || list[0].failed() != "ann@one.test" {
		t.Fatalf("%d notices, %+v", len(list), list)
	}
}

// A notice that the room refuses holds up nobody else's; one that it cannot take now waits.
func TestRefusalsAndTrouble(t *testing.T) {
	r := newRig(t)
	trouble := &moodyDoor{Acceptor: r.room}
	f := r.follower(func(roles *Roles) { roles.Door = trouble })
	r.catchUp(f)
	r.accept(submission("a@one.test"))
	r.settle("one.test", 550, "no")
	trouble.mood(&accept.Error{Status: 507, Code: 452, Message: "Insufficient storage"})
	for range 20 {
		if more, err := f.step(t.Context()); err == nil || more {
			t.Fatal("trouble was taken for an answer")
		}
	}
	trouble.mood(nil)
	r.catchUp(f)
	if n := r.pending(); n != 1 {
		t.Fatalf("%d notices after the trouble", n)
	}
	r.accept(submission("b@two.test"))
	r.settle("two.test", 550, "no")
	trouble.mood(&accept.Error{Status: 403, Code: 550, Message: "Domain is disabled"})
	r.catchUp(f)
	trouble.mood(nil)
	r.accept(submission("c@three.test"))
	r.settle("three.test", 550, "no")
	r.catchUp(f)
	if n := r.pending(); n != 2 {
		t.Errorf("%d notices are queued, want 2", n)
	}
	if got := f.Stats(); got != (Stats{Notified: 2, Unnotified: 1}) {
		t.Errorf("stats %+v", got)
	}
}

type moodyDoor struct {
	Acceptor
	mu  sync.Mutex
	err error
}

func (d *moodyDoor) mood(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *moodyDoor) Accept(ctx context.Context, s accept.Submission) (accept.Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return accept.Receipt{}, d.err
	}
	return d.Acceptor.Accept(ctx, s)
}

// A message that cannot be read is tried a few times, then others get their turn.
func TestOneUnreadableMessageDoesNotStopTheOthers(t *testing.T) {
	r := newRig(t)
	broken := &brokenMessages{Messages: r.store}
	f := r.follower(func(roles *Roles) { roles.Messages = broken })
	r.catchUp(f)
	broken.id = r.accept(submission("a@one.test"))
	r.accept(submission("b@one.test"))
	r.settle("one.test", 550, "no")
	failures := 0
	for {
		more, err := f.step(t.Context())
		if err != nil {
			failures++
		} else if !more {
			break
		}
		if failures > 100 {
			t.Fatal("it is tried for ever")
		}
	}
	list := r.notices()
	if failures != maxTries-1 || len(list) != 1 || list[0].failed() != "b@one.test" {
		t.Errorf("%d failures, %d notices", failures, len(list))
	}
	// A content that cannot be read costs the notice its third part only.
	broken.id, broken.content = 0, true
	r.accept(submission("c@two.test"))
	r.settle("two.test", 550, "no")
	r.catchUp(f)
	if list = r.notices(); len(list) != 1 || len(list[0].media) != 2 {
		t.Errorf("%d notices", len(list))
	}
}

type brokenMessages struct {
	Messages
	id      mail.ID
	content bool
}

func (b *brokenMessages) Message(ctx context.Context, domainID int64, id mail.ID) (store.Message, error) {
	if id == b.id {
		return store.Message{}, errors.New("damaged")
	}
	return b.Messages.Message(ctx, domainID, id)
}

func (b *brokenMessages) Content(ctx context.Context, domainID int64, id mail.ID) (store.Content, error) {
	if b.content {
		return store.Content{Open: func() (io.ReadCloser, error) { return nil, errors.New("damaged") }}, nil
	}
	return b.Messages.Content(ctx, domainID, id)
}

// Pages: more failures than one page of the log holds.
func TestALongLogIsReadPageByPage(t *testing.T) {
	r := newRig(t)
	f := r.started()
	var want int
	for i := range 3 {
		var to []string
		for k := range 400 {
			to = append(to, fmt.Sprintf("u%d-%d@one.test", i, k))
		}
		want += len(to)
		r.accept(submission(to...))
	}
	for r.settle("one.test", 550, "no") > 0 {
	}
	r.catchUp(f)
	told := map[string]int{}
	for _, n := range r.notices() {
		for a := range strings.FieldsSeq(n.failed()) {
			told[a]++
		}
	}
	if len(told) != want {
		t.Errorf("%d recipients were told of, want %d", len(told), want)
	}
	for a, n := range told {
		if n != 1 {
			t.Errorf("%s was told of %d times", a, n)
		}
	}
}

// toThePresent lets a bubble's clock, which begins in 2000, come to where ids do.
func toThePresent() { time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))) }

// Run looks into the log by itself, survives trouble, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		r := newRig(t)
		trouble := &moodyDoor{Acceptor: r.room}
		f := r.follower(func(roles *Roles) { roles.Door = trouble })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.Run(ctx)
		}()
		time.Sleep(time.Minute)
		trouble.mood(errors.New("not now"))
		r.accept(submission("ann@one.test"))
		r.settle("one.test", 550, "no")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := strings.Count(r.logged(), "notices to senders are late"); n < 10 || n > 20 {
			t.Errorf("%d warnings in ten minutes", n)
		}
		trouble.mood(nil)
		time.Sleep(maxWait + time.Second)
		synctest.Wait()
		if n := r.pending(); n != 1 {
			t.Errorf("%d notices", n)
		}
		cancel()
		<-ended
	})
}

func TestFateOf(t *testing.T) {
	host := "mx.one.test"
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		data event.Data
		want Fate
	}{
		"a server's reply": {event.Data{Reason: "bounce", Status: &event.Status{Code: 550, EnhancedCode: "5.1.1", Message: "no", MXHost: &host}},
			Fate{Code: 550, Enhanced: "5.1.1", Text: "no", Host: host}},
		"our own": {event.Data{Reason: "generic", Status: &event.Status{Code: 550, EnhancedCode: "5.7.30", Message: "no", Local: true}},
			Fate{Code: 550, Enhanced: "5.7.30", Text: "no", Local: true}},
		"too old": {event.Data{Reason: "old", Status: &event.Status{Code: 602, Message: "Too old", LastCode: 451, LastMessage: "busy", Local: true, MXHost: &host}},
			Fate{Expired: true, Code: 451, Text: "busy", Local: true, Host: host}},
		"nothing known": {event.Data{}, Fate{}},
	} {
		item := store.EventItem{Record: event.Record{Time: at, Recipient: "ann@one.test", Data: c.data}}
		c.want.Recipient, c.want.At = address(t, "ann@one.test"), at
		if got, err := fateOf(&item); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	if _, err := fateOf(&store.EventItem{Record: event.Record{Recipient: "nobody"}}); err == nil {
		t.Error("a recipient that is no address was taken")
	}
}

func TestReadHeader(t *testing.T) {
	long := strings.Repeat("X: "+strings.Repeat("y", 9000)+"\r\n", 10)
	for name, c := range map[string]struct{ in, want string }{
		"header and body":          {"A: b\r\nC: d\r\n\r\nbody\r\n", "A: b\r\nC: d\r\n"},
		"no body":                  {"A: b\r\n", "A: b\r\n"},
		"no line end":              {"A: b\r\nC", "A: b\r\n"},
		"empty":                    {"", ""},
		"long lines":               {long + "\r\nbody", long},
		"body looks like a header": {"A: b\r\n\r\nSecret: x\r\n\r\n", "A: b\r\n"},
	} {
		got, err := readHeader(strings.NewReader(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %d octets, %v; want %d", name, len(got), err, len(c.want))
		}
	}
	endless := io.MultiReader(strings.NewReader("A: b\r\n"), strings.NewReader(strings.Repeat("X: y\r\n", 1<<20)))
	if got, err := readHeader(endless); err != nil || len(got) > maxHeader || !strings.HasSuffix(string(got), "\r\n") {
		t.Errorf("endless header: %d octets, %v", len(got), err)
	}
}
