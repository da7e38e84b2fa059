package accept

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/spool"
)

// maxParsed bounds how many mailboxes one parameter may hold before duplicates
// are dropped.
const maxParsed = 20 * MaxRecipients

// mailboxes reads the values of a parameter. Duplicates, compared without letter
// case, are dropped.
func mailboxes(param string, values []string) ([]mail.Mailbox, error) {
	var list []mail.Mailbox
	seen := map[string]bool{}
	for _, value := range values {
		if strings.TrimSpace(value) == "" {
			continue
		}
		parsed, err := mail.ParseMailboxList(value, maxParsed)
		if err != nil {
			return nil, invalid("%s parameter is not a valid address. please check documentation", param)
		}
		for _, m := range parsed {
			if key := m.Address.Key(); !seen[key] {
				seen[key] = true
				list = append(list, m)
			}
		}
		if len(list) > maxParsed {
			return nil, errTooManyRecipients
		}
	}
	return list, nil
}

var errTooManyRecipients = &Error{Status: 400, Code: 452, Enhanced: "4.5.3", Message: "Too many recipients, max is 1000"}

// distinct joins lists of mailboxes to the envelope's recipients.
func distinct(lists ...[]mail.Mailbox) ([]mail.Address, error) {
	var all []mail.Address
	for _, list := range lists {
		for _, m := range list {
			all = append(all, m.Address)
		}
	}
	return distinctAddresses(all)
}

func distinctAddresses(all []mail.Address) ([]mail.Address, error) {
	seen := make(map[string]bool, len(all))
	list := make([]mail.Address, 0, len(all))
	for _, a := range all {
		if key := a.Key(); !seen[key] {
			seen[key] = true
			list = append(list, a)
		}
	}
	if len(list) > MaxRecipients {
		return nil, errTooManyRecipients
	}
	return list, nil
}

// envelope works out reverse-path and recipients of a message that came as a whole and is held by in.
func (j *job) envelope(ctx context.Context, from mail.Address, in *spool.Spool) (err error) {
	if j.s.Sender.Door == SMTP {
		if len(j.s.Recipients) == 0 {
			return &Error{Status: 400, Code: 554, Enhanced: "5.5.1", Message: "No recipients"}
		}
		j.reversePath = j.s.ReversePath
		if err := j.room.CheckReversePath(ctx, j.s.Sender, j.reversePath); err != nil {
			return err
		}
		if j.recipients, err = distinctAddresses(j.s.Recipients); err != nil {
			return err
		}
		j.people, err = namesOf(j.recipients, in)
		return err
	}
	list, err := mailboxes("to", j.s.To)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return invalid("to parameter is missing")
	}
	j.people = list
	if j.recipients, err = distinct(list); err != nil {
		return err
	}
	return j.returnTo(ctx, from)
}

// addressedFields are the header fields that say whom a message is for.
var addressedFields = map[string]bool{"to": true, "cc": true}

// namesOf returns the recipients of an envelope with the names that the message's header has for
// them. What cannot be read there gives no names; the envelope decides who gets the message.
func namesOf(recipients []mail.Address, in *spool.Spool) ([]mail.Mailbox, error) {
	fields, err := headerFields(in.Reader(), addressedFields)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, f := range fields {
		list, _ := mail.ParseMailboxList(f.Value, maxParsed)
		for _, m := range list {
			names[m.Address.Key()] = m.Name
		}
	}
	people := make([]mail.Mailbox, len(recipients))
	for i, a := range recipients {
		people[i] = mail.Mailbox{Name: names[a.Key()], Address: a}
	}
	return people, nil
}

// returnTo chooses the reverse-path of a message from the API: the address it is
// from, if the sending domain may use that in an envelope, else the postmaster of the
// sending domain, who exists wherever mail does (RFC 5321 section 4.5.1).
func (j *job) returnTo(ctx context.Context, from mail.Address) error {
	j.reversePath = from
	err := j.room.mayAppear(ctx, j.s.Sender, from.Domain, true)
	if e, ok := asError(err); ok && e.reject != "" {
		j.reversePath, err = mail.Address{Local: "postmaster", Domain: j.domain.Name}, nil
	}
	return err
}

// mayAppearAs checks the From address.
func (j *job) mayAppearAs(ctx context.Context, from mail.Address) error {
	return j.room.mayAppear(ctx, j.s.Sender, from.Domain, false)
}

// identityFields are the header fields besides From that name who sent a message
// (RFC 5322 sections 3.6.2 and 3.6.6), in lower case.
var identityFields = map[string]bool{"from": true, "sender": true, "resent-from": true, "resent-sender": true}

// mayClaim checks the addresses of those fields that name a sender (SEC-57).
func (j *job) mayClaim(ctx context.Context, fields []compose.Field) error {
	for _, f := range fields {
		if !identityFields[strings.ToLower(f.Name)] || strings.TrimSpace(f.Value) == "" {
			continue
		}
		list, err := mail.ParseMailboxList(f.Value, MaxRecipients)
		if err != nil {
			return invalid("%s is not a valid address", sendopt.Printable(f.Name))
		}
		for _, m := range list {
			if err := j.mayAppearAs(ctx, m.Address); err != nil {
				return err
			}
		}
	}
	return nil
}

// headerFields returns those fields of a message that are wanted, by their names in lower case. The
// message's form was checked already. It reads the header section only, in one pass, however its
// fields are folded.
func headerFields(r io.Reader, wanted map[string]bool) ([]compose.Field, error) {
	lines := bufio.NewReaderSize(io.LimitReader(r, compose.MaxHeader+4), 4<<10)
	var kept []compose.Field
	var name string // of the field being read, if it is one to keep
	var value strings.Builder
	end := func() {
		if name != "" {
			kept = append(kept, compose.Field{Name: name, Value: value.String()})
		}
		name = ""
		value.Reset()
	}
	for inLine := false; ; {
		part, more, err := lines.ReadLine()
		if err == io.EOF || err == nil && !inLine && len(part) == 0 {
			end()
			return kept, nil
		}
		if err != nil {
			return nil, err
		}
		folded := len(part) > 0 && (part[0] == ' ' || part[0] == '\t') // RFC 5322 section 2.2.3
		if !inLine && !folded {
			end()
			before, after, _ := bytes.Cut(part, []byte(":"))
			if field := strings.TrimRight(string(before), " \t"); wanted[strings.ToLower(field)] {
				name, part = field, after
			}
		}
		if name != "" {
			value.Write(part)
		}
		inLine = more
	}
}
