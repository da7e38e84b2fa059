package evidence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// ErrContradiction means that what is on disk is not what was signed. Nothing is
// signed any more until a person has looked.
var ErrContradiction = errors.New("the evidence on disk is not what was signed")

const (
	pageSize = 1000
	// pollEvery is the time between looks at an event log in which nothing was found.
	pollEvery = time.Second
	// signEvery is the time for which a record waits to be signed at most.
	signEvery = time.Minute
	// signAfter is how many records are signed without waiting, so that a crash never
	// means to derive more than that once more.
	signAfter = 1 << 16
	// retryMost is the longest wait after an error.
	retryMost = time.Minute
)

// A Journal is where events come from. The store satisfies it.
type Journal interface {
	// Journal returns what happened after a cursor; see [store.Journal].
	Journal(ctx context.Context, q store.JournalQuery) (store.JournalPage, error)
	// SetCursor keeps a position that no later event comes before, not even when the
	// clock is behind after a restart; see [store.Cursors].
	SetCursor(ctx context.Context, name string, position mail.ID) error
}

// cursorName is under which the end of the last day that was sealed is kept.
const cursorName = "evidence"

// Options say where the log is.
type Options struct {
	// Dir is the folder, inside the data folder, whose lock the caller holds. It is
	// created with mode 0700.
	Dir string
	// Hostname is the name of this server. The key that is made at the first start is
	// named after it, and keeps its name.
	Hostname string
	// Log is told what nobody asked for. Nil discards it.
	Log *slog.Logger
}

// A Log is the evidence log and its follower. Its methods are safe for concurrent use.
type Log struct {
	dir     string
	journal Journal
	log     *slog.Logger

	mu     sync.Mutex // held while the log grows; readers of what is signed need it not
	opened bool       // the folder was read, and day and sealed are what it says
	day    *dayLog    // nil while no day is open
	sealed *proof.Checkpoint
	cursor mail.ID   // every event up to it is in the log
	signed mail.ID   // and up to this one signed
	waits  time.Time // since when a record waits to be signed; zero: none does

	state struct { // of Stats, so that asking never waits
		sync.Mutex
		Stats
		cursor, signed mail.ID
	}
	keys struct {
		sync.Mutex
		ring *keyring
	}
}

// Open makes sure of the folder and of the key. The log itself is read when it is first
// needed, so that a long day delays no start.
func Open(j Journal, o Options) (*Log, error) {
	l := &Log{dir: o.Dir, journal: j, log: o.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of evidence: %w", err)
	}
	if err := syncDir(filepath.Dir(l.dir)); err != nil {
		return nil, fmt.Errorf("create the folder of evidence: %w", err)
	}
	ring, created, err := openKeys(l.dir, keyName(o.Hostname))
	if err != nil {
		return nil, fmt.Errorf("open the key of the evidence: %w", err)
	}
	l.keys.ring = ring
	if created && len(ring.public) > 1 {
		l.log.Warn("the evidence is signed with a new key, and the old one is gone", "key", ring.public[0])
	}
	return l, nil
}

func (l *Log) keyring() *keyring {
	l.keys.Lock()
	defer l.keys.Unlock()
	return l.keys.ring
}

// Keys returns the verifier keys of every key that ever signed, the current one first.
func (l *Log) Keys() []string { return l.keyring().public }

// Rotate makes a new key. Its predecessor goes on signing beside it, so that
// whoever knows only the old one can follow, and sees the new one endorsed by it; a key before that is
// forgotten, but for its public half.
func (l *Log) Rotate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.keyring()
	ring, err := newKeys(l.dir, old.name(), old)
	if err != nil {
		return fmt.Errorf("change the key of the evidence: %w", err)
	}
	l.keys.Lock()
	l.keys.ring = ring
	l.keys.Unlock()
	l.log.Info("the evidence is signed with a new key", "key", ring.public[0])
	return nil
}

// reopen finds out from the folder where the log stands. mu is held.
func (l *Log) reopen() error {
	days, err := l.checkpointDays()
	if err != nil {
		return err
	}
	if len(days) == 0 {
		l.opened = true
		return nil
	}
	_, c, err := l.readCheckpoint(days[len(days)-1])
	if err != nil {
		return err
	}
	at := mail.FirstID(endOf(c.Day)) - 1
	if c.Sealed {
		l.sealed = &c
	} else {
		if c.Previous != "" {
			_, before, err := l.readCheckpoint(c.Previous)
			if errors.Is(err, os.ErrNotExist) || err == nil && before.Hash() != c.PreviousHash {
				err = fmt.Errorf("%w: %s does not follow %s", ErrContradiction, c.Day, c.Previous)
			}
			if err != nil {
				return err
			}
			l.sealed = &before
		}
		if l.day, err = l.resumeDay(c); err != nil {
			return err
		}
		at = l.day.last
	}
	l.signed = max(l.signed, at)
	l.cursor, l.opened = l.signed, true
	return nil
}

// endOf returns the first moment after a day.
func endOf(day string) time.Time {
	t, _ := time.Parse(time.DateOnly, day) // callers have checked it
	return t.AddDate(0, 0, 1)
}

// outcomes are the types of events that become records.
func outcomes() []event.Type {
	return []event.Type{event.Delivered, event.FailedTemporary, event.FailedPermanent}
}

// step reads one page of events and writes their records. more says that there is
// another page. mu is held.
func (l *Log) step(ctx context.Context) (more bool, err error) {
	defer func() { l.publish(err) }()
	if !l.opened {
		if err := l.reopen(); err != nil {
			l.drop()
			return false, err
		}
	}
	page, err := l.journal.Journal(ctx, store.JournalQuery{After: l.cursor, Limit: pageSize, Types: outcomes()})
	if err != nil {
		return false, err
	}
	if err := l.write(ctx, page); err != nil {
		l.drop()
		return false, err
	}
	return page.More, nil
}

// write writes the records of a page, seals the day that is over, and signs when much
// has come together.
func (l *Log) write(ctx context.Context, page store.JournalPage) error {
	for i := range page.Items {
		if err := l.add(&page.Items[i]); err != nil {
			return err
		}
	}
	l.cursor = page.Cursor
	if l.day != nil && l.cursor >= mail.FirstID(endOf(l.day.day))-1 {
		// No event says that the day is over, only the clock does, which can be set back.
		if err := l.journal.SetCursor(ctx, cursorName, l.cursor); err != nil {
			return err
		}
		if err := l.seal(); err != nil {
			return err
		}
	}
	if l.day != nil && l.day.unsigned() >= signAfter {
		if err := l.sign(false); err != nil {
			return err
		}
	}
	if l.day == nil || l.day.unsigned() == 0 {
		l.signed = l.cursor // nothing between the last record and the cursor is evidence
	}
	return nil
}

// add writes the record of an event.
func (l *Log) add(item *store.EventItem) error {
	day := item.ID.Day()
	if l.day != nil && l.day.day != day {
		if err := l.seal(); err != nil {
			return err
		}
	}
	if l.day == nil {
		if l.sealed != nil && day <= l.sealed.Day {
			return fmt.Errorf("%w: event %v came after its day was sealed", ErrContradiction, item.ID)
		}
		var err error
		if l.day, err = l.createDay(day); err != nil {
			return err
		}
	}
	if l.waits.IsZero() {
		l.waits = time.Now()
	}
	r := recordOf(item)
	r.Salt = l.keyring().saltOf(r.Event)
	return l.day.add(&r)
}

// recordOf returns what an event proves, without the index and salt.
func recordOf(item *store.EventItem) proof.Record {
	r := proof.Record{
		Event: item.ID, Time: item.Time, DomainID: item.DomainID, Domain: item.Meta.Domain,
		Message: item.Message, MessageID: item.Meta.MessageID, Recipient: item.Recipient,
		Reason: item.Data.Reason, SendingIP: item.Data.SendingIP, Status: item.Data.Status,
	}
	switch {
	case item.Type == event.Delivered:
		r.Outcome = proof.Delivered
	case item.Type == event.FailedTemporary:
		r.Outcome = proof.Deferred
	case item.Data.Reason == "old":
		r.Outcome = proof.Expired
	default:
		r.Outcome = proof.Bounced
	}
	return r
}

// seal signs the open day for good.
func (l *Log) seal() error {
	if err := l.sign(true); err != nil {
		return err
	}
	l.day.close()
	l.day = nil
	return nil
}

// sign brings the open day to disk and signs it. There is a day, and something in it.
func (l *Log) sign(sealed bool) error {
	d, ring := l.day, l.keyring()
	if err := d.sync(); err != nil {
		return fmt.Errorf("write the evidence of %s: %w", d.day, err)
	}
	c := proof.Checkpoint{
		Origin: ring.name(), Day: d.day, Size: d.edge.Size(), Root: d.edge.Root(), Octets: d.octets,
		Time: time.Now().UTC().Truncate(time.Second), Previous: d.previous, PreviousHash: d.previousHash, Sealed: sealed,
	}
	signed, err := ring.sign(c.Text())
	if err != nil {
		return fmt.Errorf("sign the evidence of %s: %w", d.day, err)
	}
	if err := replaceFile(l.path(d.day, checkpointSuffix), signed); err != nil {
		return fmt.Errorf("write the checkpoint of %s: %w", d.day, err)
	}
	d.signed, l.signed, l.waits = c.Size, max(l.signed, d.last), time.Time{}
	if sealed {
		l.sealed = &c
	}
	return nil
}

// signWaiting signs what waits, if something does. mu is held.
func (l *Log) signWaiting() (err error) {
	if l.day == nil || l.day.unsigned() == 0 {
		return nil
	}
	defer func() {
		if err != nil {
			l.drop()
		}
		l.publish(err)
	}()
	if err := l.sign(false); err != nil {
		return err
	}
	l.signed = l.cursor
	return nil
}

// drop forgets what is in memory after an error: the next step reads the folder, and
// begins again behind what is signed.
func (l *Log) drop() {
	if l.day != nil {
		l.day.close()
	}
	l.day, l.sealed, l.opened, l.waits = nil, nil, false, time.Time{}
	l.cursor = l.signed
}

// Prune forgets the records of days that ended before t. Their checkpoints are kept, so
// that the chain of days can be followed for good.
func (l *Log) Prune(ctx context.Context, t time.Time) error {
	days, err := l.checkpointDays()
	if err != nil {
		return err
	}
	for _, day := range days {
		if endOf(day).After(t) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.pruneDay(day); err != nil {
			return fmt.Errorf("drop the evidence of %s: %w", day, err)
		}
	}
	return nil
}

func (l *Log) pruneDay(day string) error {
	for _, suffix := range []string{recordSuffix, treeSuffix} {
		if there, err := exists(l.path(day, suffix)); err != nil || !there {
			if err != nil {
				return err
			}
			continue
		}
		// Only now, so that days whose records are gone cost one look each.
		if _, c, err := l.readCheckpoint(day); err != nil || !c.Sealed {
			return err // an open day is being written
		}
		if err := os.Remove(l.path(day, suffix)); err != nil {
			return err
		}
	}
	return nil
}
