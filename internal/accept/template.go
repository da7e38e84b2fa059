package accept

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/stencil"
	"github.com/sealpost/sealpost/internal/store"
)

// Templates finds stored templates, as store.Templates does.
type Templates interface {
	// TemplateVersion returns a version of a domain's template; an empty tag means the active
	// one. store.ErrNotFound if there is none.
	TemplateVersion(ctx context.Context, domainID int64, name, tag string) (store.TemplateVersion, error)
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
	j.stencil, err = stencil.New(wish, stencil.Source{Version: v.Tag, HTML: v.Body, Headers: v.Headers}, j.opts.Variables, MaxSize)
	return err
}

// fillTemplate makes the draft of a submission with a template complete. What the submission says
// itself comes first; a message without any sender is the domain's postmaster's.
func (j *job) fillTemplate(d *Draft) error {
	s := j.stencil
	if d.HTML != "" {
		return invalid("Only one parameters 'html' or 'template' is allowed")
	}
	r, err := s.Render(nil)
	if err != nil {
		return err
	}
	if strings.Trim(strings.Join(d.From, ""), ", ") == "" {
		d.From = []string{"postmaster@" + j.domain.Name}
		if from := strings.TrimSpace(r.From); from != "" {
			d.From = []string{from}
		}
	}
	if d.Subject == "" {
		d.Subject = r.Subject
	} else {
		s.WithoutHeader("Subject")
	}
	if d.Text != "" {
		s.WithoutText()
	} else {
		d.Text = r.Text
	}
	d.HTML = r.HTML
	if r.ReplyTo != "" && !hasField(j.opts.Headers, "Reply-To") {
		j.opts.Headers = append(j.opts.Headers, compose.Field{Name: "Reply-To", Value: r.ReplyTo})
	} else {
		s.WithoutHeader("Reply-To")
	}
	return nil
}

func hasField(fields []compose.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f compose.Field) bool { return strings.EqualFold(f.Name, name) })
}

// personalTexts are the texts of a draft that come from the template and differ from person to
// person. ok is false if none do.
func personalTexts(s *stencil.Stencil, l *letter) (r stencil.Rendering, ok bool, err error) {
	if s == nil || !s.Personal() || l.person == nil {
		return r, false, nil
	}
	if r, err = s.Render(l.person); err != nil || !s.Places() {
		return r, true, err
	}
	for _, text := range []*string{&r.HTML, &r.Text, &r.Subject, &r.ReplyTo} {
		if *text, err = l.fill(merge.Parse(*text)); err != nil {
			return r, true, err
		}
	}
	return r, true, nil
}

// applyTemplate puts what a template gives into a draft, for the person of the letter.
func applyTemplate(s *stencil.Stencil, d *compose.Draft, l *letter) error {
	r, ok, err := personalTexts(s, l)
	if err != nil || !ok {
		return err
	}
	d.HTML = r.HTML
	if s.Text() {
		d.Text = r.Text
	}
	if s.HasHeader("Subject") {
		d.Subject = r.Subject
	}
	for i := range d.Headers {
		if s.HasHeader("Reply-To") && strings.EqualFold(d.Headers[i].Name, "Reply-To") {
			d.Headers[i].Value = r.ReplyTo
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
	texts, err := s.Render(l.person)
	if err != nil {
		return err
	}
	if l.person != nil && s.Places() {
		if texts.HTML, err = l.fill(merge.Parse(texts.HTML)); err != nil {
			return err
		}
		if texts.Subject, err = l.fill(merge.Parse(texts.Subject)); err != nil {
			return err
		}
	}
	if texts.Subject != "" && !r.hasSubject {
		edit.Headers = append(slices.Clone(edit.Headers), compose.Field{Name: "Subject", Value: texts.Subject})
	}
	others, done := edit.Text, false
	edit.Text = func(media, text string) (string, error) {
		switch {
		case media == "text/html" && !done:
			done, l.templated = true, true
			return texts.HTML, nil
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
	r.j.stencil.WithoutText() // the message has the text that it has
	return err
}

// template is what events tell of the template; nil if there is none.
func (j *job) template() *event.Template {
	s := j.stencil
	if s == nil {
		return nil
	}
	return &event.Template{Name: s.Name(), Version: s.Version(), IsText: s.Text()}
}
