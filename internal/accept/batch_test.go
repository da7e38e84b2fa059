package accept

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
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
	_, err := testRoom(t, f, nil).Accept(t.Context(), s)
	wantError(t, err, 400, 554, "'recipient-variables' make more than 1024 MiB of messages")
	if f.given != 0 {
		t.Error("letters were begun")
	}
}

func TestBatchOptions(t *testing.T) {
	for _, bad := range []string{"[]", `"x"`, `{"a@b.test":1}`, `{"a@b.test":{},"a@b.test":{}}`, `{"a@b.test":{},"A <A@b.test>":{}}`,
		`{"a@b.test":{"k":{"x":1,"x":2}}}`, "null", "{}{}", strings.Repeat("[", 5000)} {
		_, err := testRoom(t, newFakeStore(t, domain("mg.example.com")), nil).Accept(t.Context(), form("recipient-variables", bad))
		wantError(t, err, 400, 554, "'recipient-variables' parameter is not a valid JSON")
	}
}

// Everybody in cc and bcc gets a copy of every letter, as he does of every message.
func TestCopiesOfPersonalLetters(t *testing.T) {
	s := newsletter()
	s.Cc, s.Bcc = []string{"Chief <c@three.test>"}, []string{"log@three.test", "ANN@one.test"}
	f := newFakeStore(t, domain("mg.example.com"))
	if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	with, _ := f.messages()
	if len(with) != 2 {
		t.Fatalf("%d letters", len(with))
	}
	for _, m := range with {
		var to []string
		for _, r := range m.Rows {
			to = append(to, r.Recipient.String())
		}
		want := []string{"ann@one.test", "c@three.test", "log@three.test"}
		if m.Meta.To != "Ann Lee <ann@one.test>" {
			want = []string{"bob@two.test", "c@three.test", "log@three.test", "ANN@one.test"}
		}
		if !slices.Equal(to, want) {
			t.Errorf("letter to %s goes to %v, want %v", m.Meta.To, to, want)
		}
		content := string(f.contents[m.ID])
		if !strings.Contains(content, "Cc: Chief <c@three.test>\r\n") || strings.Contains(content, "log@") {
			t.Errorf("letter:\n%s", content)
		}
	}

	many := newsletter()
	many.To, many.Cc = nil, nil
	for i := range 900 {
		many.To = append(many.To, fmt.Sprintf("u%d@one.test", i))
	}
	for i := range 10 {
		many.Cc = append(many.Cc, fmt.Sprintf("c%d@one.test", i))
	}
	_, err := testRoom(t, newFakeStore(t, domain("mg.example.com")), nil).Accept(t.Context(), many)
	wantError(t, err, 400, 554, "'recipient-variables' with cc or bcc would make 9900 copies, max is 5000")
}

// One call has one id, by which the sender finds the events of every copy.
func TestOneIDForAllCopies(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	s := newsletter()
	s.Options = slices.DeleteFunc(s.Options, func(f compose.Field) bool { return f.Name == "h:Message-Id" })
	got, err := testRoom(t, f, nil).Accept(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	with, _ := f.messages()
	for _, m := range with {
		if m.Meta.MessageID != got.MessageID || !strings.Contains(string(f.contents[m.ID]), "Message-ID: <"+got.MessageID+">\r\n") {
			t.Errorf("answer %q, copy %q", got.MessageID, m.Meta.MessageID)
		}
	}
}

// A batch is accepted whole or not at all.
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
	if with, _ := f.messages(); len(with) != 0 || len(sched.offered) != 0 || sched.reserved != 0 {
		t.Errorf("%d stored, %d offered, %d reserved", len(with), len(sched.offered), sched.reserved)
	}
	f.fail = nil
	if _, err := testRoom(t, f, sched).Accept(t.Context(), newsletter()); err != nil || len(sched.offered) != 2 || f.batches != 2 {
		t.Fatalf("%v, %d offered, %d batches", err, len(sched.offered), f.batches)
	}
	for i, m := range sched.offered {
		r, err := m.Content.Open()
		if err != nil {
			t.Fatal(err)
		}
		if octets, err := io.ReadAll(r); err != nil || string(octets) != string(f.contents[m.ID]) {
			t.Errorf("copy %d reads as %q, %v", i, octets, err)
		}
		sched.done[i]()
		sched.done[i]() // once is enough
	}
}

// A message that came as a whole is taken apart where values stand, and left alone where not.
func TestPersonalMIME(t *testing.T) {
	const boundary = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"
	part := func(head, body string) string { return "--b\r\n" + head + "\r\n\r\n" + body + "\r\n" }
	attachment := part("Content-Type: text/plain; name=\"a.txt\"\r\nContent-Disposition: attachment; filename=a.txt", "keep %recipient.name%")
	for name, test := range map[string]struct{ message, want string }{
		"plain":      {"Subject: Hi %recipient.name%\r\n\r\nDear %recipient.name%,\r\n", "\r\n\r\nDear Zoë,\r\n"},
		"not MIME":   {"\r\nDear %recipient_fname%\r\n", "Dear Ann\r\n"},
		"latin1":     {"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=DCber %recipient.name%\r\n", "Über Zoë\r\n"},
		"base64":     {"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte("<b>%recipient.name%</b>")) + "\r\n", "<b>Zoë</b>"},
		"attachment": {boundary + part("Content-Type: text/plain", "Dear %recipient.name%") + attachment + "--b--\r\n", attachment},
		"signed": {"Content-Type: multipart/signed; boundary=b; protocol=\"x/y\"\r\n\r\n" + part("Content-Type: text/plain", "%recipient.name%") + part("Content-Type: x/y", "sig") + "--b--\r\n",
			part("Content-Type: text/plain", "%recipient.name%")},
		"unknown values stay": {"\r\n100%recipient %recipient.zz%\r\n", "100%recipient %recipient.zz%\r\n"},
	} {
		s := smtp("X-Mailgun-Recipient-Variables: {\"ann@one.test\": {\"name\": \"Zo\\u00eb\"}, \"bob@two.test\": {\"name\": \"Bob\"}}\r\nFrom: a@mg.example.com\r\nTo: Ann Lee <ann@one.test>, all@lists.test\r\nCc: x@y.test\r\n")
		head := strings.Split(string(readAll(t, s.Raw)), "From: News")[0]
		s.Raw = strings.NewReader(head + test.message)
		s.Recipients = append(s.Recipients, mail.Address{Local: "bob", Domain: "two.test"})
		f := newFakeStore(t, domain("mg.example.com"))
		if _, err := testRoom(t, f, nil).Accept(t.Context(), s); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		with, _ := f.messages()
		if len(with) != 2 {
			t.Fatalf("%s: %d letters", name, len(with))
		}
		slices.SortFunc(with, func(a, b *store.NewMessage) int { return int(a.ID - b.ID) })
		for i, m := range with {
			content := f.contents[m.ID]
			want := test.want
			to := "Ann Lee <ann@one.test>"
			if i == 1 {
				want, to = strings.NewReplacer("Zoë", "Bob", "Dear Ann", "Dear ").Replace(want), "bob@two.test"
			}
			v, err := compose.ReadView(bytes.NewReader(content))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if v.Header("To") != to || v.Header("Cc") != "" || v.Header("X-Mailgun-Recipient-Variables") != "" {
				t.Errorf("%s: To %q, Cc %q", name, v.Header("To"), v.Header("Cc"))
			}
			if body := v.BodyPlain + v.BodyHTML; !strings.Contains(body, strings.Trim(want, "\r\n")) && !strings.Contains(string(content), want) {
				t.Errorf("%s: copy %d lacks %q:\n%s", name, i, want, content)
			}
			if name == "plain" && v.Header("Subject") != "Hi "+map[bool]string{true: "Zoë", false: "Bob"}[i == 0] {
				t.Errorf("subject %q", v.Header("Subject"))
			}
		}
	}
}

func readAll(t *testing.T, r io.Reader) []byte {
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The copies of a newsletter take the room of one and a little.
func TestCopiesShareOctets(t *testing.T) {
	for name, html := range map[string]string{
		"lines":    strings.Repeat("<p style=\"margin: 0 auto\">Dear %recipient.name%, here is some news of the day.</p>\n", 20) + strings.Repeat("<td>the same for all, in lines of their own</td>\n", 2000),
		"one line": "<p>Dear %recipient.name%,</p>" + strings.Repeat("<td class=\"x\">the same for all, in one line</td>", 2000) + "%recipient_email%",
		"umlauts":  "<p>Grüße, %recipient.name%,</p>\n" + strings.Repeat("<p>Überall schöne Äpfel für alle</p>\n", 1500),
	} {
		s := newsletter()
		s.To = nil
		var variables strings.Builder
		for i := range 50 {
			address := fmt.Sprintf("user-%d@one.test", i)
			s.To = append(s.To, address)
			fmt.Fprintf(&variables, `,"%s":{"name":"%s","list_unsubscribe":"https://n.test/%d","message_id":"m%d@mg.example.com"}`, address, strings.Repeat("x", i), i, i)
		}
		for i := range s.Options {
			if s.Options[i].Name == "recipient-variables" {
				s.Options[i].Value = "{" + variables.String()[1:] + "}"
			}
		}
		s.Draft.HTML = html
		f := newFakeStore(t, domain("mg.example.com"))
		if _, err := testRoom(t, f, &fakeScheduler{room: 1 << 30}).Accept(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		with, _ := f.messages()
		var base *store.Content
		for _, m := range with {
			content := f.contents[m.ID]
			if m.Content.Base == nil || base != nil && base != m.Content.Base {
				t.Fatal("no base, or several")
			}
			base = m.Content.Base
			common := readAll(t, open(t, base))
			shared, end := int64(0), int64(0)
			for _, r := range m.Content.Runs {
				if r.At < end || string(content[r.At:r.At+r.Size]) != string(common[r.From:r.From+r.Size]) {
					t.Fatalf("%s: run %+v is not true", name, r)
				}
				shared, end = shared+r.Size, r.At+r.Size
			}
			if own := m.Content.Size - shared; own > 6000 {
				t.Errorf("%s: %d of %d octets are its own", name, own, m.Content.Size)
			}
			v, err := compose.ReadView(bytes.NewReader(content))
			if err != nil || !strings.Contains(v.BodyHTML, m.Rows[0].Recipient.String()) && name == "one line" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func open(t *testing.T, c *store.Content) io.Reader {
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
