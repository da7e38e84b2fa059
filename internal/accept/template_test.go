package accept

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
)

// shelf holds templates by name and tag; the tag of the active version is empty as well.
type shelf map[string]store.TemplateVersion

func (s shelf) TemplateVersion(_ context.Context, _ int64, name, tag string) (store.TemplateVersion, error) {
	v, ok := s[name+"/"+tag]
	if !ok {
		return v, store.ErrNotFound
	}
	return v, nil
}

// templateRoom has the templates welcome (versions v1, active, and bare), bomb and wrong.
func templateRoom(t testing.TB, f *fakeStore) *Room {
	v1 := store.TemplateVersion{
		Tag: "v1", Body: "<p>Hi {{name}}, {{{name}}}!</p>{{#each items}}<li>{{title}}</li>{{/each}}<p>For %recipient_email%</p>",
		Headers: map[string]string{"From": "{{team}} <news@mg.example.com>", "Subject": "For {{name}} & you", "Reply-To": "{{reply}}"},
	}
	return New(Config{Hostname: "mx.sealpost.test", SpoolDir: t.TempDir(), Templates: shelf{
		"welcome/": v1, "welcome/v1": v1, "welcome/bare": {Tag: "bare", Body: "<b>{{name}}</b>"},
		"bomb/":  {Tag: "v1", Body: strings.Repeat("{{#each @root.l}}", 20) + strings.Repeat("{{/each}}", 20)},
		"wrong/": {Tag: "v1", Body: "{{#if}}"},
	}}, f, f, nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// templated is a submission that says nothing itself but to whom.
func templated(opts ...string) Submission {
	s := form(append([]string{"template", "Welcome"}, opts...)...)
	s.To = []string{"ann@one.test"}
	s.Draft = &Draft{}
	return s
}

func TestTemplateMakesTheMessage(t *testing.T) {
	const variables = `{"name":"<Ann>","team":"The Team","reply":"help@mg.example.com","items":[{"title":"one"},{"title":"A&B"}]}`
	for name, c := range map[string]struct {
		submission Submission
		want       []string // in the message
		not        []string
		event      event.Template
	}{
		"header fields of its own": {
			templated("t:variables", variables),
			[]string{"From: The Team <news@mg.example.com>\r\n", "Subject: For <Ann> & you\r\n", "Reply-To: help@mg.example.com\r\n", "Content-Type: text/html",
				"<p>Hi &lt;Ann&gt;, <Ann>!</p><li>one</li><li>A&amp;B</li>", "<p>For %recipient_email%</p>"},
			[]string{"text/plain", "X-Mailgun-Template", "t:variables"},
			event.Template{Name: "welcome", Version: "v1"},
		},
		"what the request says comes first": {
			func() Submission {
				s := templated("t:variables", variables, "h:Reply-To", "me@mg.example.com")
				s.Draft = &Draft{From: []string{"Me <me@mg.example.com>"}, Subject: "Mine", Text: "my text"}
				return s
			}(),
			[]string{"From: Me <me@mg.example.com>\r\n", "Subject: Mine\r\n", "Reply-To: me@mg.example.com\r\n", "my text", "<li>one</li>"},
			[]string{"The Team", "help@mg"},
			event.Template{Name: "welcome", Version: "v1"},
		},
		"text made of it": {
			templated("t:variables", variables, "t:text", "yes"),
			[]string{"multipart/alternative", "Hi <Ann>, !\r\n\r\n- one\r\n- A&B\r\n"},
			nil,
			event.Template{Name: "welcome", Version: "v1", IsText: true},
		},
		"no sender anywhere": {
			templated("t:version", "BARE", "v:name", "Bo"),
			[]string{"From: postmaster@mg.example.com\r\n", "<b>Bo</b>"},
			nil,
			event.Template{Name: "welcome", Version: "bare"},
		},
		"t:variables win over v:": {
			templated("t:version", "bare", "v:name", "Bo", "t:variables", `{"name":"Cy"}`),
			[]string{"<b>Cy</b>", `X-Mailgun-Variables: {"name": "Bo"}`},
			nil,
			event.Template{Name: "welcome", Version: "bare"},
		},
		"v: that is JSON is seen as such": {
			templated("v:items", `[{"title":"x"}]`, "v:name", "N", "v:team", "T", "v:reply", "r@mg.example.com"),
			[]string{"<li>x</li>"},
			nil,
			event.Template{Name: "welcome", Version: "v1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeStore(t, domain("mg.example.com"))
			if _, err := templateRoom(t, f).Accept(t.Context(), c.submission); err != nil {
				t.Fatal(err)
			}
			m, content := f.one(t)
			for _, w := range c.want {
				if !strings.Contains(content, w) {
					t.Errorf("lacks %q:\n%s", w, content)
				}
			}
			for _, n := range c.not {
				if strings.Contains(content, n) {
					t.Errorf("has %q:\n%s", n, content)
				}
			}
			if m.Meta.Template == nil || *m.Meta.Template != c.event {
				t.Errorf("events tell of %+v", m.Meta.Template)
			}
		})
	}
}

// Values of recipients are in the variables before the template is rendered: escaped, and blocks
// depend on them.
func TestTemplatePerCopy(t *testing.T) {
	s := templated("t:variables", `{"name":"%recipient.n%","team":"T","items":[{"title":"%recipient.n%"}]}`,
		"recipient-variables", `{"ann@one.test":{"n":"<A>"},"bob@two.test":{"n":"%recipient_email%"}}`)
	s.To = []string{"ann@one.test, bob@two.test"}
	f := newFakeStore(t, domain("mg.example.com"))
	if _, err := templateRoom(t, f).Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	with, _ := f.messages()
	if len(with) != 2 {
		t.Fatalf("%d copies", len(with))
	}
	for _, m := range with {
		content := string(f.contents[m.ID])
		want := map[string]string{"ann@one.test": "Hi &lt;A&gt;, <A>!", "bob@two.test": "Hi bob@two.test,"}[m.Meta.Recipients[0]]
		if want == "" || !strings.Contains(content, want) || !strings.Contains(content, "For "+m.Meta.Recipients[0]) {
			t.Errorf("for %s:\n%s", m.Meta.Recipients, content)
		}
		if !strings.HasPrefix(m.Meta.Subject, "For ") || strings.Contains(m.Meta.Subject, "%recipient.n%") {
			t.Errorf("subject %q", m.Meta.Subject)
		}
	}
}

func TestTemplateRefusals(t *testing.T) {
	withHTML := templated()
	withHTML.Draft = &Draft{HTML: "<p>"}
	list := "[" + strings.Repeat("1,", 100) + "1]"
	for name, c := range map[string]struct {
		submission Submission
		message    string
	}{
		"html as well":           {withHTML, "Only one parameters 'html' or 'template' is allowed"},
		"unknown":                {form("template", "none"), "template not found: none"},
		"unknown version":        {templated("t:version", "V9"), "template version not found: v9 (template welcome)"},
		"no JSON":                {templated("t:variables", "{"), "t:variables is not a valid JSON object: syntax error"},
		"no object":              {templated("t:variables", "[]"), "t:variables is not a valid JSON object: not an object"},
		"no flag":                {templated("t:text", "maybe"), "t:text must be yes, no, true or false"},
		"bomb":                   {form("template", "bomb", "t:variables", `{"l":`+list+`}`), "template bomb: the template is too much work"},
		"not understood":         {form("template", "wrong"), "template wrong: line 1: {{#if}} needs 1 value(s), has 0"},
		"line end in a subject":  {templated("t:variables", `{"name":"x\r\nBcc: z@z.test","team":"T"}`), "subject parameter holds a line break or another control character"},
		"line end in an address": {templated("t:variables", `{"team":"x\r\nBcc: z@z.test"}`), "from parameter is not a valid address. please check documentation"},
		"line end in reply-to":   {templated("t:variables", `{"reply":"a@b.test\nBcc: z@z.test"}`), "h:Reply-To parameter holds a line break or another control character"},
		"sender of another":      {templated("t:variables", `{"team":"ceo@other.test,"}`), "from parameter is not a valid address. please check documentation"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "unknown" || name == "bomb" || name == "not understood" {
				c.submission.Draft = &Draft{From: []string{"a@mg.example.com"}}
			}
			f := newFakeStore(t, domain("mg.example.com"))
			_, err := templateRoom(t, f).Accept(t.Context(), c.submission)
			wantError(t, err, 400, 554, c.message)
			if with, _ := f.messages(); len(with) != 0 {
				t.Error("stored")
			}
		})
	}
}

// A submitted message keeps its text and gets the template's HTML.
func TestTemplateBySMTP(t *testing.T) {
	const headers = "X-Mailgun-Template-Name: welcome\r\nX-Mailgun-Template-Version: V1\r\nX-Mailgun-Template-Variables: {\"name\":\r\n \"Ann\"}\r\n"
	const alternative = "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nkeep me\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>gone</p>\r\n--b--\r\n"
	for name, c := range map[string]struct {
		raw       string
		want, not []string
		applied   bool
	}{
		"alternative": {"From: a@mg.example.com\r\n" + headers + alternative, []string{"keep me", "Hi Ann, Ann!", "Subject: For Ann & you\r\n"}, []string{"gone", "X-Mailgun-Template", "Reply-To"}, true},
		"html":        {"From: a@mg.example.com\r\nSubject: own\r\n" + headers + "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>gone</p>\r\n", []string{"Hi Ann, Ann!", "Subject: own\r\n"}, []string{"gone", "For Ann"}, true},
		"plain only":  {"From: a@mg.example.com\r\n" + headers + "\r\nplain\r\n", []string{"plain"}, []string{"Hi Ann", "Subject", "X-Mailgun-Template"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := smtp("")
			s.Raw = bytes.NewReader([]byte(c.raw))
			f := newFakeStore(t, domain("mg.example.com"))
			if _, err := templateRoom(t, f).Accept(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			m, content := f.one(t)
			for _, w := range c.want {
				if !strings.Contains(content, w) {
					t.Errorf("lacks %q:\n%s", w, content)
				}
			}
			for _, n := range c.not {
				if strings.Contains(content, n) {
					t.Errorf("has %q:\n%s", n, content)
				}
			}
			if (m.Meta.Template != nil) != c.applied {
				t.Errorf("events tell of %+v", m.Meta.Template)
			}
		})
	}
	s := smtp("")
	s.Raw = io.NopCloser(strings.NewReader("From: a@mg.example.com\r\nX-Mailgun-Template-Name: none\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\nx\r\n"))
	_, err := templateRoom(t, newFakeStore(t, domain("mg.example.com"))).Accept(t.Context(), s)
	wantError(t, err, 400, 554, "template not found: none")
}
