package accept

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/handlebars"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/plaintext"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/spool"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tracking"
)

// MaxTemplateSteps is how much work the templates of one submission may be, all its copies
// together, as handlebars.MaxSteps counts it.
const MaxTemplateSteps = 20_000_000

// Templates finds stored templates, as store.Templates does.
type Templates interface {
	// TemplateVersion returns a version of a domain's template; an empty tag means the active
	// one. store.ErrNotFound if there is none.
	TemplateVersion(ctx context.Context, domainID int64, name, tag string) (store.TemplateVersion, error)
}

// A stencil is the template that a submission asks for, understood, with its variables.
type stencil struct {
	wish      sendopt.Template
	version   string
	html      *handlebars.Template
	headers   map[string]*handlebars.Template // by name: From, Subject, Reply-To
	variables *handlebars.Object
	personal  bool // the variables have places for values of recipients
	places    bool // so has the template itself
	links     bool // template or variables ask for links of ours
	budget    *handlebars.Budget
}

// openStencil finds the template that is asked for, if one is.
func (j *job) openStencil(ctx context.Context) error {
	wish := j.opts.Template
	if wish.Name == "" {
		return nil
	}
	if j.room.cfg.Templates == nil {
		return invalid("template parameter is not supported, please send 'text' or 'html'")
	}
	v, err := j.room.cfg.Templates.TemplateVersion(ctx, j.domain.ID, wish.Name, wish.Version)
	switch {
	case errors.Is(err, store.ErrNotFound) && wish.Version != "":
		return invalid("template version not found: %s (template %s)", sendopt.Printable(wish.Version), sendopt.Printable(wish.Name))
	case errors.Is(err, store.ErrNotFound):
		return invalid("template not found: %s", sendopt.Printable(wish.Name))
	case err != nil:
		return err
	}
	s := &stencil{wish: wish, version: v.Tag, headers: map[string]*handlebars.Template{}, places: merge.HasPlaces(v.Body), budget: handlebars.NewBudget(MaxTemplateSteps)}
	if s.html, err = handlebars.Parse(v.Body); err != nil {
		return invalid("template %s: %s", sendopt.Printable(wish.Name), sendopt.Printable(err.Error()))
	}
	for name, source := range v.Headers {
		if s.headers[name], err = handlebars.Parse(source); err != nil {
			return invalid("template %s: %s: %s", sendopt.Printable(wish.Name), sendopt.Printable(name), sendopt.Printable(err.Error()))
		}
		s.places = s.places || merge.HasPlaces(source)
	}
	s.links = tracking.Uses(v.Body)
	s.variables = templateVariables(j.opts.Variables, wish.Variables)
	_, _ = s.variables.Map(func(text string) (string, error) {
		s.personal = s.personal || merge.HasPlaces(text)
		s.links = s.links || tracking.Uses(text)
		return text, nil
	})
	j.stencil = s
	return nil
}

// templateVariables are what a template sees: the user variables, of which those that are a JSON
// object or list are seen as such, and over them t:variables.
func templateVariables(user map[string]string, own *handlebars.Object) *handlebars.Object {
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

// A rendering is a template with the variables of one letter in. Header fields that the template
// does not have are empty.
type rendering struct{ html, text, subject, replyTo, from string }

// render fills the template for a person, or with nil for everybody.
func (s *stencil) render(p *merge.Person) (r rendering, err error) {
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
		text, err = t.Render(variables, handlebars.Options{Plain: plain, Limit: MaxSize, Budget: s.budget})
		return text
	}
	r.html = put(s.html, false)
	r.subject, r.replyTo, r.from = put(s.headers["Subject"], true), put(s.headers["Reply-To"], true), put(s.headers["From"], true)
	switch {
	case errors.Is(err, handlebars.ErrTooLarge):
		return r, spool.ErrTooLarge
	case err != nil:
		return r, invalid("template %s: %s", sendopt.Printable(s.wish.Name), err)
	}
	if s.wish.Text.Bool() {
		r.text = plaintext.FromHTML(r.html)
	}
	if r.html == "" {
		r.html = "\n" // an empty text would be none, and the message something else than was asked for
	}
	return r, nil
}

// fill puts a person's values into the variables, before the template is rendered: so what they
// hold is escaped like any other value, and blocks can depend on it.
func (s *stencil) fill(p *merge.Person) (*handlebars.Object, error) {
	var size int64
	return s.variables.Map(func(text string) (string, error) {
		if !merge.HasPlaces(text) {
			return text, nil
		}
		t := merge.Parse(text)
		if size += t.Size(p); size > MaxSize {
			return "", spool.ErrTooLarge
		}
		return t.Fill(p), nil
	})
}

// fillTemplate makes the draft of a submission with a template complete. What the submission says
// itself comes first; a message without any sender is the domain's postmaster's.
func (j *job) fillTemplate(d *Draft) error {
	s := j.stencil
	if d.HTML != "" {
		return invalid("Only one parameters 'html' or 'template' is allowed")
	}
	r, err := s.render(nil)
	if err != nil {
		return err
	}
	if strings.Trim(strings.Join(d.From, ""), ", ") == "" {
		d.From = []string{"postmaster@" + j.domain.Name}
		if from := strings.TrimSpace(r.from); from != "" {
			d.From = []string{from}
		}
	}
	if d.Subject == "" {
		d.Subject = r.subject
	} else {
		delete(s.headers, "Subject")
	}
	if d.Text != "" {
		s.wish.Text = mail.Unset
	} else {
		d.Text = r.text
	}
	d.HTML = r.html
	if r.replyTo != "" && !hasField(j.opts.Headers, "Reply-To") {
		j.opts.Headers = append(j.opts.Headers, compose.Field{Name: "Reply-To", Value: r.replyTo})
	} else {
		delete(s.headers, "Reply-To")
	}
	return nil
}

func hasField(fields []compose.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f compose.Field) bool { return strings.EqualFold(f.Name, name) })
}

// personalTexts are the texts of a draft that come from the template and differ from person to
// person. ok is false if none do.
func (s *stencil) personalTexts(l *letter) (r rendering, ok bool, err error) {
	if s == nil || !s.personal || l.person == nil {
		return r, false, nil
	}
	if r, err = s.render(l.person); err != nil || !s.places {
		return r, true, err
	}
	for _, text := range []*string{&r.html, &r.text, &r.subject, &r.replyTo} {
		if *text, err = l.fill(merge.Parse(*text)); err != nil {
			return r, true, err
		}
	}
	return r, true, nil
}

// applyTemplate puts what a template gives into a draft, for the person of the letter.
func (s *stencil) applyTemplate(d *compose.Draft, l *letter) error {
	r, ok, err := s.personalTexts(l)
	if err != nil || !ok {
		return err
	}
	d.HTML = r.html
	if s.wish.Text.Bool() {
		d.Text = r.text
	}
	if s.headers["Subject"] != nil {
		d.Subject = r.subject
	}
	for i := range d.Headers {
		if s.headers["Reply-To"] != nil && strings.EqualFold(d.Headers[i].Name, "Reply-To") {
			d.Headers[i].Value = r.replyTo
		}
	}
	return nil
}

// editTemplate has the template take the place of the HTML of a submitted message, and gives the
// message a subject if it has none.
func (r *rawSource) editTemplate(edit *compose.Edit, l *letter) error {
	s := r.j.stencil
	if s == nil {
		return nil
	}
	texts, err := s.render(l.person)
	if err != nil {
		return err
	}
	if l.person != nil && s.places {
		if texts.html, err = l.fill(merge.Parse(texts.html)); err != nil {
			return err
		}
		if texts.subject, err = l.fill(merge.Parse(texts.subject)); err != nil {
			return err
		}
	}
	if texts.subject != "" && !r.hasSubject {
		edit.Headers = append(slices.Clone(edit.Headers), compose.Field{Name: "Subject", Value: texts.subject})
	}
	others, done := edit.Text, false
	edit.Text = func(media, text string) (string, error) {
		switch {
		case media == "text/html" && !done:
			done, l.templated = true, true
			return texts.html, nil
		case others != nil:
			return others(media, text)
		}
		return text, nil
	}
	return nil
}

// errTemplateHTML: the HTML is in characters that are not known, or too long.
var errTemplateHTML = invalid("the template cannot take the place of the message's text/html")

// prepareTemplate decides whether a template applies to a submitted message: it takes the place of
// HTML, and where there is none, the message is what its sender wrote.
func (r *rawSource) prepareTemplate(ctx context.Context) error {
	if err := r.j.openStencil(ctx); err != nil || r.j.stencil == nil {
		return err
	}
	if !r.m.HTML {
		r.j.stencil = nil
		return nil
	}
	fields, err := headerFields(r.in.Reader(), map[string]bool{"subject": true})
	r.hasSubject = len(fields) > 0 || hasField(r.j.opts.Headers, "Subject")
	r.j.stencil.wish.Text = mail.Unset // the message has the text that it has
	return err
}

// template is what events tell of the template; nil if there is none.
func (j *job) template() *event.Template {
	s := j.stencil
	if s == nil {
		return nil
	}
	return &event.Template{Name: s.wish.Name, Version: s.version, IsText: s.wish.Text.Bool()}
}
