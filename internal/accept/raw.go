package accept

import (
	"context"
	"io"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/spool"
	"github.com/sealpost/sealpost/internal/tracking"
)

// A rawSource is a message that came as a whole.
type rawSource struct {
	j  *job
	m  *compose.Raw
	in *spool.Spool
	// offers are the fields of the message that offer a way out of a list.
	offers []compose.Field
	scan   tracking.Scan // of what in holds

	hasSubject bool // so that a template does not give it one; known where there is a template
}

// readRaw takes a message that came as a whole. done gives back what holds it, once all letters
// are written.
func (j *job) readRaw(ctx context.Context) (done func(), err error) {
	in := spool.New(j.room.cfg.SpoolDir, MaxSize)
	done = func() { in.Close() }
	door := compose.API
	if j.s.Sender.Door == SMTP {
		door = compose.Submission
	}
	unwrapped, err := compose.Unwrap(j.s.Raw, door, merge.MaxVariables)
	if err != nil {
		return done, err
	}
	defer unwrapped.Close()
	if v := unwrapped.Variables; v != "" {
		j.s.Options = append(j.s.Options, compose.Field{Name: "recipient-variables", Value: v})
	}
	source := &rawSource{j: j, in: in}
	tee := &teeReader{r: unwrapped, w: scannedSpool{in, &source.scan}}
	m, err := compose.Inspect(tee, door)
	if tee.err != nil {
		return done, tee.err
	}
	if err != nil {
		return done, err
	}
	source.m, j.source = m, source
	j.from = m.From.Address.String()
	if err := j.ownerOfContent(ctx, m.From.Address); err != nil {
		return done, err
	}
	if err := j.readOptions(ctx, m.Control); err != nil {
		return done, err
	}
	if err := source.prepareTemplate(ctx); err != nil {
		return done, err
	}
	fields, err := headerFields(in.Reader(), identityFields)
	if err != nil {
		return done, err
	}
	if err := j.mayClaim(ctx, append(fields, j.opts.Headers...)); err != nil {
		return done, err
	}
	if err := j.mayAppearAs(ctx, m.From.Address); err != nil {
		return done, err
	}
	if source.offers, err = headerFields(in.Reader(), offerFields); err != nil {
		return done, err
	}
	if err := j.envelope(ctx, m.From.Address, in); err != nil {
		return done, err
	}
	return done, j.findList(ctx, m.From.Address)
}

// limit is larger than what may come in: encoding parts anew makes them longer.
func (r *rawSource) limit() int64 { return 2 * MaxSize }

// write writes a submitted message as it will travel.
func (r *rawSource) write(ctx context.Context, w io.Writer, l *letter) (compose.Result, error) {
	j, m := r.j, r.m
	l.variables = j.fillVariables(l)
	messageID, err := r.messageID(l)
	if err != nil {
		return compose.Result{}, err
	}
	edit := compose.Edit{
		MessageID: messageID, Date: j.now, Headers: j.opts.Headers, SigningDomain: j.domain.Name,
	}
	if messageID != m.MessageID && m.MessageID != "" {
		edit.Remove = append(edit.Remove, "Message-Id")
		edit.Add = append(edit.Add, compose.Field{Name: "Message-Id", Value: "<" + messageID + ">"})
	}
	if j.opts.TLSOptional {
		edit.Remove = append(edit.Remove, sendopt.TLSRequired) // it comes with Headers
	}
	if l.person != nil {
		if err := r.personalize(ctx, &edit, l); err != nil {
			return compose.Result{}, err
		}
	}
	if err := r.editTemplate(&edit, l); err != nil {
		return compose.Result{}, err
	}
	r.track(&edit, l)
	edit.Add = append(edit.Add, j.ownFields(l)...)
	if !j.opts.Travels("variables") {
		edit.Remove = append(edit.Remove, variablesField)
	}
	result, err := m.Write(w, r.in.Reader(), edit)
	if err != nil {
		return result, err
	}
	if j.stencil != nil && !l.templated {
		return result, errTemplateHTML
	}
	result.MessageID = messageID
	return result, nil
}

// messageID returns the Message-ID of the letter: what the parameter asks for, else the message's
// own, else ours. One of the message's own may have places as well.
func (r *rawSource) messageID(l *letter) (string, error) {
	switch {
	case r.j.opts.MessageID != "":
		return r.j.messageID(l)
	case r.m.MessageID == "":
		return r.j.sharedID, nil
	case l.person == nil || !merge.HasPlaces(r.m.MessageID):
		return r.m.MessageID, nil
	}
	return compose.ParseMessageID(merge.Parse(r.m.MessageID).Fill(l.person))
}

// personalize has the values of a person put into the header fields and texts of the message, and
// the person alone named in its To field.
func (r *rawSource) personalize(ctx context.Context, edit *compose.Edit, l *letter) error {
	var err error
	put := func(s string) string {
		filled, fillErr := l.fill(merge.Parse(s))
		if fillErr != nil {
			err = fillErr
		}
		return filled
	}
	edit.To = r.j.toPerson(l)
	if r.j.list != nil {
		edit.Remove = append(edit.Remove, listFields...)
	}
	edit.Remove = append(edit.Remove, variablesField) // they come with the values in, see ownFields
	edit.Headers = make([]compose.Field, len(r.j.opts.Headers))
	for i, f := range r.j.opts.Headers {
		edit.Headers[i] = compose.Field{Name: f.Name, Value: put(f.Value)}
	}
	if err != nil {
		return err
	}
	edit.Value = func(name, value string) string {
		if identity := identityFields[strings.ToLower(name)]; identity || !merge.HasPlaces(value) {
			return value
		}
		return put(value)
	}
	edit.Text = func(_, text string) (string, error) {
		if !merge.HasPlaces(text) {
			return text, nil
		}
		return l.fill(merge.Parse(text))
	}
	edit.LongText = errLongText
	return r.j.mayClaim(ctx, edit.Headers) // again, with the values in (SEC-57)
}

var errLongText = invalid("a text part larger than %d MiB cannot be combined with 'recipient-variables'", compose.MaxViewText>>20)

// variablesField carries the user variables, as JSON.
const variablesField = "X-Mailgun-Variables"

// ownFields are the fields a submitted message gets from us.
func (j *job) ownFields(l *letter) []compose.Field {
	var add []compose.Field
	if j.opts.Travels("sid") {
		add = append(add, compose.Field{Name: "X-Mailgun-Sid", Value: l.id.String()})
	}
	if j.opts.Travels("tag") {
		for _, tag := range j.opts.Tags {
			add = append(add, compose.Field{Name: "X-Mailgun-Tag", Value: tag})
		}
	}
	if !j.opts.Travels("variables") {
		return add
	}
	// Variables that came as fields stay in the message as they are, and those of parameters are added;
	// but where values were put in, all are written anew.
	variables := sendopt.ParameterVariables(j.s.Options)
	if l.person != nil {
		variables = l.variables
	}
	if text := sendopt.VariablesHeader(variables); text != "" {
		add = append(add, compose.Field{Name: variablesField, Value: text})
	}
	return add
}
