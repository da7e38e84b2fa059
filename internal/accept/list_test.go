package accept

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	ourmail "github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// A listRig is a room over a real store, with mg.example.com and other.test of one account and
// foreign.test of another.
type listRig struct {
	*testing.T
	store *sqlite.Store
	room  *Room
	ids   map[string]int64
}

func newListRig(t *testing.T) *listRig {
	s, err := sqlite.Open(context.WithoutCancel(t.Context()), sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rg := &listRig{T: t, store: s, ids: map[string]int64{}}
	rg.must(s.CreateAccount(t.Context(), &store.Account{Name: "foreign"})) // its id is 2
	for name, account := range map[string]int64{"mg.example.com": 1, "other.test": 1, "foreign.test": 2} {
		d := store.Domain{Name: name, State: store.DomainActive, AccountID: account}
		rg.must(s.CreateDomain(t.Context(), &d))
		rg.ids[name] = d.ID
	}
	rg.room = New(Config{Hostname: "mx.sealpost.test", SpoolDir: t.TempDir(), Lists: s, Templates: s}, s, s, nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
	return rg
}

func (rg *listRig) must(err error) {
	rg.Helper()
	if err != nil {
		rg.Fatal(err)
	}
}

// list makes a list with members.
func (rg *listRig) list(l store.MailingList, members ...store.ListMember) {
	rg.Helper()
	_, domain, _ := strings.Cut(l.Address, "@")
	l.DomainID, l.AccountID = rg.ids[domain], 1
	if domain == "foreign.test" {
		l.AccountID = 2
	}
	if l.Access == "" {
		l.Access = store.AccessReadOnly
	}
	if l.ReplyPreference == "" {
		l.ReplyPreference = "list"
	}
	rg.must(rg.store.CreateMailingList(rg.Context(), &l))
	for len(members) > 0 {
		n := min(1000, len(members))
		_, err := rg.store.PutListMembers(rg.Context(), l.ID, members[:n], false)
		rg.must(err)
		members = members[n:]
	}
}

func member(address, name, vars string) store.ListMember {
	return store.ListMember{Address: address, Name: name, Vars: vars, Subscribed: true}
}

// accepted returns what was stored, by recipient, and the events.
func (rg *listRig) accepted() (messages map[string]*mail.Message, bodies map[string]string, events []store.EventItem) {
	rg.Helper()
	page, err := rg.store.Events(rg.Context(), store.EventQuery{DomainID: rg.ids["mg.example.com"], Ascending: true, Limit: 1000, Types: []event.Type{event.Accepted}})
	rg.must(err)
	messages, bodies = map[string]*mail.Message{}, map[string]string{}
	for _, e := range page.Items {
		c, err := rg.store.Content(rg.Context(), e.DomainID, e.Message)
		rg.must(err)
		r, err := c.Open()
		rg.must(err)
		m, err := mail.ReadMessage(r)
		rg.must(err)
		body, err := io.ReadAll(m.Body)
		rg.must(err)
		r.Close()
		messages[e.Recipient], bodies[e.Recipient] = m, string(body)
	}
	return messages, bodies, page.Items
}

func toList(address string, opts ...string) Submission {
	s := form(opts...)
	s.To = []string{address}
	s.Draft.Subject, s.Draft.Text = "Hi %recipient.name%", "Dear %recipient_fname% (%recipient.n%%recipient.missing%), from %recipient_email%\n"
	return s
}

// Every subscribed member gets a copy of its own, that names the list.
func TestMailingList(t *testing.T) {
	raw := "From: News <news@mg.example.com>\r\nTo: The Devs <dev@mg.example.com>\r\nSubject: Hi %recipient.name%\r\nReply-To: me@mg.example.com\r\nList-Id: <old.test>\r\n\r\nDear %recipient_fname% (%recipient.n%%recipient.missing%), from %recipient_email%\r\n"
	bySMTP := smtp("")
	bySMTP.Recipients = []ourmail.Address{{Local: "Dev", Domain: "mg.example.com"}}
	bySMTP.Raw = strings.NewReader(raw)
	byMIME := mime("")
	byMIME.To, byMIME.Raw = []string{"dev@mg.example.com"}, strings.NewReader(raw)
	for name, s := range map[string]Submission{"api": toList("DEV@mg.example.com", "h:Reply-To", "me@mg.example.com"), "mime": byMIME, "smtp": bySMTP} {
		t.Run(name, func(t *testing.T) {
			rg := newListRig(t)
			gone := member("gone@three.test", "Gone", "{}")
			gone.Subscribed = false
			rg.list(store.MailingList{Address: "dev@mg.example.com", Name: "Devs"},
				member("ann@one.test", "Ann Lee", `{"name":"Änne","n":7}`), member("bob@two.test", "", `{"name":null}`), gone)
			receipt, err := rg.room.Accept(t.Context(), s)
			rg.must(err)
			messages, bodies, events := rg.accepted()
			if len(messages) != 2 || len(events) != 2 {
				t.Fatalf("%d messages, %d events", len(messages), len(events))
			}
			for to, want := range map[string][2]string{
				"ann@one.test": {"=?utf-8?q?Hi_=C3=84nne?=", "Dear Ann (7%recipient.missing%), from ann@one.test"},
				"bob@two.test": {"Hi", "Dear  (%recipient.n%%recipient.missing%), from bob@two.test"},
			} {
				h := messages[to].Header
				if got := strings.ToLower(strings.TrimSpace(h.Get("Subject"))); got != strings.ToLower(want[0]) || !strings.Contains(bodies[to], want[1]) {
					t.Errorf("%s: subject %q, body %q", to, got, bodies[to])
				}
				if h.Get("To") != "Devs <dev@mg.example.com>" || h.Get("Reply-To") != "dev@mg.example.com" || h.Get("Precedence") != "list" || !slices.Equal(h["List-Id"], []string{"<dev.mg.example.com>"}) {
					t.Errorf("%s: header %v", to, h)
				}
			}
			for _, e := range events {
				if e.Meta.MailingList == nil || *e.Meta.MailingList != (event.MailingList{Address: "dev@mg.example.com", ListID: "dev.mg.example.com"}) || len(e.Meta.Recipients) != 1 || e.Meta.MessageID != receipt.MessageID {
					t.Errorf("events tell of %+v", e.Meta)
				}
			}
		})
	}
}

func TestMailingListRepliesToTheSender(t *testing.T) {
	rg := newListRig(t)
	rg.list(store.MailingList{Address: "dev@other.test", ReplyPreference: "sender"}, member("ann@one.test", "", "{}"))
	_, err := rg.room.Accept(t.Context(), toList("dev@other.test", "h:Reply-To", "me@mg.example.com"))
	rg.must(err)
	messages, _, _ := rg.accepted()
	if got := messages["ann@one.test"].Header.Get("Reply-To"); got != "me@mg.example.com" {
		t.Errorf("Reply-To %q", got)
	}
}

// Members' variables reach templates, escaped.
func TestMailingListWithTemplate(t *testing.T) {
	rg := newListRig(t)
	rg.list(store.MailingList{Address: "dev@mg.example.com"}, member("ann@one.test", "", `{"name":"<Ann>"}`))
	rg.must(rg.store.CreateTemplate(t.Context(), &store.Template{DomainID: rg.ids["mg.example.com"], Name: "t"}, &store.TemplateVersion{Tag: "v1", Body: "Hi {{name}}"}))
	s := toList("dev@mg.example.com", "template", "t", "v:name", "%recipient.name%")
	s.Draft.Text = ""
	_, err := rg.room.Accept(t.Context(), s)
	rg.must(err)
	if _, bodies, _ := rg.accepted(); !strings.Contains(bodies["ann@one.test"], "Hi &lt;Ann&gt;") {
		t.Errorf("%q", bodies)
	}
}

func TestMailingListRefusals(t *testing.T) {
	rg := newListRig(t)
	many := make([]store.ListMember, MaxCopies+1)
	for i := range many {
		many[i] = member(fmt.Sprintf("m%05d@one.test", i), "", "{}")
	}
	rg.list(store.MailingList{Address: "many@mg.example.com"}, many...)
	rg.list(store.MailingList{Address: "empty@mg.example.com"})
	rg.list(store.MailingList{Address: "dev@mg.example.com"}, member("ann@one.test", "", "{}"))
	rg.list(store.MailingList{Address: "members@mg.example.com", Access: store.AccessMembers}, member("news@mg.example.com", "", "{}"))
	rg.list(store.MailingList{Address: "all@mg.example.com", Access: store.AccessEveryone}, member("ann@one.test", "", "{}"))
	two := toList("dev@mg.example.com, ann@one.test")
	cc := toList("dev@mg.example.com")
	cc.Cc = []string{"bob@two.test"}
	stranger := func(list, from string) Submission {
		s := toList(list)
		s.Sender.Authenticated = false
		s.Draft.From = []string{from}
		return s
	}
	for name, c := range map[string]struct {
		s       Submission
		status  int
		message string
	}{
		"others in to":            {two, 400, "mailing list dev@mg.example.com must be the only recipient of a message"},
		"others in cc":            {cc, 400, "mailing list dev@mg.example.com must be the only recipient of a message"},
		"recipient-variables":     {toList("dev@mg.example.com", "recipient-variables", `{"a@b.test":{}}`), 400, "'recipient-variables' parameter cannot be combined with mailing list dev@mg.example.com: its members have variables of their own"},
		"nobody":                  {toList("empty@mg.example.com"), 400, "mailing list empty@mg.example.com has no subscribed members"},
		"too many":                {toList("many@mg.example.com"), 400, "mailing list many@mg.example.com has 5001 subscribed members, a message can be sent to 5000 at most"},
		"read only":               {stranger("dev@mg.example.com", "a@mg.example.com"), 403, "Mailing list dev@mg.example.com does not accept messages from a@mg.example.com"},
		"members, by a stranger":  {stranger("members@mg.example.com", "a@mg.example.com"), 403, "Mailing list members@mg.example.com does not accept messages from a@mg.example.com"},
		"members, by a member":    {stranger("members@mg.example.com", "News@mg.example.com"), 200, ""},
		"everyone, by a stranger": {stranger("all@mg.example.com", "a@mg.example.com"), 200, ""},
	} {
		_, err := rg.room.Accept(t.Context(), c.s)
		if c.status == 200 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if e, ok := asError(err); !ok || e.Status != c.status || e.Message != c.message {
			t.Errorf("%s: %v, want %d %s", name, err, c.status, c.message)
		}
	}
}

// A list of another account is an address like any other.
func TestMailingListOfAnotherAccount(t *testing.T) {
	rg := newListRig(t)
	rg.list(store.MailingList{Address: "dev@foreign.test"}, member("ann@one.test", "", "{}"))
	_, err := rg.room.Accept(t.Context(), toList("dev@foreign.test"))
	rg.must(err)
	messages, _, events := rg.accepted()
	if messages["dev@foreign.test"] == nil || len(events) != 1 || events[0].Meta.MailingList != nil {
		t.Errorf("%v", messages)
	}
}
