// Package stencil makes the texts of letters from a stored template.
//
// A template is filled twice: its own variables go in by Handlebars, and where they or the template hold
// placeholders (%recipient.name%), the values of a recipient go in as well: into the variables before the template is rendered, so
// that what they hold is escaped like any other value, and blocks can depend on it. The package is pure; who may have
// which template, and what of a message comes from it, is decided elsewhere.
package stencil

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/handlebars"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/plaintext"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/tracking"
)

// MaxSteps is how much work the templates of one submission may be, all its copies
// together, as handlebars.MaxSteps counts it.
const MaxSteps = 20_000_000

// A Source is a template as it is stored.
type Source struct {
	Version string
	HTML    string
	Headers map[string]string // by name: From, Subject, Reply-To
}

// A Stencil is the template that a submission asks for, understood, with its variables. Once made and
// stripped of what is not wanted of it, it may be rendered by several goroutines at a time.
type Stencil struct {
	wish      sendopt.Template
	version   string
	html      *handlebars.Template
	headers   map[string]*handlebars.Template
	variables *handlebars.Object
	personal  bool // the variables have places for values of recipients
	places    bool // so has the template itself
	links     bool // template or variables ask for links of ours
	limit     int
	budget    *handlebars.Budget
}

// New understands a template. It sees the user variables of the submission, of which those that are a JSON object or
// list are seen as such, and over them the variables of the wish. Each of its texts may have limit octets. An
// *sendopt.Error if the template is none.
func New(wish sendopt.Template, source Source, user map[string]string, limit int) (*Stencil, error) {
	s := &Stencil{wish: wish, version: source.Version, headers: map[string]*handlebars.Template{}, places: merge.HasPlaces(source.HTML), limit: limit, budget: handlebars.NewBudget(MaxSteps)}
	var err error
	if s.html, err = handlebars.Parse(source.HTML); err != nil {
		return nil, s.problem("%s", sendopt.Printable(err.Error()))
	}
	for name, header := range source.Headers {
		if s.headers[name], err = handlebars.Parse(header); err != nil {
			return nil, s.problem("%s: %s", sendopt.Printable(name), sendopt.Printable(err.Error()))
		}
		s.places = s.places || merge.HasPlaces(header)
	}
	s.links = tracking.Uses(source.HTML)
	s.variables = variables(user, wish.Variables)
	_, _ = s.variables.Map(func(text string) (string, error) {
		s.personal = s.personal || merge.HasPlaces(text)
		s.links = s.links || tracking.Uses(text)
		return text, nil
	})
	return s, nil
}

// variables are what a template sees.
func variables(user map[string]string, own *handlebars.Object) *handlebars.Object {
	all := &handlebars.Object{}
	for _, name := range slices.Sorted(maps.Keys(user)) {
		var value any = user[name]
		if text := strings.TrimSpace(user[name]); strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
			if v, err := handlebars.ParseValue(text); err == nil {
				value = v
			}
		}
		all.Set(name, value)
	}
	if own != nil {
		all.Merge(own)
	}
	return all
}

// Name returns the template's name, Version the tag of the version that is used.
func (s *Stencil) Name() string    { return s.wish.Name }
func (s *Stencil) Version() string { return s.version }

// Text reports whether text/plain is to be made of the template.
func (s *Stencil) Text() bool { return s.wish.Text.Bool() }

// WithoutText says that the message has a text of its own.
func (s *Stencil) WithoutText() { s.wish.Text = mail.Unset }

// WithoutHeader says that the message has a header field of its own, which no letter gets from the template.
func (s *Stencil) WithoutHeader(name string) { delete(s.headers, name) }

// HasHeader reports whether letters get the header field from the template.
func (s *Stencil) HasHeader(name string) bool { return s.headers[name] != nil }

// Personal reports whether the variables have places for values of recipients, Places whether the template
// itself has, and UsesLinks whether either asks for links of ours.
func (s *Stencil) Personal() bool  { return s.personal }
func (s *Stencil) Places() bool    { return s.places }
func (s *Stencil) UsesLinks() bool { return s.links }

// A Rendering is a template with the variables of one letter in. HTML is never empty; header fields that the template
// does not have are, and Text if none is to be made.
type Rendering struct{ HTML, Text, Subject, ReplyTo, From string }

// Render fills the template for a person, or with nil for everybody. Places of the template itself stay as they are:
// they are for who puts values into the other texts of the letter. Errors are handlebars.ErrTooLarge and
// *sendopt.Error.
func (s *Stencil) Render(p *merge.Person) (r Rendering, err error) {
	variables := s.variables
	if p != nil && s.personal {
		if variables, err = s.fill(p); err != nil {
			return r, err
		}
	}
	put := func(t *handlebars.Template, plain bool) (text string) {
		if err != nil || t == nil {
			return ""
		}
		text, err = t.Render(variables, handlebars.Options{Plain: plain, Limit: s.limit, Budget: s.budget})
		return text
	}
	r.HTML = put(s.html, false)
	r.Subject, r.ReplyTo, r.From = put(s.headers["Subject"], true), put(s.headers["Reply-To"], true), put(s.headers["From"], true)
	switch {
	case err == handlebars.ErrTooLarge:
		return r, err
	case err != nil:
		return r, s.problem("%s", err)
	}
	if s.Text() {
		r.Text = plaintext.FromHTML(r.HTML)
	}
	if r.HTML == "" {
		r.HTML = "\n" // an empty text would be none, and the message something else than was asked for
	}
	return r, nil
}

// fill puts a person's values into the variables.
func (s *Stencil) fill(p *merge.Person) (*handlebars.Object, error) {
	var size int64
	return s.variables.Map(func(text string) (string, error) {
		if !merge.HasPlaces(text) {
			return text, nil
		}
		t := merge.Parse(text)
		if size += t.Size(p); size > int64(s.limit) {
			return "", handlebars.ErrTooLarge
		}
		return t.Fill(p), nil
	})
}

// problem is what is wrong with the template, in words for the sender.
func (s *Stencil) problem(format string, args ...any) *sendopt.Error {
	return &sendopt.Error{Problem: "template " + sendopt.Printable(s.wish.Name) + ": " + fmt.Sprintf(format, args...)}
}
