// Package store is the contract between Sealpost and what it remembers:
// accepted messages, the queue, events and configuration. It is made of small
// roles, one for each room that keeps something; an engine implements their sum,
// [Store]. What an engine must do beyond the signatures is written here and
// checked, for every engine alike, by the suite in storetest.
//
// Laws that hold for every method:
//
//   - A method that returns nil has its effect on disk: synced, findable again.
//   - A context that ends before the effect makes the method return its error with
//     nothing done, or with everything done; never with half.
//   - Methods are safe for concurrent use.
//   - Whatever belongs to a sending domain is asked for with that domain's id. What
//     belongs to another domain does not exist: [ErrNotFound].
//   - Times are UTC. Times that a caller passes are only compared with each other;
//     only ids and event times come from the engine's own clock.
package store

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
)

// Errors that callers branch on. Engines wrap them.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
	// ErrSlow: nothing was found in the time that one look into the log may take. That does not mean
	// that there is nothing.
	ErrSlow = errors.New("the search takes too long")
	// ErrFull: the disk has no room for new messages. Outcomes are still recorded.
	ErrFull = errors.New("storage is full")
	// ErrClosed: the store was closed, or went read-only after a failed sync.
	ErrClosed = errors.New("store is closed")
	// ErrNewer: the data was written by a newer version of the program.
	ErrNewer = errors.New("data was written by a newer version")
	// ErrLocked: another process has the data folder.
	ErrLocked = errors.New("data folder is in use")
)

// A Store is everything Sealpost remembers.
type Store interface {
	Intake
	Queue
	Messages
	Events
	Journal
	Domains
	Keys
	Credentials
	Accounts
	Pools
	Peers
	STSPolicies
	Overrides
	Audit
	TLSReports
	Cursors
	Webhooks
	WebhookDeliveries
	Suppressions
	Imports
	Templates
	Routes
	MailingLists
	Numbers
	Recorder
	LinkKeys
	io.Closer
}

// Intake takes responsibility for messages.
type Intake interface {
	// NewID gives an id for a message about to be accepted.
	NewID() mail.ID

	// NewIDs gives n ids (1 to 65,536) for messages that are accepted together and returns the
	// first; the others are that id plus 1 up to n-1. All are of one day.
	NewIDs(n int) mail.ID

	// Accept stores the message with its content, rows and events in one
	// transaction. When it returns nil all of it is on disk, and the id and, if
	// m.Leased, the lease of every row are filled in. Events get their id and time. On error nothing
	// is stored and m is as before.
	Accept(ctx context.Context, m *NewMessage) error

	// AcceptAll does what Accept does for several messages, for all or for none of them: no reader, no
	// crash and no full disk ever leaves some of them stored. Their ids come from one
	// NewIDs. What their contents share, see [Content], may be stored once.
	AcceptAll(ctx context.Context, all []*NewMessage) error
}

// A NewMessage is a message at the moment we take responsibility for it.
type NewMessage struct {
	ID       mail.ID // from NewID
	DomainID int64
	Envelope mail.Envelope
	Meta     event.Meta
	// Content is what will travel. Nil for a message that was rejected: only its
	// meta and events are kept.
	Content *Content
	Rows    []Row          // one per recipient; ID and Lease are given by Accept
	Events  []event.Record // at least one; Message and DomainID must be the message's
	// Leased gives every row out at once, leased to the caller, who hands them to an
	// attempt, settles or releases them. Rows due in the future must not be leased.
	Leased bool
}

// Content is the octets of a message. Open may be called more than once and from
// several goroutines; each call starts at the first octet.
type Content struct {
	Size int64
	Open func() (io.ReadCloser, error)

	// Base is another content that this one and others passed to the same AcceptAll are made of, for
	// the most part; nil if there is none. Runs says what of it is here, in order and without overlap.
	// Both only help an engine to store little: Open gives all octets.
	Base *Content
	Runs []Run
}

// A Run says that Size octets of a content, from At on, are those of its base from From on.
type Run struct{ At, From, Size int64 }

// A Row is one recipient waiting in the queue.
type Row struct {
	ID        mail.ID
	Message   mail.ID
	DomainID  int64
	NextHop   string // recipient domain
	Recipient mail.Address
	Due       time.Time // not attempted before
	Expires   time.Time // given up by an attempt that ends after this
	Attempt   int       // attempts made and counted so far
	Held      bool      // waits for a person, whatever Due says
	Lease     int64     // fencing token while leased, else 0
	// LastReply is the last temporary failure, for "explain"; empty before one.
	LastReply string
}

// Queue hands out rows and takes back what became of them. A row is leased by at
// most one holder at a time. Leases of a process that died are void: their rows
// are due again.
type Queue interface {
	// NextHops lists every next hop that has rows which are not held, with its
	// earliest due time among rows not leased and the number of rows. Order is by name.
	NextHops(ctx context.Context) ([]NextHop, error)

	// Lease gives out up to r.Limit rows of one next hop that are due at r.Now, not held and
	// not leased, oldest due first; rows of one message stay together where the
	// limit allows. It returns the messages they belong to. An empty result is not an
	// error. NextDue is the earliest due time among rows that remain, zero if none.
	Lease(ctx context.Context, r LeaseRequest) (LeaseResult, error)

	// Renew keeps leases alive in engines where they run out. It returns the rows
	// whose lease was lost.
	Renew(ctx context.Context, leases []LeaseRef) (lost []mail.ID, err error)

	// Release gives rows back untouched: same due time, attempt not counted.
	// Leases no longer held are ignored.
	Release(ctx context.Context, leases []LeaseRef) error

	// Settle records outcomes: per row, in one transaction, it deletes or
	// reschedules the row and writes its event. Rows whose lease is no longer the
	// holder's are left alone, get no event, and are returned as lost; settling twice
	// changes nothing. When a message's last row is gone its content may be dropped
	// once the retention period ends. ctx should not be a shutdown's context: an
	// outcome that happened must be recorded (REL-07).
	Settle(ctx context.Context, o Outcome) (lost []mail.ID, err error)

	// Rows lists queue rows by id for people, with leases shown.
	Rows(ctx context.Context, q RowQuery) ([]Row, error)

	// Reschedule makes matching rows that are not leased due at the given time and
	// returns how many it changed and their next hops. The time that a row has is counted from when it
	// is due first: of one never attempted, the expiry moves as far as the due time does.
	Reschedule(ctx context.Context, q RowQuery, due time.Time) (n int, nextHops []string, err error)

	// SetHeld holds or releases matching rows that are not leased.
	SetHeld(ctx context.Context, q RowQuery, held bool) (n int, nextHops []string, err error)

	// Cancel deletes matching rows that are not leased and writes a permanent failure
	// with the given data for each, in one transaction per message.
	Cancel(ctx context.Context, q RowQuery, d event.Data) (n int, err error)
}

// A NextHop is a recipient domain with mail waiting.
type NextHop struct {
	Name string
	Rows int
	Due  time.Time // earliest among its free rows; zero if all are leased
}

// A LeaseRequest asks for work.
type LeaseRequest struct {
	NextHop string
	Now     time.Time
	Limit   int // 1 to 1,000
}

// A LeaseResult is work.
type LeaseResult struct {
	Rows     []Row
	Messages map[mail.ID]Message // of the rows
	NextDue  time.Time
}

// A LeaseRef names a lease.
type LeaseRef struct {
	Row   mail.ID
	Lease int64
}

// An Outcome is what one attempt meant for the rows of one message.
type Outcome struct {
	Message  mail.ID
	DomainID int64
	Rows     []RowOutcome
}

// A RowOutcome is what became of one row.
type RowOutcome struct {
	Row   mail.ID
	Lease int64
	// Final deletes the row; else it waits until Due with Attempt attempts made.
	Final     bool
	Due       time.Time
	Attempt   int
	LastReply string
	// Event is written with the change; nil where nothing happened worth telling
	// (an abandoned attempt). Message and DomainID are filled in by Settle.
	Event *event.Record
}

// A RowQuery picks queue rows. Zero fields match everything.
type RowQuery struct {
	DomainID  int64
	Message   mail.ID
	Row       mail.ID
	NextHop   string
	Recipient string  // address, any letter case
	MessageID string  // Message-ID field without angle brackets; all copies of a batch have it
	Tag       string  // of messages with this tag, in any letter case
	After     mail.ID // rows with larger ids only
	Limit     int     // 0: 100; at most 1,000 for Rows. Changing methods have no limit.
}

// Messages gives back what was accepted.
type Messages interface {
	// Message returns a message of the given domain.
	Message(ctx context.Context, domainID int64, id mail.ID) (Message, error)
	// Content returns a message's octets. ErrNotFound after they were dropped. A
	// content that is damaged on disk is an error, never wrong octets.
	Content(ctx context.Context, domainID int64, id mail.ID) (Content, error)
	// CountQueued returns how many messages of the domain have rows in the queue.
	CountQueued(ctx context.Context, domainID int64) (int, error)
	// Prune drops contents and events older than the retention says, but nothing that
	// is still queued.
	Prune(ctx context.Context, r Retention) error
}

// Retention are the moments before which things may be forgotten.
type Retention struct {
	Content time.Time // contents of finished messages accepted before
	Events  time.Time // events, with their messages, of days that ended before
}

// A Message is what is kept of an accepted message besides its content.
type Message struct {
	ID       mail.ID
	DomainID int64
	Envelope mail.Envelope
	Meta     event.Meta
	Size     int64 // of the content
	Pending  int   // rows not finished
}

// Events lists what happened.
type Events interface {
	// Events returns one page. An event once passed over is never returned for a
	// later cursor: a page never shows an event while one with a smaller id may still
	// be committed. Readers that poll with the last id they saw miss nothing.
	//
	// A page that ran out of time holds what was found, with More; if that is nothing, the
	// error is ErrSlow.
	Events(ctx context.Context, q EventQuery) (EventPage, error)
}

// An EventQuery picks events of one domain.
type EventQuery struct {
	DomainID int64
	// AllDomains picks events of every domain instead; DomainID is then zero. Only the
	// bounds, Types and Match narrow such a query, and every event within the bounds is looked at.
	AllDomains bool
	// After and Before bound the ids, both exclusive; zero means open.
	After, Before mail.ID
	Ascending     bool
	Limit         int // 1 to 1,000
	// Types, Message, Recipient and MessageID narrow the search by index; zero means
	// all. Recipient is compared without letter case.
	Types     []event.Type
	Message   mail.ID
	Recipient string
	MessageID string // Message-ID field without angle brackets
	// Tags narrows the search to messages with all of these tags, compared without letter case, where
	// there is an index of them. Elsewhere they say nothing, so Match has to look at them too.
	Tags []string
	// Match, if not nil, has the last word on each event. It must not block.
	Match func(r *event.Record, m *event.Meta) bool
	// Scan bounds how many events are looked at for one page; 0 means 100,000.
	Scan int
}

// An EventPage is a run of events in the asked-for order.
type EventPage struct {
	Items []EventItem
	// Cursor is the id up to which the query has looked: pass it as After (or
	// Before, if descending) to go on. It is the query's own bound if nothing was seen.
	Cursor mail.ID
	// More is set when the page ended by Limit or Scan and not by the end of the log.
	More bool
}

// An EventItem is an event with its message's metadata.
type EventItem struct {
	event.Record
	Meta event.Meta
}
