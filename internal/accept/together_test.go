package accept

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// These are the things of a letter that meet: values, templates, lists, links, suppressions, test mode, claims.

// SEC-57: an address that may be claimed as it is written must be one that may be claimed with the values in, too,
// whoever they come from.
func TestValuesDoNotMakeClaims(t *testing.T) {
	const asked, values = "x%recipient.a%@mg.example.com", `{"a":"@other.test, y"}`
	batch := `{"ann@one.test":` + values + `,"bob@two.test":{}}`
	for _, field := range []string{"Sender", "Resent-From", "Resent-Sender"} {
		draft := form("h:"+field, asked, "recipient-variables", batch)
		raw := mime("", "h:"+field, asked, "recipient-variables", batch)
		for name, s := range map[string]Submission{"form": draft, "mime": raw} {
			f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
			_, err := testRoom(t, f, nil).Accept(t.Context(), s)
			wantError(t, err, 403, 554, "Domain mg.example.com is not allowed to send as other.test")
			if with, rejected := f.messages(); len(with) != 0 || len(rejected) != 1 {
				t.Errorf("%s %s: %d accepted, %d rejected", name, field, len(with), len(rejected))
			}
		}
		// A field of the message itself keeps its places.
		f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
		s := rawWith(mime("", "recipient-variables", batch), field, asked)
		if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, content := f.one(t); !strings.Contains(content, field+": "+asked+"\r\n") {
			t.Errorf("travels as\n%s", content)
		}
		// Nor do those of a list's members.
		rg := newListRig(t)
		rg.list(store.MailingList{Address: "dev@mg.example.com"}, member("ann@one.test", "", `{"a":"@foreign.test, y"}`))
		_, err := rg.room.Accept(t.Context(), toList("dev@mg.example.com", "h:"+field, asked))
		wantError(t, err, 403, 554, "Domain mg.example.com is not allowed to send as foreign.test")
		if messages, _, _ := rg.accepted(); len(messages) != 0 {
			t.Errorf("accepted for %d", len(messages))
		}
	}
}

// Of several addresses in a claim each must stand.
func TestEveryAddressOfAClaimIsLookedAt(t *testing.T) {
	const both = "a@mg.example.com, x@other.test"
	for name, s := range map[string]Submission{"form": form("h:Resent-From", both), "mime": rawWith(mime(""), "Resent-From", both), "smtp": rawWith(smtp(""), "Resent-From", both)} {
		_, err := testRoom(t, newFakeStore(t, domain("mg.example.com"), domain("other.test")), nil).Accept(t.Context(), s)
		if e, ok := asError(err); !ok || e.Status != 403 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// SEC-57: the sender that a template makes is a claim like one that is written.
func TestTemplateDoesNotMakeClaims(t *testing.T) {
	for from, want := range map[string]int{"{{name}}@other.test": 403, "a@{{host}}": 403, "{{name}}@mg.example.com": 200, "Boss <x@other.test>, a@mg.example.com": 400} {
		f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
		room := templateRoom(t, f)
		room.cfg.Templates = shelf{"welcome/": {Tag: "v1", Body: "x", Headers: map[string]string{"From": from}}}
		_, err := room.Accept(t.Context(), templated("v:name", "n", "v:host", "other.test"))
		if e, ok := asError(err); want == 200 && err != nil || want != 200 && (!ok || e.Status != want) {
			t.Errorf("%s: %v, want %d", from, err, want)
		}
	}
}

// What a template answers to is each copy's own, unless the list answers.
func TestReplyToOfATemplatePerCopy(t *testing.T) {
	v := store.TemplateVersion{Tag: "v1", Body: "for {{id}}", Headers: map[string]string{"Reply-To": "{{#equal id \"1\"}}first{{else}}r{{id}}{{/equal}}@mg.example.com", "Subject": "{{id}} %recipient.id%"}}
	f := newFakeStore(t, domain("mg.example.com"))
	room := templateRoom(t, f)
	room.cfg.Templates = shelf{"welcome/": v}
	s := templated("v:id", "%recipient.id%", "recipient-variables", `{"ann@one.test":{"id":"1"},"bob@two.test":{"id":"2"}}`)
	s.To = []string{"ann@one.test, bob@two.test"}
	if _, err := room.Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	with, _ := f.messages()
	for _, m := range with {
		id := map[string]string{"ann@one.test": "1", "bob@two.test": "2"}[m.Meta.Recipients[0]]
		content := string(f.contents[m.ID])
		reply := map[string]string{"1": "first", "2": "r2"}[id] // a block that depends on the value
		for _, want := range []string{"Reply-To: " + reply + "@mg.example.com\r\n", "Subject: " + id + " " + id + "\r\n", "for " + id} {
			if !strings.Contains(content, want) {
				t.Errorf("no %q in\n%s", want, content)
			}
		}
	}

	rg := newListRig(t)
	rg.room.cfg.Templates = shelf{"welcome/": v}
	rg.list(store.MailingList{Address: "dev@mg.example.com"}, member("ann@one.test", "", `{"id":"1"}`))
	s = templated("v:id", "%recipient.id%")
	s.To = []string{"dev@mg.example.com"}
	_, err := rg.room.Accept(t.Context(), s)
	rg.must(err)
	messages, _, _ := rg.accepted()
	if got := messages["ann@one.test"].Header["Reply-To"]; !slices.Equal(got, []string{"dev@mg.example.com"}) {
		t.Errorf("Reply-To %q", got)
	}
}

// Our own reports and notices are sent as they are: without links, and not to the members of a list.
func TestReportsAndNoticesAreLeftAlone(t *testing.T) {
	for _, kind := range []string{"report", "notice"} {
		s := issue("ann@example.net, amy@example.net")
		s.Report, s.Notice = kind == "report", kind == "notice"
		rg := newTrackRig(t, "https://t.example", store.Tracking{Opens: true, Clicks: store.ClicksAll, Unsubscribe: true})
		got := rg.send(t, s)
		if len(got) != 1 || strings.Contains(got[0].raw, "t.example") || got[0].view.Header("List-Unsubscribe") != "" {
			t.Errorf("%s: %d letters, %s", kind, len(got), got[0].raw)
		}
	}
	for _, kind := range []string{"report", "notice"} {
		rg := newListRig(t)
		rg.list(store.MailingList{Address: "tls@mg.example.com"}, member("ann@one.test", "", "{}"))
		s := toList("tls@mg.example.com")
		s.Report, s.Notice = kind == "report", kind == "notice"
		_, err := rg.room.Accept(t.Context(), s)
		rg.must(err)
		if messages, _, _ := rg.accepted(); messages["tls@mg.example.com"] == nil || len(messages) != 1 {
			t.Errorf("%s: accepted for %v", kind, messages)
		}
	}
}

// A list is read to its end, page by page.
func TestLongMailingList(t *testing.T) {
	rg := newListRig(t)
	many := make([]store.ListMember, 2001)
	for i := range many {
		many[i] = member(fmt.Sprintf("m%05d@one.test", i), "", "{}")
	}
	rg.list(store.MailingList{Address: "dev@mg.example.com"}, many...)
	s := toList("dev@mg.example.com", "o:testmode", "yes")
	_, err := rg.room.Accept(t.Context(), s)
	rg.must(err)
	n := 0
	q := store.EventQuery{DomainID: rg.ids["mg.example.com"], Ascending: true, Limit: 300}
	seen := map[string]bool{}
	for {
		page, err := rg.store.Events(t.Context(), q)
		rg.must(err)
		for _, e := range page.Items {
			seen[e.Recipient] = true
			n++
		}
		if len(page.Items) < q.Limit {
			break
		}
		q.After = page.Items[len(page.Items)-1].ID
	}
	if len(seen) != len(many) || n != 2*len(many) {
		t.Errorf("%d events for %d recipients, want two for each of %d", n, len(seen), len(many))
	}
}

// Suppressed recipients among those of tracked letters, of copies and of lists lose their own rows and nobody else's.
func TestSuppressedAmongSeveral(t *testing.T) {
	lists := &suppressor{lists: map[string]store.SuppressionList{"amy@example.net": store.Bounces, "log@example.net": store.Unsubscribes}}
	rg := newTrackRig(t, "https://t.example", store.Tracking{Unsubscribe: true})
	rg.room.cfg.Suppressions = lists
	s := issue("ann@example.net, amy@example.net, bob@example.net")
	s.Bcc = []string{"log@example.net"}
	s.Options = asks("recipient-variables", `{"ann@example.net":{},"amy@example.net":{},"bob@example.net":{}}`)
	got := rg.send(t, s)
	var to []string
	for _, m := range got {
		links, _ := rg.links(t, m, m.view.BodyHTML)
		if len(m.Meta.Recipients) != 1 || len(links) != 1 || links[0].Recipient != m.Meta.Recipients[0] {
			t.Errorf("letter for %s has links %+v", m.Meta.Recipients, links)
		}
		to = append(to, m.Meta.Recipients...)
	}
	if slices.Sort(to); !slices.Equal(to, []string{"ann@example.net", "bob@example.net"}) {
		t.Errorf("queued for %v", to)
	}
	if lists.calls != 1 {
		t.Errorf("asked %d times", lists.calls)
	}

	f := newFakeStore(t, domain("mg.example.com"))
	room := testRoom(t, f, nil)
	room.cfg.Suppressions = &suppressor{lists: map[string]store.SuppressionList{"bob@two.test": store.Bounces, "c@three.test": store.Complaints}}
	s = form("recipient-variables", `{"ann@one.test":{},"bob@two.test":{}}`)
	s.To, s.Cc = append(s.To, "dan@four.test"), []string{"c@three.test"}
	if _, err := room.Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var queued []string
	for line := range strings.SplitSeq(story(f), "\n") {
		if strings.HasPrefix(line, "queued") {
			queued = append(queued, line)
		}
	}
	if !slices.Equal(queued, []string{"queued ann@one.test", "queued dan@four.test"}) {
		t.Errorf("%q in\n%s", queued, story(f))
	}
}

// What the sender asked of a recipient with DSN (RFC 3461) is in that recipient's letter alone, and so is the
// word that somebody wants to be told.
func TestDSNOfLetters(t *testing.T) {
	s := smtp("X-Mailgun-Recipient-Variables: {\"ann@one.test\": {}, \"bob@two.test\": {}}\r\n")
	ann, bob := mail.Address{Local: "ann", Domain: "one.test"}, mail.Address{Local: "bob", Domain: "two.test"}
	s.Recipients = []mail.Address{ann, bob}
	s.DSN = &mail.DSN{EnvelopeID: "e", Recipients: map[string]mail.RecipientDSN{ann.Key(): {Notify: mail.NotifySuccess}, bob.Key(): {Notify: mail.NotifyNever}}}
	f := newFakeStore(t, domain("mg.example.com"))
	if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	with, _ := f.messages()
	if len(with) != 2 {
		t.Fatalf("%d letters", len(with))
	}
	for _, m := range with {
		if d := m.Envelope.DSN; d == nil || d.EnvelopeID != "e" || len(d.Recipients) != 1 || m.Meta.Notify != (m.Meta.Recipients[0] == "ann@one.test") {
			t.Errorf("letter for %s: DSN %+v, notify %v", m.Meta.Recipients, d, m.Meta.Notify)
		}
	}
	s.Raw = strings.NewReader("From: News <news@mg.example.com>\r\n\r\nHi\r\n")
	f = newFakeStore(t, domain("mg.example.com"))
	if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if m, _ := f.one(t); !m.Meta.Notify || len(m.Envelope.DSN.Recipients) != 2 {
		t.Errorf("letter for both: notify %v, DSN %+v", m.Meta.Notify, m.Envelope.DSN)
	}
}

// A link of ours is a link in every copy, also where only the values of one recipient bring it about.
func TestLinksOnlySomeCopiesHave(t *testing.T) {
	const each = `{"ann@example.net":{"plan":"free"},"amy@example.net":{"plan":"paid"}}`
	v := store.TemplateVersion{Tag: "v1", Body: `x{{#equal plan "free"}} <a href="%unsubscribe_url%">leave</a>{{/equal}}`}
	draft := issue("ann@example.net, amy@example.net")
	draft.Draft.HTML, draft.Draft.Text = "", ""
	draft.Options = asks("template", "welcome", "v:plan", "%recipient.plan%", "recipient-variables", each)
	raw := mime("", "template", "welcome", "v:plan", "%recipient.plan%", "recipient-variables", each)
	raw.To = draft.To
	raw.Raw = strings.NewReader("From: bob@example.com\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>\r\n")
	for name, s := range map[string]Submission{"draft": draft, "raw": raw} {
		rg := newTrackRig(t, "https://t.example", store.Tracking{})
		rg.room.cfg.Templates = shelf{"welcome/": v}
		for _, m := range rg.send(t, s) {
			_, rest := rg.links(t, m, m.view.BodyHTML)
			want := map[string]string{"ann@example.net": `x <a href="LEAVE">leave</a>`, "amy@example.net": "x"}[m.Meta.Recipients[0]]
			if strings.TrimSpace(rest) != want {
				t.Errorf("%s: %s gets %q, want %q", name, m.Meta.Recipients, rest, want)
			}
		}
	}

	list := newListRig(t)
	tracked := newTrackRig(t, "https://t.example", store.Tracking{})
	list.room.cfg.Tracker = tracked.room.cfg.Tracker
	list.list(store.MailingList{Address: "dev@mg.example.com"}, member("ann@one.test", "", `{"leave":"%unsubscribe_url%"}`), member("bob@two.test", "", `{"leave":"no way"}`))
	for name, s := range map[string]Submission{"draft": toList("dev@mg.example.com"), "raw": mime("")} {
		s.To = []string{"dev@mg.example.com"}
		if s.Draft != nil {
			s.Draft.Text = "%recipient.leave%"
		} else {
			s.Raw = strings.NewReader("From: a@mg.example.com\r\n\r\n%recipient.leave%\r\n")
		}
		_, err := list.room.Accept(t.Context(), s)
		list.must(err)
		if _, bodies, _ := list.accepted(); !strings.HasPrefix(bodies["ann@one.test"], "https://t.example/u/") || strings.TrimSpace(bodies["bob@two.test"]) != "no way" {
			t.Errorf("%s: members get %q", name, bodies)
		}
	}
}
