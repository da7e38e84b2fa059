package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/merge"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/strictjson"
)

// Lists finds mailing lists and who is on them, as store.MailingLists does.
type Lists interface {
	// MailingList returns a list of the account by its address in lower case; store.ErrNotFound if
	// there is none.
	MailingList(ctx context.Context, accountID int64, address string) (store.MailingList, error)
	ListMember(ctx context.Context, list int64, address string) (store.ListMember, error)
	ListMembers(ctx context.Context, list int64, q store.MemberQuery) (members []store.ListMember, total int, err error)
}

// A distribution is a mailing list that a submission is sent to.
type distribution struct {
	list   store.MailingList
	people []merge.Person // those who are subscribed
}

// findList looks whether the submission is for a mailing list of its sender's account, and if so
// for whom that is. A list stands alone: who else is named beside it would get a copy by two ways, or
// values of nobody.
// Reports and notices of ours are for the address itself, whoever is subscribed: a bounce is no
// business of a list's members, whose list was only named as a sender.
func (j *job) findList(ctx context.Context, from mail.Address) error {
	if j.room.cfg.Lists == nil || j.s.Report || j.s.Notice {
		return nil
	}
	for _, a := range j.recipients {
		l, err := j.listAt(ctx, a)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up mailing list: %w", err)
		}
		switch {
		case len(j.recipients) > 1:
			return invalid("mailing list %s must be the only recipient of a message", l.Address)
		case j.opts.RecipientVariables != "":
			return invalid("'recipient-variables' parameter cannot be combined with mailing list %s: its members have variables of their own", l.Address)
		}
		if err := j.maySendTo(ctx, l, from); err != nil {
			return err
		}
		return j.distribute(ctx, l)
	}
	return nil
}

// listAt returns the list of that address; store.ErrNotFound if it is none. Only addresses at a domain of
// the sender's account can be.
func (j *job) listAt(ctx context.Context, a mail.Address) (store.MailingList, error) {
	d, err := j.room.domains.Domain(ctx, strings.ToLower(a.Domain))
	if err != nil {
		return store.MailingList{}, err
	}
	if d.AccountID != j.domain.AccountID {
		return store.MailingList{}, store.ErrNotFound
	}
	return j.room.cfg.Lists.MailingList(ctx, j.domain.AccountID, strings.ToLower(a.String()))
}

// maySendTo checks the list's access level. Who has a key or login of the account owns its lists.
func (j *job) maySendTo(ctx context.Context, l store.MailingList, from mail.Address) error {
	if j.s.Sender.Authenticated || l.Access == store.AccessEveryone {
		return nil
	}
	if l.Access == store.AccessMembers {
		switch _, err := j.room.cfg.Lists.ListMember(ctx, l.ID, strings.ToLower(from.String())); {
		case err == nil:
			return nil
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("look up member of mailing list: %w", err)
		}
	}
	return &Error{Status: 403, Code: 550, Enhanced: "5.7.1", reject: "not allowed",
		Message: fmt.Sprintf("Mailing list %s does not accept messages from %s", l.Address, from)}
}

// distribute reads who gets the message, and gives it the header fields of a list.
func (j *job) distribute(ctx context.Context, l store.MailingList) error {
	yes := true
	q := store.MemberQuery{NamePage: store.NamePage{Limit: 1000}, Subscribed: &yes}
	dist := &distribution{list: l}
	for {
		members, total, err := j.room.cfg.Lists.ListMembers(ctx, l.ID, q)
		if err != nil {
			return fmt.Errorf("read members of mailing list: %w", err)
		}
		if total > MaxCopies {
			return invalid("mailing list %s has %d subscribed members, a message can be sent to %d at most", l.Address, total, MaxCopies)
		}
		for _, m := range members {
			p, err := personOf(m)
			if err != nil {
				return fmt.Errorf("member %s of mailing list: %w", m.Address, err)
			}
			dist.people = append(dist.people, p)
		}
		if len(members) < q.Limit {
			break
		}
		q.After = members[len(members)-1].Address
	}
	if len(dist.people) == 0 {
		return invalid("mailing list %s has no subscribed members", l.Address)
	}
	j.list = dist
	j.opts.Headers = dist.fields(j.opts.Headers)
	if j.stencil != nil && l.ReplyPreference == "list" {
		j.stencil.WithoutHeader("Reply-To")
	}
	return nil
}

// personOf returns a member with its variables.
func personOf(m store.ListMember) (merge.Person, error) {
	a, err := mail.ParseAddress(m.Address)
	if err != nil {
		return merge.Person{}, err
	}
	object, err := strictjson.Object(m.Vars)
	if err != nil {
		return merge.Person{}, err
	}
	values := make(map[string]string, len(object))
	for name, value := range object {
		if values[name] = strictjson.Text(value); string(value) == "null" {
			values[name] = ""
		}
	}
	return merge.Person{Mailbox: mail.Mailbox{Name: m.Name, Address: a}, Values: values}, nil
}

var errListExpanded = invalid("the message is too large for this mailing list: its copies would have more than %d MiB", MaxExpanded>>20)

// listFields are the fields that a list sets itself.
var listFields = []string{"List-Id", "Precedence"}

// fields returns custom fields with those of the list: its name (RFC 2919), what keeps programs from
// answering (RFC 3834 section 5), and where answers of people go.
func (d *distribution) fields(custom []compose.Field) []compose.Field {
	own := []compose.Field{
		{Name: "List-Id", Value: "<" + d.id() + ">"},
		{Name: "Precedence", Value: "list"},
	}
	if d.list.ReplyPreference == "list" {
		own = append(own, compose.Field{Name: "Reply-To", Value: d.list.Address})
	}
	kept := slices.DeleteFunc(slices.Clone(custom), func(f compose.Field) bool { return hasField(own, f.Name) })
	return append(kept, own...)
}

// id is the list's identifier.
func (d *distribution) id() string { return strings.Replace(d.list.Address, "@", ".", 1) }

// letters returns a letter for each subscribed member.
func (d *distribution) letters() []letter {
	list := make([]letter, len(d.people))
	for i := range d.people {
		list[i] = letter{recipients: []mail.Address{d.people[i].Mailbox.Address}, person: &d.people[i]}
	}
	return list
}

// persons are those who get a letter of their own with their values in; none if all get the same.
func (j *job) persons() ([]merge.Person, error) {
	if j.list != nil {
		return j.list.people, nil
	}
	if j.opts.RecipientVariables == "" {
		return nil, nil
	}
	variables, err := recipientVariables(j.opts.RecipientVariables)
	if err != nil {
		return nil, err
	}
	people := make([]merge.Person, len(j.people))
	for i, m := range j.people {
		people[i] = variables.Of(m)
	}
	return people, nil
}

// toPerson returns whom the To field of a person's letter names: the person, or the list.
func (j *job) toPerson(l *letter) []mail.Mailbox {
	if j.list != nil {
		a, _ := mail.ParseAddress(j.list.list.Address) // it was one when the list was made
		return []mail.Mailbox{{Name: j.list.list.Name, Address: a}}
	}
	return []mail.Mailbox{l.person.Mailbox}
}

// mailingList is what events tell of the list; nil if there is none.
func (j *job) mailingList() *event.MailingList {
	if j.list == nil {
		return nil
	}
	return &event.MailingList{Address: j.list.list.Address, ListID: j.list.id()}
}
