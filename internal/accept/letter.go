package accept

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/spool"
	"github.com/sealpost/sealpost/internal/store"
)

// A letter is one copy of a submission: the octets that one recipient gets, or several who get
// the same. It is the unit that is written, signed, stored and handed over; a submission has one
// or many.
type letter struct {
	id         mail.ID
	recipients []mail.Address
	person     *merge.Person // whose values are put in; nil: nobody's
	due        time.Time     // when it is to be sent; zero: now

	// What writing it gives.
	content   store.Content
	runs      []spool.Run
	result    compose.Result
	variables map[string]string // those of the submission with the person's values in
	templated bool              // a template took the place of the HTML of a submitted message
}

// A source is the submitted message, from which letters are written.
type source interface {
	// write writes a letter as it will travel, and notes in it what else comes of it.
	write(ctx context.Context, w io.Writer, l *letter) (compose.Result, error)
	// limit is how many octets a letter may have.
	limit() int64
	// usesLinks reports whether a placeholder in it stands for a link of ours. With certainly, a guess
	// that it may is not enough.
	usesLinks(certainly bool) (bool, error)
}

// letters decides which letters there are. With recipient-variables everybody in to gets one of
// his own, of which all in cc and bcc get a copy too, and from a mailing list every member; otherwise
// all get the same.
func (j *job) letters() ([]letter, error) {
	list := []letter{{recipients: j.recipients}}
	switch {
	case j.list != nil:
		list = j.list.letters()
	case j.opts.RecipientVariables != "":
		var err error
		if list, err = j.personal(); err != nil {
			return nil, err
		}
	}
	list, err := j.track(list)
	if err != nil {
		return nil, err
	}
	first := j.room.intake.NewIDs(len(list))
	zones := sendopt.Zones{}
	for i := range list {
		l := &list[i]
		l.id = first + mail.ID(i)
		if l.due, err = j.opts.DueFor(l.person, j.now, zones); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// personal returns a letter for each person.
func (j *job) personal() ([]letter, error) {
	variables, err := recipientVariables(j.opts.RecipientVariables)
	if err != nil {
		return nil, err
	}
	if n := len(j.people) * (1 + len(j.others)); n > MaxCopies {
		return nil, invalid("'recipient-variables' with cc or bcc would make %d copies, max is %d", n, MaxCopies)
	}
	list := make([]letter, len(j.people))
	for i, m := range j.people {
		person := variables.Of(m)
		all := append([]mail.Address{m.Address}, j.others...)
		if list[i].recipients, err = distinctAddresses(all); err != nil {
			return nil, err
		}
		list[i].person = &person
	}
	return list, nil
}

func recipientVariables(s string) (merge.Variables, error) {
	v, err := merge.ParseVariables(s)
	switch {
	case err == merge.ErrTooLarge:
		return nil, invalid("'recipient-variables' parameter is limited to %d MiB", merge.MaxVariables>>20)
	case err != nil:
		return nil, invalid("'recipient-variables' parameter is not a valid JSON")
	}
	return v, nil
}

// writeAll writes all letters into the job's arena. Many letters are written by as many workers as
// the room lends, letter by letter, so that one large batch does not keep the
// processors from everybody else.
func (j *job) writeAll(ctx context.Context, letters []letter) error {
	if err := j.write(ctx, &letters[0], len(letters) == 1); err != nil {
		return err
	}
	if len(letters) == 1 {
		return nil
	}
	if err := j.arena.Learn(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range letters[1:] {
		l := &letters[1+i]
		select {
		case j.room.workers <- struct{}{}:
		case <-ctx.Done():
			if err := group.Wait(); err != nil {
				return err
			}
			return ctx.Err()
		}
		group.Go(func() error {
			defer func() { <-j.room.workers }()
			return j.write(ctx, l, false)
		})
	}
	return group.Wait()
}

// write writes one letter, signs it and leaves it in the arena.
func (j *job) write(ctx context.Context, l *letter, only bool) error {
	out := j.arena.Writer(only)
	digest := signing.NewDigest()
	tee := &teeWriter{a: &limitedWriter{w: out, left: j.source.limit()}, b: digest}
	result, err := j.source.write(ctx, tee, l)
	if tee.err != nil {
		return tee.err
	}
	if err != nil {
		return err
	}
	prefix, err := j.prefix(l.id, digest)
	if err != nil {
		return err
	}
	if l.content, err = out.Content(prefix); err != nil {
		return err
	}
	l.runs = out.Runs()
	if j.written.Add(l.content.Size) > MaxExpanded {
		if j.list != nil {
			return errListExpanded
		}
		if j.opts.RecipientVariables == "" {
			return errTracked
		}
		return errExpanded
	}
	l.result = result
	return nil
}

var errTracked = invalid("a tracked copy for each recipient makes more than %d MiB of messages; please send to fewer at a time", MaxExpanded>>20)

var errExpanded = invalid("'recipient-variables' make more than %d MiB of messages", MaxExpanded>>20)

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
	if j.opts.DKIM != mail.Unset {
		return j.opts.DKIM.Bool()
	}
	return !j.domain.Settings.DKIMDisable
}

// messageID returns the Message-ID of a letter: the one that the sender asked for, with the person's
// values in, or ours, which is the same for all letters of a call: the sender was told one id
// and finds every copy's events by it.
func (j *job) messageID(l *letter) (string, error) {
	asked := j.opts.MessageID
	if asked == "" {
		return j.sharedID, nil
	}
	if l.person != nil {
		asked = merge.Parse(asked).Fill(l.person)
	}
	given, err := compose.ParseMessageID(asked)
	if err != nil {
		return "", invalid("h:Message-Id is not a valid message id")
	}
	return given, nil
}

// fillVariables puts the person's values into the user variables.
func (j *job) fillVariables(l *letter) map[string]string {
	if l.person == nil || len(j.opts.Variables) == 0 {
		return j.opts.Variables
	}
	filled := make(map[string]string, len(j.opts.Variables))
	for name, value := range j.opts.Variables {
		filled[name] = merge.Parse(value).Fill(l.person)
	}
	return filled
}

// fill puts the person's values into a text of the letter.
func (l *letter) fill(t merge.Text) (string, error) {
	if l.person == nil || t.Plain() {
		return t.Fill(&merge.Person{}), nil
	}
	if t.Size(l.person) > MaxSize {
		return "", spool.ErrTooLarge
	}
	return t.Fill(l.person), nil
}

// messageIDOf is a Message-ID of ours; it carries the id by which we know the message.
func messageIDOf(id mail.ID, now time.Time, domain string) string {
	return now.Format("20060102150405") + "." + id.String() + "@" + domain
}

// A limitedWriter returns spool.ErrTooLarge past its limit.
type limitedWriter struct {
	w    io.Writer
	left int64
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, spool.ErrTooLarge
	}
	return l.w.Write(p)
}
