package stencil

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/handlebars"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/sendopt"
)

func wish(t *testing.T, variables string) sendopt.Template {
	w := sendopt.Template{Name: "welcome", Text: mail.True}
	if variables != "" {
		var err error
		if w.Variables, err = handlebars.ParseObject(variables); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func ann(values map[string]string) *merge.Person {
	return &merge.Person{Mailbox: mail.Mailbox{Name: "Ann", Address: mail.Address{Local: "ann", Domain: "example.org"}}, Values: values}
}

func TestRender(t *testing.T) {
	for name, c := range map[string]struct {
		source    Source
		user      map[string]string
		variables string
		person    *merge.Person
		want      Rendering
	}{
		"own variables over the user's": {
			Source{HTML: "<p>{{a}} {{b}}</p>"}, map[string]string{"a": "1", "b": "2"}, `{"b": 3}`, nil, Rendering{HTML: "<p>1 3</p>", Text: "1 3\n"}},
		"an object is seen as one, what only looks like one is text": {
			Source{HTML: "{{o.x}} {{p}}"}, map[string]string{"o": ` {"x": "y"}`, "p": "{x"}, "", nil, Rendering{HTML: "y {x", Text: "y {x\n"}},
		"header fields are plain": {
			Source{HTML: "{{a}}", Headers: map[string]string{"Subject": "s {{a}}", "Reply-To": "{{r}}@example.com", "From": "f {{a}}"}},
			map[string]string{"a": "<&>", "r": "help"}, "", nil, Rendering{HTML: "&lt;&amp;&gt;", Text: "<&>\n", Subject: "s <&>", ReplyTo: "help@example.com", From: "f <&>"}},
		"nothing is something": {Source{HTML: "{{a}}"}, nil, "", nil, Rendering{HTML: "\n"}},
		"a person's values are escaped, and blocks depend on them": {
			Source{HTML: "{{name}}{{#equal plan 'free'}} free{{/equal}}"}, map[string]string{"name": "%recipient.n%", "plan": "%recipient.plan%"}, "",
			ann(map[string]string{"n": "<b>", "plan": "free"}), Rendering{HTML: "&lt;b&gt; free", Text: "<b> free\n"}},
		"of nobody they are places": {
			Source{HTML: "{{name}}"}, map[string]string{"name": "%recipient.n%"}, "", nil, Rendering{HTML: "%recipient.n%", Text: "%recipient.n%\n"}},
		"places of the template itself stay": {
			Source{HTML: "%recipient.n%"}, nil, "", ann(map[string]string{"n": "x"}), Rendering{HTML: "%recipient.n%", Text: "%recipient.n%\n"}},
	} {
		s, err := New(wish(t, c.variables), c.source, c.user, 1000)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := s.Render(c.person)
		if got.Text = strings.TrimRight(got.Text, "\n"); err != nil || got.Text != strings.TrimRight(c.want.Text, "\n") {
			t.Errorf("%s: text %q, %v, want %q", name, got.Text, err, c.want.Text)
		}
		got.Text, c.want.Text = "", ""
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestWhatATemplateIs(t *testing.T) {
	for name, c := range map[string]struct {
		source                  Source
		user                    map[string]string
		personal, places, links bool
	}{
		"nothing":                      {Source{HTML: "a {{b}} 100%"}, map[string]string{"b": "50%"}, false, false, false},
		"places in the body":           {Source{HTML: "%recipient.a%"}, nil, false, true, false},
		"places in a field":            {Source{Headers: map[string]string{"Subject": "%recipient.a%"}}, nil, false, true, false},
		"places in a variable":         {Source{}, map[string]string{"b": "%recipient.a%"}, true, false, false},
		"places deep in a variable":    {Source{}, map[string]string{"b": `{"c": ["%recipient.a%"]}`}, true, false, false},
		"a link in the body":           {Source{HTML: "%unsubscribe_url%"}, nil, false, false, true},
		"a link deep in a variable":    {Source{}, map[string]string{"b": `{"c": ["%unsubscribe_url%"]}`}, false, false, true},
		"a link where it may not show": {Source{HTML: "{{#if x}}%unsubscribe_url%{{/if}}"}, nil, false, false, true},
	} {
		s, err := New(wish(t, ""), c.source, c.user, 1000)
		if err != nil {
			t.Fatal(name, err)
		}
		places := c.places || c.source.HTML != "" && merge.HasPlaces(c.source.HTML)
		if s.Personal() != c.personal || s.Places() != places || s.UsesLinks() != c.links {
			t.Errorf("%s: personal %v, places %v, links %v", name, s.Personal(), s.Places(), s.UsesLinks())
		}
	}
}

// What the message says itself, no letter gets from the template.
func TestStripped(t *testing.T) {
	s, err := New(wish(t, ""), Source{HTML: "x", Headers: map[string]string{"Subject": "s", "Reply-To": "r@example.com"}}, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	s.WithoutText()
	s.WithoutHeader("Subject")
	r, err := s.Render(nil)
	if want := (Rendering{HTML: "x", ReplyTo: "r@example.com"}); err != nil || r != want || s.Text() || s.HasHeader("Subject") || !s.HasHeader("Reply-To") {
		t.Errorf("%+v, %v", r, err)
	}
}

// SEC-21: what a template may cost is bounded in size, for values as for texts, and in work for all copies together.
func TestBounds(t *testing.T) {
	big := ann(map[string]string{"n": strings.Repeat("x", 600)})
	for name, c := range map[string]struct {
		html string
		user map[string]string
	}{
		"text":   {"{{name}}{{name}}", map[string]string{"name": "%recipient.n%"}},
		"values": {"", map[string]string{"name": "%recipient.n%%recipient.n%"}},
	} {
		s, err := New(wish(t, ""), Source{HTML: c.html}, c.user, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Render(big); !errors.Is(err, handlebars.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	list := `{"l": [` + strings.Repeat("1,", 399) + `1]}`
	s, err := New(wish(t, list), Source{HTML: "{{#each l}}{{#each @root.l}}{{/each}}{{/each}}"}, nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for copies := 0; ; copies++ {
		_, err := s.Render(nil)
		if err == nil && copies < 1000 {
			continue
		}
		var refused *sendopt.Error
		if !errors.As(err, &refused) || copies == 0 || !strings.HasPrefix(refused.Problem, "template welcome: ") {
			t.Errorf("after %d copies: %v", copies, err)
		}
		return
	}
}

func TestNoTemplate(t *testing.T) {
	for name, c := range map[string]Source{"body": {HTML: "{{#if}"}, "field": {Headers: map[string]string{"Subject": "{{"}}} {
		var refused *sendopt.Error
		if _, err := New(wish(t, ""), c, nil, 100); !errors.As(err, &refused) || !strings.HasPrefix(refused.Problem, "template welcome: ") || strings.ContainsAny(refused.Problem, "\r\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
