package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/store"
)

// newsletter is a call as Ghost makes it.
func newsletter() Submission {
	s := form("v:email-id", "e1", "v:who", "%recipient_email%", "o:tag", "bulk-email",
		"h:List-Unsubscribe", "<%recipient.list_unsubscribe%>, <%tag_unsubscribe_email%>", "h:Message-Id", "<%recipient.message_id%>",
		"recipient-variables", `{"Ann@one.test":{"name":"Ann","list_unsubscribe":"https://n.test/a","message_id":"m1@mg.example.com","n":7},
			"bob@two.test":{"name":"Bob & Co","list_unsubscribe":"https://n.test/b","message_id":"m2@mg.example.com"}}`)
	s.To = []string{"Ann Lee <ann@one.test>", "bob@two.test"}
	s.Draft.Subject = "Hi %recipient.name%"
	s.Draft.Text = "%recipient.name% %recipient.n% %recipient_fname%/%recipient_lname% 100%recipient %recipient.missing%\n"
	return s
}

func TestEveryRecipientGetsItsOwnCopy(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	got, err := testRoom(t, f, nil).Accept(t.Context(), newsletter())
	if err != nil {
		t.Fatal(err)
	}
	if got.MessageID != "m1@mg.example.com" {
		t.Errorf("id %q", got.MessageID)
	}
	with, _ := f.messages()
	slices.SortFunc(with, func(a, b *store.NewMessage) int { return int(a.ID - b.ID) })
	if len(with) != 2 {
		t.Fatalf("%d copies", len(with))
	}
	for i, want := range []struct{ to, id, subject, text, unsubscribe string }{
		{"ann@one.test", "m1@mg.example.com", "Hi Ann", "Ann 7 Ann/Lee 100%recipient %recipient.missing%", "List-Unsubscribe: <https://n.test/a>\r\n"},
		{"bob@two.test", "m2@mg.example.com", "Hi Bob & Co", "Bob & Co %recipient.n% / 100%recipient %recipient.missing%", "List-Unsubscribe: <https://n.test/b>\r\n"},
	} {
		m, content := with[i], string(f.contents[with[i].ID])
		if m.Meta.MessageID != want.id || m.Meta.Subject != want.subject || len(m.Rows) != 1 || m.Rows[0].Recipient.String() != want.to || m.Meta.Variables["who"] != want.to {
			t.Errorf("copy %d: %+v", i, m.Meta)
		}
		if !strings.Contains(content, want.text) || !strings.Contains(content, want.unsubscribe) {
			t.Errorf("copy %d lacks %q or %q:\n%s", i, want.text, want.unsubscribe, content)
		}
		if other := with[1-i].Rows[0].Recipient.String(); strings.Contains(content, other) {
			t.Errorf("copy %d shows %s", i, other)
		}
	}
}

// SEC-14: values are checked after they were put in; SEC-57 likewise.
func TestValuesCannotInject(t *testing.T) {
	for name, change := range map[string]func(*Submission){
		"subject": func(s *Submission) { s.Draft.Subject = "%recipient.x%" },
		"header": func(s *Submission) {
			s.Options = append(s.Options, compose.Field{Name: "h:X-A", Value: "%recipient.x%"})
		},
		"sender": func(s *Submission) {
			s.Options = append(s.Options, compose.Field{Name: "h:Sender", Value: "%recipient.y%"})
		},
	} {
		f := newFakeStore(t, domain("mg.example.com"), domain("other.test"))
		s := form("recipient-variables", `{"bob@two.test":{"x":"a\r\nBcc: z@z.test","y":"ceo@other.test"},"ann@one.test":{"x":"","y":"a@mg.example.com"}}`)
		change(&s)
		_, err := testRoom(t, f, nil).Accept(t.Context(), s)
		if _, ok := asError(err); !ok {
			t.Errorf("%s: %v", name, err)
		}
		if with, _ := f.messages(); len(with) != 0 {
			t.Errorf("%s: %d copies were stored", name, len(with))
		}
	}
}

// SEC-21: counted, not rendered.
func TestExpansionIsCountedFirst(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	var variables strings.Builder
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("u%d@one.test", i))
		fmt.Fprintf(&variables, `,"u%d@one.test":{"x":"%s"}`, i, strings.Repeat("x", 200))
	}
	s := form("recipient-variables", "{"+variables.String()[1:]+"}")
	s.To, s.Draft.Text = to, strings.Repeat("%recipient.x%", 10_000)
	start := time.Now()
	_, err := testRoom(t, f, nil).Accept(t.Context(), s)
	wantError(t, err, 400, 554, "")
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestBatchOptions(t *testing.T) {
	s := newsletter()
	s.Cc = []string{"x@three.test"}
	_, err := testRoom(t, newFakeStore(t, domain("mg.example.com")), nil).Accept(t.Context(), s)
	wantError(t, err, 400, 554, "cc and bcc parameters cannot be combined with 'recipient-variables'")
	for _, bad := range []string{"[]", `"x"`, `{"a@b.test":1}`, `{"a@b.test":{},"a@b.test":{}}`, `{"a@b.test":{"k":{"x":1,"x":2}}}`, "null", "{}{}", strings.Repeat("[", 5000)} {
		_, err := testRoom(t, newFakeStore(t, domain("mg.example.com")), nil).Accept(t.Context(), form("recipient-variables", bad))
		wantError(t, err, 400, 554, "'recipient-variables' parameter is not a valid JSON")
	}
}

func TestBatchFailure(t *testing.T) {
	f, sched := newFakeStore(t, domain("mg.example.com")), &fakeScheduler{room: 1 << 20}
	f.fail = func(n int) error {
		if n == 2 {
			return errors.New("disk on fire")
		}
		return nil
	}
	_, err := testRoom(t, f, sched).Accept(t.Context(), newsletter())
	wantError(t, err, 500, 451, "")
	if with, _ := f.messages(); len(with) != 1 || len(sched.offered) != 1 {
		t.Errorf("%d stored, %d offered; what was stored must be delivered", len(with), len(sched.offered))
	}
	sched.done[0]()

	whole := &batchStore{fakeStore: newFakeStore(t, domain("mg.example.com"))}
	r := testRoom(t, whole.fakeStore, sched)
	r.intake = whole
	if _, err := r.Accept(t.Context(), newsletter()); err != nil || whole.batches != 1 {
		t.Errorf("%v, %d batches", err, whole.batches)
	}
}

type batchStore struct {
	*fakeStore
	batches int
}

func (b *batchStore) AcceptAll(ctx context.Context, all []*store.NewMessage) error {
	b.batches++
	for _, m := range all {
		if err := b.Accept(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
