package accept

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/spool"
)

// A draftSource is a message that came in pieces.
type draftSource struct {
	j     *job
	base  compose.Draft
	texts draftTexts
}

// draftTexts are the pieces in which values stand, taken apart once.
type draftTexts struct {
	subject, text, html, amp merge.Text
	headers                  []merge.Text
}

// readDraft takes a message that came in pieces.
func (j *job) readDraft(ctx context.Context) (done func(), err error) {
	d := *j.s.Draft
	if err := j.readOptions(ctx, nil); err != nil {
		return nil, err
	}
	if err := j.openStencil(ctx); err != nil {
		return nil, err
	}
	if j.stencil != nil {
		if err := j.fillTemplate(&d); err != nil {
			return nil, err
		}
	}
	from, err := sender(d.From)
	if err != nil {
		return nil, err
	}
	j.from = from.Address.String()
	if d.Text == "" && d.HTML == "" && d.AMP == "" {
		return nil, invalid("Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified")
	}
	base := compose.Draft{
		From: from, Subject: d.Subject, Text: d.Text, HTML: d.HTML, AMP: d.AMP,
		Headers: j.opts.Headers, Files: d.Attachments, Inline: d.Inline, Date: j.now,
		Boundary: compose.NewBoundary(),
	}
	if err := j.addressDraft(&base); err != nil {
		return nil, err
	}
	if err := j.findList(ctx, from.Address); err != nil {
		return nil, err
	}
	base.Headers = j.opts.Headers
	if err := j.mayClaim(ctx, base.Headers); err != nil {
		return nil, err
	}
	if err := j.mayAppearAs(ctx, from.Address); err != nil {
		return nil, err
	}
	if err := j.returnTo(ctx, from.Address); err != nil {
		return nil, err
	}
	source := newDraftSource(j, base)
	j.source = source
	return nil, source.checkExpansion()
}

func newDraftSource(j *job, d compose.Draft) *draftSource {
	s := &draftSource{j: j, base: d, texts: draftTexts{
		subject: merge.Parse(d.Subject), text: merge.Parse(d.Text), html: merge.Parse(d.HTML), amp: merge.Parse(d.AMP),
	}}
	for _, h := range d.Headers {
		s.texts.headers = append(s.texts.headers, merge.Parse(h.Value))
	}
	return s
}

// checkExpansion refuses a call whose copies would be too large together, before any of them is
// written (SEC-21).
func (s *draftSource) checkExpansion() error {
	people, err := s.j.persons()
	if err != nil || people == nil {
		return err
	}
	var count merge.Count
	for _, t := range append([]merge.Text{s.texts.subject, s.texts.text, s.texts.html, s.texts.amp}, s.texts.headers...) {
		count.Add(t)
	}
	for _, v := range s.j.opts.Variables {
		count.Add(merge.Parse(v))
	}
	for _, f := range slices.Concat(s.base.Files, s.base.Inline) {
		count.AddFixed(f.Size/3*4 + f.Size/50)
	}
	var total int64
	for i := range people {
		n := count.For(&people[i])
		if total += n; total > MaxExpanded {
			if s.j.list != nil {
				return errListExpanded
			}
			return errExpanded
		}
		if n > 2*MaxSize {
			return spool.ErrTooLarge
		}
	}
	return nil
}

// limit is that of a message.
func (s *draftSource) limit() int64 { return MaxSize }

// write writes a letter: the draft with the person's values in, addressed to the person alone.
func (s *draftSource) write(ctx context.Context, w io.Writer, l *letter) (compose.Result, error) {
	d, err := s.draftFor(l)
	if err != nil {
		return compose.Result{}, err
	}
	if l.person != nil {
		if err := s.j.mayClaim(ctx, d.Headers); err != nil { // again, with the values in (SEC-57)
			return compose.Result{}, err
		}
	}
	if d.MessageID, err = s.j.messageID(l); err != nil {
		return compose.Result{}, err
	}
	l.variables = s.j.fillVariables(l)
	s.j.trackDraft(&d, l)
	if s.j.opts.Travels("sid") {
		d.Sid = l.id.String()
	}
	if s.j.opts.Travels("tag") {
		d.Tags = s.j.opts.Tags
	}
	if s.j.opts.Travels("variables") {
		d.Variables = sendopt.VariablesHeader(l.variables)
	}
	result, err := compose.Compose(w, d)
	if err != nil {
		return result, fmt.Errorf("compose: %w", err)
	}
	return result, nil
}

// draftFor returns the draft of a letter.
func (s *draftSource) draftFor(l *letter) (compose.Draft, error) {
	d := s.base
	if !s.j.several {
		d.Boundary = "" // that of copies
	}
	if l.person == nil {
		return d, nil
	}
	d.To = s.j.toPerson(l)
	d.Headers = slices.Clone(d.Headers)
	texts := []struct {
		into *string
		text merge.Text
	}{{&d.Subject, s.texts.subject}, {&d.Text, s.texts.text}, {&d.HTML, s.texts.html}, {&d.AMP, s.texts.amp}}
	for i := range d.Headers {
		texts = append(texts, struct {
			into *string
			text merge.Text
		}{&d.Headers[i].Value, s.texts.headers[i]})
	}
	for _, t := range texts {
		var err error
		if *t.into, err = l.fill(t.text); err != nil {
			return d, err
		}
	}
	return d, applyTemplate(s.j.stencil, &d, l)
}

// sender reads the from parameters: one mailbox.
func sender(values []string) (mail.Mailbox, error) {
	joined := strings.Join(values, ",")
	if strings.Trim(joined, ", ") == "" {
		return mail.Mailbox{}, invalid("from parameter is missing")
	}
	m, err := mail.ParseMailbox(joined)
	if err != nil {
		return m, invalid("from parameter is not a valid address. please check documentation")
	}
	return m, nil
}

// addressDraft reads to, cc and bcc.
func (j *job) addressDraft(d *compose.Draft) error {
	lists := map[string][]mail.Mailbox{}
	for param, values := range map[string][]string{"to": j.s.To, "cc": j.s.Cc, "bcc": j.s.Bcc} {
		list, err := mailboxes(param, values)
		if err != nil {
			return err
		}
		lists[param] = list
	}
	if len(lists["to"]) == 0 {
		return invalid("to parameter is missing")
	}
	d.To, d.Cc = lists["to"], lists["cc"]
	var err error
	j.people = lists["to"]
	for _, m := range slices.Concat(lists["cc"], lists["bcc"]) {
		j.others = append(j.others, m.Address)
	}
	j.recipients, err = distinct(lists["to"], lists["cc"], lists["bcc"])
	return err
}
