package accept

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// A job is one submission on its way through the room.
type job struct {
	room   *Room
	s      Submission
	now    time.Time
	domain store.Domain
	held   *held

	opts        options
	reversePath mail.Address
	recipients  []mail.Address
	from        string // of the message, as far as it is known
	signers     []*signing.Signer
	sources     []netip.Addr // of ours, to leave from; none: any
}

// A letter is a message that is written, signed and ready to be stored.
type letter struct {
	id         mail.ID
	recipients []mail.Address
	content    store.Content
	result     compose.Result
	variables  map[string]string // of this copy; nil: those of the submission
}

// run is the way of every submission: know the sender, read what is asked,
// write, sign, commit, hand over.
func (j *job) run(ctx context.Context) (Receipt, error) {
	if j.s.Sender.Domain != "" {
		d, err := j.room.sendingDomain(ctx, j.s.Sender.Domain)
		if err != nil {
			return Receipt{}, err
		}
		if id := j.s.Sender.DomainID; id != 0 && id != d.ID {
			return Receipt{}, domainNotFound(d.Name)
		}
		j.domain = d
	}
	var letters []letter
	var err error
	if j.s.Draft != nil {
		letters, err = j.draft(ctx)
	} else {
		letters, err = j.raw(ctx)
	}
	if err != nil {
		return Receipt{}, err
	}
	messages := make([]*store.NewMessage, len(letters))
	for i, l := range letters {
		messages[i] = j.message(l)
	}
	if err := j.commit(ctx, messages); err != nil {
		return Receipt{}, err
	}
	return Receipt{ID: letters[0].id, MessageID: letters[0].result.MessageID}, nil
}

// raw takes a message that came as a whole.
func (j *job) raw(ctx context.Context) ([]letter, error) {
	in := newSpool(j.room.cfg.SpoolDir, MaxSize)
	defer in.Close()
	door := compose.API
	if j.s.Sender.Door == SMTP {
		door = compose.Submission
	}
	tee := &teeReader{r: j.s.Raw, w: in}
	m, err := compose.Inspect(tee, door)
	if tee.err != nil {
		return nil, tee.err
	}
	if err != nil {
		return nil, err
	}
	j.from = m.From.Address.String()
	if err := j.ownerOfContent(ctx, m.From.Address); err != nil {
		return nil, err
	}
	if err := j.readOptions(ctx, m.Control); err != nil {
		return nil, err
	}
	if j.opts.recipientVars != "" {
		return nil, invalid("'recipient-variables' parameter needs the messages endpoint")
	}
	fields, err := identities(in.reader())
	if err != nil {
		return nil, err
	}
	if err := j.mayClaim(ctx, append(fields, j.opts.headers...)); err != nil {
		return nil, err
	}
	if err := j.mayAppearAs(ctx, m.From.Address); err != nil {
		return nil, err
	}
	if err := j.envelope(ctx, m.From.Address, j.s.To); err != nil {
		return nil, err
	}
	return j.rewrite(m, in)
}

// readOptions reads what the sender asks for, and what the domain does not let it ask.
// fields are the control fields of a submitted message.
func (j *job) readOptions(ctx context.Context, fields []compose.Field) (err error) {
	if j.opts, err = parseOptions(j.s.Options, fields, j.now, j.room.cfg.Horizon); err != nil {
		return err
	}
	if err := j.chooseSigners(ctx); err != nil {
		return err
	}
	if err := j.chooseSources(ctx); err != nil {
		return err
	}
	if j.s.Report {
		return nil // RFC 8460 section 3: a report goes out although TLS is broken, whatever the domain says
	}
	return checkFloor(j.domain, j.opts.tls)
}

// ownerOfContent settles the sending domain where only the content can tell it.
func (j *job) ownerOfContent(ctx context.Context, from mail.Address) error {
	if j.s.Sender.Domain != "" {
		return nil
	}
	owner, err := j.room.owner(ctx, from.Domain)
	if err != nil {
		return err
	}
	if owner.Name == "" {
		return domainNotFound(from.Domain)
	}
	j.s.Sender.Domain = owner.Name
	j.domain, err = j.room.sendingDomain(ctx, owner.Name)
	return err
}

// rewrite writes a submitted message as it will travel.
func (j *job) rewrite(m *compose.Raw, in *spool) ([]letter, error) {
	id := j.room.intake.NewID()
	messageID := messageIDOf(id, j.now, j.domain.Name)
	if j.opts.messageID != "" {
		given, err := compose.ParseMessageID(j.opts.messageID)
		if err != nil {
			return nil, invalid("h:Message-Id is not a valid message id")
		}
		messageID = given
	}
	edit := compose.Edit{
		MessageID: messageID, Date: j.now, Headers: j.opts.headers, SigningDomain: j.domain.Name,
	}
	if j.opts.messageID != "" && m.MessageID != "" {
		edit.Remove = append(edit.Remove, "Message-Id")
		edit.Add = append(edit.Add, compose.Field{Name: "Message-Id", Value: "<" + messageID + ">"})
	}
	if j.opts.optional {
		edit.Remove = append(edit.Remove, tlsRequired) // it comes with Headers
	}
	edit.Add = append(edit.Add, j.ownFields(id, m)...)
	if !j.opts.travels("variables") {
		edit.Remove = append(edit.Remove, "X-Mailgun-Variables")
	}
	l, err := j.write(id, func(w io.Writer) (compose.Result, error) { return m.Write(w, in.reader(), edit) }, 2*MaxSize)
	if err != nil {
		return nil, err
	}
	if j.opts.messageID != "" {
		l.result.MessageID = messageID
	}
	l.recipients = j.recipients
	return []letter{l}, nil
}

// ownFields are the fields a submitted message gets from us.
func (j *job) ownFields(id mail.ID, m *compose.Raw) []compose.Field {
	var add []compose.Field
	if j.opts.travels("sid") {
		add = append(add, compose.Field{Name: "X-Mailgun-Sid", Value: id.String()})
	}
	if j.opts.travels("tag") {
		for _, tag := range j.opts.tags {
			add = append(add, compose.Field{Name: "X-Mailgun-Tag", Value: tag})
		}
	}
	// Variables that came as fields stay in the message; those of parameters are added.
	if variables := variablesHeader(parameterVariables(j.s.Options)); variables != "" && j.opts.travels("variables") {
		add = append(add, compose.Field{Name: "X-Mailgun-Variables", Value: variables})
	}
	return add
}

// write runs a writer of a message into a spool of up to limit octets and signs
// what came out.
func (j *job) write(id mail.ID, writeTo func(io.Writer) (compose.Result, error), limit int64) (letter, error) {
	out := newSpool(j.room.cfg.SpoolDir, limit)
	j.held.add(id, out)
	digest := signing.NewDigest()
	tee := &teeWriter{a: out, b: digest}
	result, err := writeTo(tee)
	if tee.err != nil {
		return letter{}, tee.err
	}
	if err != nil {
		return letter{}, err
	}
	prefix, err := j.prefix(id, digest)
	if err != nil {
		return letter{}, err
	}
	return letter{id: id, content: contentOf(prefix, out), result: result}, nil
}

// prefix returns the fields that stand before the message: the trace of this hop
// and the signatures. A signature covers what is below it, so the trace comes first.
func (j *job) prefix(id mail.ID, digest *signing.Digest) (string, error) {
	var b strings.Builder
	if j.s.Sender.Protocol != "" {
		// RFC 5321 section 4.4 without the client's name and address: where a sender sits
		// is its own affair, and our log has it.
		fmt.Fprintf(&b, "Received: by %s with %s id %s;\r\n\t%s\r\n",
			j.room.cfg.Hostname, j.s.Sender.Protocol, id, j.now.Format(time.RFC1123Z))
	}
	for _, signer := range j.signers {
		field, err := signer.Sign(digest, j.now)
		if err != nil {
			return "", fmt.Errorf("sign for %s: %w", j.domain.Name, err)
		}
		b.WriteString(field)
	}
	return b.String(), nil
}

// signs tells whether the message gets our signature: as it asks, or else as its domain does.
func (j *job) signs() bool {
	if j.opts.dkim != mail.Unset {
		return j.opts.dkim.Bool()
	}
	return !j.domain.Settings.DKIMDisable
}

// contentOf is the message as it travels: the prefix, then what the spool holds.
func contentOf(prefix string, out *spool) store.Content {
	return store.Content{
		Size: int64(len(prefix)) + out.size,
		Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(prefix), out.reader())), nil
		},
	}
}

// messageIDOf is a Message-ID of ours; it carries the id by which we know the message.
func messageIDOf(id mail.ID, now time.Time, domain string) string {
	return now.Format("20060102150405") + "." + id.String() + "@" + domain
}
