package dsn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	defaultEvery = 2 * time.Second
	// keepEvery is how often the place in the log is kept when there was nothing to do.
	// What was passed over since is passed over again after a crash, and that is all.
	keepEvery = 10 * time.Minute
	pageSize  = 500
	// maxTries is how often a message that cannot be read, or a notice that the room cannot
	// take, is tried before its sender is left without, so that the log goes on.
	maxTries = 6
	maxWait  = time.Minute
)

// Names of the cursors. All failures up to doneCursor have been dealt with; those behind
// it, up to planCursor, were perhaps.
const (
	doneCursor = "dsn"
	planCursor = "dsn-plan"
)

// types are the events that a notice may be owed for.
var types = []event.Type{event.FailedPermanent, event.FailedTemporary, event.Delivered}

// An Acceptor takes messages, as accept.Room does.
type Acceptor interface {
	Accept(ctx context.Context, s accept.Submission) (accept.Receipt, error)
}

// A Journal is the event log of all domains, as store.Journal is.
type Journal interface {
	Journal(ctx context.Context, q store.JournalQuery) (store.JournalPage, error)
}

// Messages finds messages and what is left of their contents, as store.Messages does.
type Messages interface {
	Message(ctx context.Context, domainID int64, id mail.ID) (store.Message, error)
	Content(ctx context.Context, domainID int64, id mail.ID) (store.Content, error)
}

// Roles are what a follower reads from and writes to.
type Roles struct {
	Journal  Journal
	Events   store.Events // to find the notices that were accepted already
	Messages Messages
	Cursors  store.Cursors
	Door     Acceptor
}

// Config is what a follower is told. Hostname is required.
type Config struct {
	Hostname string        // reporting MTA
	Every    time.Duration // between looks into the log; 0: 2 s
}

// A Follower sends a notice for each message that failed for good and whose sender is
// owed one. Fates of one message that it sees together make one notice; no failure is
// in two.
//
// It does so through crashes. What it reads at a time is a batch: before the first notice
// of a batch is handed over, the batch's end is on disk, and after the last one its
// beginning moves there. A batch that was begun is therefore read again to the same
// end, makes the same notices under the same Message-IDs, and those that the log
// knows as accepted are not sent again. (It may be read again from an earlier beginning,
// if batches with nothing to do came before: that adds nothing.) A follower that starts for the first time
// begins with the present: nobody wants to hear of failures from before it existed.
type Follower struct {
	roles Roles
	cfg   Config
	log   *slog.Logger

	begun bool
	at    mail.ID // everything up to here was dealt with
	kept  mail.ID // what doneCursor holds
	plan  mail.ID // what planCursor holds; above at: the end of a batch that was begun
	saved time.Time
	tries map[mail.ID]int // of the notices of a batch, by first failure; from maxTries on, the sender counts as lost

	consumed atomic.Int64 // at, once the follower has begun

	notified, unnotified atomic.Int64
}

// Stats are counts since the start.
type Stats struct {
	Notified   int64 // notices handed over
	Unnotified int64 // senders who were owed a notice and got none; the log says why
}

// Stats returns the counts. It may be called while the follower runs.
func (f *Follower) Stats() Stats {
	return Stats{Notified: f.notified.Load(), Unnotified: f.unnotified.Load()}
}

// Consumed returns a moment such that every failure before it has been dealt with. Events
// that are older may be forgotten, younger ones not. It is the zero time until the follower
// has found its place. It may be called while the follower runs.
func (f *Follower) Consumed() time.Time {
	at := mail.ID(f.consumed.Load())
	if at == 0 {
		return time.Time{}
	}
	return at.Time()
}

// New returns a follower.
func New(cfg Config, roles Roles, log *slog.Logger) *Follower {
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	return &Follower{roles: roles, cfg: cfg, log: log, tries: map[mail.ID]int{}}
}

// Run follows the log until ctx ends. What goes wrong is logged and tried again, more and
// more slowly. It must not be called twice.
func (f *Follower) Run(ctx context.Context) {
	wait := f.cfg.Every
	for {
		more, err := f.step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.log.WarnContext(ctx, "notices to senders are late", "error", err)
			wait = min(2*wait, maxWait)
		default:
			wait = f.cfg.Every
		}
		if more && err == nil {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// step deals with one batch, the one that was begun if there is one.
func (f *Follower) step(ctx context.Context) (more bool, err error) {
	if err := f.begin(ctx); err != nil {
		return false, err
	}
	if f.plan == f.at { // no batch is begun before the disk knows that the last one is done
		if err := f.keepNow(ctx, true); err != nil {
			return false, err
		}
	}
	end, owing, more, err := f.read(ctx)
	if err != nil {
		return false, err
	}
	if len(owing) == 0 {
		f.advance(end)
		return more, f.keepNow(ctx, false)
	}
	if f.plan <= f.at {
		if err := f.roles.Cursors.SetCursor(ctx, planCursor, end); err != nil {
			return false, err
		}
		f.plan = end
	}
	if err := f.notifyAll(ctx, byNotice(owing)); err != nil {
		return false, err
	}
	f.advance(end)
	return more, f.keepNow(ctx, true)
}

// begin finds the place where the last follower stopped.
func (f *Follower) begin(ctx context.Context) (err error) {
	if f.begun {
		return nil
	}
	if f.at, err = f.roles.Cursors.Cursor(ctx, doneCursor); err != nil {
		return err
	}
	if f.plan, err = f.roles.Cursors.Cursor(ctx, planCursor); err != nil {
		return err
	}
	f.kept = f.at
	if f.at == 0 {
		f.at = mail.FirstID(time.Now())
		if err := f.keepNow(ctx, true); err != nil {
			return err
		}
	}
	f.begun = true
	f.advance(f.at)
	return nil
}

// advance says that everything up to an event was dealt with.
func (f *Follower) advance(to mail.ID) {
	f.at = to
	f.consumed.Store(int64(to))
	clear(f.tries)
}

// read returns the end of the next batch, and the failures in it that a notice may be
// owed for. The end of a batch that was begun stays where it was.
func (f *Follower) read(ctx context.Context) (end mail.ID, owing []store.EventItem, more bool, err error) {
	end = f.at
	for {
		page, err := f.roles.Journal.Journal(ctx, store.JournalQuery{After: end, Limit: pageSize, Types: types})
		if err != nil {
			return 0, nil, false, err
		}
		for i := range page.Items {
			item := &page.Items[i]
			if f.plan > f.at && item.ID > f.plan {
				break
			}
			if candidate(item) {
				owing = append(owing, *item)
			}
		}
		switch end = page.Cursor; {
		case f.plan <= f.at:
			return end, owing, page.More, nil
		case end >= f.plan:
			return f.plan, owing, true, nil
		case !page.More: // the log lost its end: that day's file was damaged or taken away
			return f.plan, owing, true, nil
		}
	}
}

// keepNow keeps the place in the log; when it does not matter, only now and then.
func (f *Follower) keepNow(ctx context.Context, matters bool) error {
	if f.kept == f.at || !matters && time.Since(f.saved) < keepEvery {
		return nil
	}
	if err := f.roles.Cursors.SetCursor(ctx, doneCursor, f.at); err != nil {
		return err
	}
	f.kept, f.saved = f.at, time.Now()
	return nil
}

// A stuckError is trouble with one notice, or with its message. The others may go on.
type stuckError struct{ error }

// notifyAll sends the notices of a batch. What is stuck is tried again with the batch, and
// the others do not wait for it: however many are stuck, maxTries rounds are enough.
func (f *Follower) notifyAll(ctx context.Context, messages [][]store.EventItem) error {
	var again error
	for _, failures := range messages {
		var stuck stuckError
		switch err := f.notify(ctx, failures); {
		case errors.As(err, &stuck):
			again = stuck.error
		case err != nil:
			return err
		}
	}
	return again
}

// notify sends the notice about one message, if one is owed and was not sent.
func (f *Follower) notify(ctx context.Context, failures []store.EventItem) error {
	first := &failures[0]
	if f.tries[first.ID] >= maxTries { // lost in an earlier round
		return nil
	}
	log := f.log.With("message", first.Message.String(), "domain", first.Meta.Domain)
	m, err := f.roles.Messages.Message(ctx, first.DomainID, first.Message)
	switch {
	case errors.Is(err, store.ErrNotFound): // past its retention, or its day is damaged; whether one was owed nobody knows
		log.WarnContext(ctx, "a message that failed is not there any more: if its sender was owed a notice, there is none")
		f.tries[first.ID] = maxTries
		return nil
	case err != nil:
		return f.stuck(ctx, log, first.ID, fmt.Errorf("read message %v: %w", first.Message, err))
	}
	action, _ := actionOf(first)
	failures = owed(&m, action, failures)
	if action == Delayed {
		if failures, err = f.untold(ctx, failures); err != nil {
			return err
		}
	}
	if len(failures) == 0 {
		return nil
	}
	n, err := noticeOf(&m, action, failures, f.cfg.Hostname)
	if err != nil {
		f.lost(ctx, log, slog.LevelError, first.ID, err)
		return nil
	}
	if known, err := f.sent(ctx, &n, m.DomainID); err != nil || known {
		return err
	}
	n.Date = time.Now().UTC()
	if err := f.original(ctx, &m, &n); err != nil {
		if ctx.Err() != nil {
			return err
		}
		log.WarnContext(ctx, "notice is sent without the message's header", "error", err)
	}
	return f.handOver(ctx, log, &n, &m, first.ID)
}

// stuck counts a failed try of the notice with the given first failure. After the last one
// it is lost; before, the trouble comes back as a stuckError.
func (f *Follower) stuck(ctx context.Context, log *slog.Logger, first mail.ID, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if f.tries[first]++; f.tries[first] < maxTries {
		return stuckError{err}
	}
	f.lost(ctx, log, slog.LevelError, first, err)
	return nil
}

// lost says that a sender who is owed a notice gets none, and remembers it, so that one
// sender counts once when the batch is read again.
func (f *Follower) lost(ctx context.Context, log *slog.Logger, level slog.Level, first mail.ID, err error) {
	f.tries[first] = maxTries
	f.unnotified.Add(1)
	log.Log(ctx, level, "sender left without notice", "error", err)
}

// untold returns the delays that are the first of their recipient: if somebody has a message tried
// sooner than planned, more than one failure may say for certain that it will be late.
func (f *Follower) untold(ctx context.Context, delays []store.EventItem) ([]store.EventItem, error) {
	var first []store.EventItem
	for _, item := range delays {
		page, err := f.roles.Events.Events(ctx, store.EventQuery{
			DomainID: item.DomainID, Message: item.Message, Recipient: item.Recipient, Types: []event.Type{event.FailedTemporary},
			Before: item.ID, Limit: 1,
			Match: func(r *event.Record, m *event.Meta) bool { return turnsLate(&store.EventItem{Record: *r, Meta: *m}) },
		})
		if err != nil {
			return nil, fmt.Errorf("look for earlier delays of message %v: %w", item.Message, err)
		}
		if len(page.Items) == 0 {
			first = append(first, item)
		}
	}
	return first, nil
}

// sent reports whether the notice was accepted before.
func (f *Follower) sent(ctx context.Context, n *Notice, domainID int64) (bool, error) {
	page, err := f.roles.Events.Events(ctx, store.EventQuery{
		DomainID: domainID, MessageID: MessageIDOf(n.ID, n.From.Domain), After: n.ID, Ascending: true, Limit: 1,
	})
	if err != nil {
		return false, fmt.Errorf("look for notice %v: %w", n.ID, err)
	}
	return len(page.Items) > 0, nil
}

// original puts into the notice what comes back of the message: its header section, or all
// of it where that was asked for and it is not too large; nothing if its content is not kept any more.
func (f *Follower) original(ctx context.Context, m *store.Message, n *Notice) error {
	c, err := f.roles.Messages.Content(ctx, m.DomainID, m.ID)
	if err == nil {
		n.Whole = n.Whole && c.Size <= maxReturned
		err = read(c, n)
	}
	if n.Whole = n.Whole && len(n.Header) > 0; errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func read(c store.Content, n *Notice) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if n.Whole {
		n.Header, err = io.ReadAll(io.LimitReader(r, maxReturned))
	} else {
		n.Header, err = readHeader(r)
	}
	return err
}

// handOver gives the notice to the room behind the doors. It is protected in the same
// manner as the message that it is about (RFC 8689 section 5, SEC-56). first is its first
// failure as the batch has it.
func (f *Follower) handOver(ctx context.Context, log *slog.Logger, n *Notice, m *store.Message, first mail.ID) error {
	var content bytes.Buffer
	if _, err := n.WriteTo(&content); err != nil {
		f.lost(ctx, log, slog.LevelError, first, err)
		return nil
	}
	receipt, err := f.roles.Door.Accept(ctx, accept.Submission{
		Sender: accept.Sender{Door: accept.SMTP, Domain: m.Meta.Domain, DomainID: m.DomainID}, Recipients: []mail.Address{n.To},
		Raw: &content, RequireTLS: n.RequireTLS, Notice: true,
	})
	var refusal *accept.Error
	switch {
	case errors.As(err, &refusal) && refusal.Status < 500 && n.Whole: // within the notice the message is nested too deep, say
		header, err := readHeader(bytes.NewReader(n.Header))
		if err != nil {
			return err
		}
		n.Header, n.Whole = header, false
		return f.handOver(ctx, log, n, m, first)
	case errors.As(err, &refusal) && refusal.Status < 500: // the domain is gone or another's, or may not send now
		f.lost(ctx, log, slog.LevelWarn, first, err)
	case errors.As(err, &refusal) && refusal.Status == http.StatusInternalServerError: // a key that does not sign, say: it may be this notice's alone
		return f.stuck(ctx, log, first, fmt.Errorf("accept notice %v: %w", n.ID, err))
	case err != nil: // the room takes nothing now
		return fmt.Errorf("accept notice %v: %w", n.ID, err)
	default:
		f.notified.Add(1)
		log.InfoContext(ctx, "sender notified", "notice", receipt.ID.String(), "recipient", n.To.String(), "action", n.Action.String(), "recipients", len(n.Fates))
	}
	return nil
}
