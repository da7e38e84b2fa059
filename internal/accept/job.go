package accept

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/spool"
	"github.com/sealpost/sealpost/internal/stencil"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tracking"
)

// A job is one submission on its way through the room.
type job struct {
	room   *Room
	s      Submission
	now    time.Time
	domain store.Domain

	opts        sendopt.Options
	reversePath mail.Address
	recipients  []mail.Address // everybody, in the order of to, cc, bcc
	people      []mail.Mailbox // those who get a letter of their own if there are recipient-variables
	others      []mail.Address // those who then get a copy of each
	from        string         // of the message, as far as it is known
	signers     []*signing.Signer
	sources     []netip.Addr // of ours, to leave from; none: any

	list     *distribution    // nil: no mailing list
	stencil  *stencil.Stencil // nil: no template
	plan     *tracking.Plan   // how letters are tracked; nil: not at all
	source   source
	arena    *spool.Arena
	several  bool         // there are many letters, each with differences of its own
	sharedID string       // Message-ID of letters for which none was asked
	written  atomic.Int64 // octets of all letters
}

// run is the way of every submission: know the sender, read what is asked, write the
// letters and sign them, commit them together, hand over.
func (j *job) run(ctx context.Context) (Receipt, error) {
	if err := j.knowSender(ctx); err != nil {
		return Receipt{}, err
	}
	read := j.readRaw
	if j.s.Draft != nil {
		read = j.readDraft
	}
	done, err := read(ctx)
	if done != nil {
		defer done()
	}
	if err != nil {
		return Receipt{}, err
	}
	letters, err := j.letters()
	if err != nil {
		return Receipt{}, err
	}
	j.several = len(letters) > 1
	j.sharedID = messageIDOf(letters[0].id, j.now, j.domain.Name)
	j.arena = spool.NewArena(j.room.cfg.SpoolDir, MaxExpanded)
	if err := j.writeAll(ctx, letters); err != nil {
		return Receipt{}, err
	}
	messages := make([]*store.NewMessage, len(letters))
	for i := range letters {
		messages[i] = j.message(&letters[i])
	}
	if err := j.withhold(ctx, messages); err != nil {
		return Receipt{}, err
	}
	if err := j.commit(ctx, messages); err != nil {
		return Receipt{}, err
	}
	return Receipt{ID: letters[0].id, MessageID: letters[0].result.MessageID}, nil
}

// knowSender finds the sending domain of a sender who has one.
func (j *job) knowSender(ctx context.Context) error {
	if j.s.Sender.Domain == "" {
		return nil
	}
	d, err := j.room.sendingDomain(ctx, j.s.Sender.Domain)
	if err != nil {
		return err
	}
	if id := j.s.Sender.DomainID; id != 0 && id != d.ID {
		return domainNotFound(d.Name)
	}
	j.domain = d
	return nil
}

// readOptions reads what the sender asks for, and what the domain does not let it ask.
// fields are the control fields of a submitted message.
func (j *job) readOptions(ctx context.Context, fields []compose.Field) (err error) {
	if j.opts, err = sendopt.Parse(j.s.Options, fields, j.now, j.room.cfg.Horizon); err != nil {
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
	return checkFloor(j.domain, j.opts.TLS)
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
