package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
)

// A SuppressionList is one of a domain's lists of addresses that get none of its
// mail, or the list of those that never get onto one by themselves. Its numbers are
// stored: never change one.
type SuppressionList uint8

const (
	NoList       SuppressionList = 0
	Bounces      SuppressionList = 1 // their server said that they do not exist
	Unsubscribes SuppressionList = 2 // they want no more mail, or none with a tag
	Complaints   SuppressionList = 3 // they called the domain's mail spam
	Allowlist    SuppressionList = 4 // addresses and domains that never bounce onto the first list
)

var suppressionLists = [...]string{"none", "bounces", "unsubscribes", "complaints", "whitelists"}

// String returns the list's name in the API.
func (l SuppressionList) String() string {
	if int(l) < len(suppressionLists) {
		return suppressionLists[l]
	}
	return fmt.Sprintf("list %d", uint8(l))
}

// AllTags is the tag of those who unsubscribed from everything.
const AllTags = "*"

// Bounds of an entry, for those who take them from strangers.
const (
	MaxSuppressions    = 1000 // entries of one call
	MaxSuppressionText = 4096 // octets of Text
	MaxSuppressionTags = 100  // tags that one entry may bring along
	// ManyTags is how many tags a stored entry has at most. Who has unsubscribed from more
	// has unsubscribed from everything.
	ManyTags = 1000
)

// A Suppression is an entry of a list.
type Suppression struct {
	// Value is the address as it was given; on the allowlist it may be a domain (A-labels).
	Value   string
	Code    string   // bounces: the SMTP reply code
	Text    string   // bounces: the reply's text; allowlist: the reason
	Tags    []string // unsubscribes: what from; at least one
	Created time.Time
}

// Key is what entries are found and sorted by: letter case does not count, not even in the
// local part, where RFC 5321 section 2.4 would let it: nobody has two mailboxes that differ in it.
func (s Suppression) Key() string { return SuppressionKey(s.Value) }

// SuppressionKey returns the key of an address or domain.
func SuppressionKey(value string) string { return strings.ToLower(value) }

// Failure is what the event says of a message that was not delivered because its recipient
// is on the list. It has no session to speak of.
func (l SuppressionList) Failure() event.Data {
	code, reason, text := 0, "", ""
	switch l {
	case Bounces:
		code, reason, text = 605, "suppress-bounce", "Not delivering to previously bounced address"
	case Unsubscribes:
		code, reason, text = 606, "suppress-unsubscribe", "Not delivering to unsubscribed address"
	case Complaints:
		code, reason, text = 607, "suppress-complaint", "Not delivering to a user who marked your messages as spam"
	}
	return event.Data{Reason: reason, Status: &event.Status{AttemptNo: 1, Code: code, Description: text, Local: true}}
}

// StopsNotices reports whether the list keeps back also what the server itself owes somebody: TLS reports
// and notices. Nobody unsubscribes from those, but an address that does not exist has no use for them.
func (l SuppressionList) StopsNotices() bool { return l == Bounces }

// Suppressions keeps the lists of every domain. A list may have millions of entries.
type Suppressions interface {
	// PutSuppressions adds up to MaxSuppressions entries to a list in one transaction. Of two with the
	// same key the later one counts, and replaces what was there. Tags are added to those that were
	// there instead. ErrNotFound if there is no such domain.
	PutSuppressions(ctx context.Context, domainID int64, list SuppressionList, entries []Suppression) error
	// Suppression returns the entry for an address or domain, whatever its letter case.
	Suppression(ctx context.Context, domainID int64, list SuppressionList, value string) (Suppression, error)
	// ListSuppressions returns a page of a list, by key.
	ListSuppressions(ctx context.Context, q SuppressionQuery) ([]Suppression, error)
	// DeleteSuppression removes an entry. With a tag it removes that tag, in any letter case, and the entry
	// only with its last one. ErrNotFound if it is not there, or has no such tag.
	DeleteSuppression(ctx context.Context, domainID int64, list SuppressionList, value, tag string) error
	// ClearSuppressions removes all entries that are there when it begins. A long list is removed in steps,
	// each on disk before the next, so that others can write in between; an error may leave a part of it.
	ClearSuppressions(ctx context.Context, domainID int64, list SuppressionList) error

	// Suppressed returns for each of the addresses the list because of which mail of the domain with these tags
	// must not go there: Bounces before Complaints before Unsubscribes, NoList for most. Nil means
	// NoList for all, and is what a domain without entries gets, from memory. Tags are compared
	// without letter case.
	Suppressed(ctx context.Context, domainID int64, to []mail.Address, tags []string) ([]SuppressionList, error)

	// PutBounces adds addresses that bounced, but none that its domain's allowlist has, itself or by its
	// domain, and keeps the position of the follower that found them, in one transaction. Bounces
	// of domains that do not exist any more are passed over. It returns how many were added.
	PutBounces(ctx context.Context, bounces []Bounce, follower string, upTo mail.ID) (int, error)
}

// A Bounce is an entry for the bounces of a domain.
type Bounce struct {
	DomainID int64
	Address  mail.Address
	Suppression
}

// A SuppressionQuery asks for a page of a list.
type SuppressionQuery struct {
	DomainID int64
	List     SuppressionList
	// Prefix picks entries whose key begins so; any letter case.
	Prefix string
	// After and Before bound the page by keys, both exclusive; empty means open. They need not be on the list.
	After, Before string
	// FromEnd takes the page from the end of the range. Its order is by key all the same.
	FromEnd bool
	Limit   int // 1 to 1,000
}

// Imports keeps what became of files of suppressions that are read in the background.
type Imports interface {
	// CreateImport stores a new import and fills in its ID and Created. Of the finished ones of a
	// domain the latest 100 are kept.
	CreateImport(ctx context.Context, im *Import) error
	// AdvanceImport stores how far an import is, together with entries that it found, in
	// one transaction: a record counts exactly once. Entries are as for PutSuppressions. ErrNotFound if
	// the import is not there any more: its domain was deleted.
	AdvanceImport(ctx context.Context, im *Import, entries []Suppression) error
	// UnfinishedImports returns imports that are running, oldest first.
	UnfinishedImports(ctx context.Context) ([]Import, error)
	// ListImports returns the imports of a domain, latest first, at most 100.
	ListImports(ctx context.Context, domainID int64) ([]Import, error)
}

// An ImportState is where an import stands.
type ImportState string

const (
	ImportRunning ImportState = "running"
	ImportDone    ImportState = "done"
	ImportFailed  ImportState = "failed" // the file could not be read to its end; what was read counts
)

// An Import is a file of entries for a list.
type Import struct {
	ID       int64
	DomainID int64
	List     SuppressionList
	File     string // name that the client gave it
	Size     int64  // octets
	State    ImportState
	Records  int64    // read so far, without the header
	Bad      int64    // of them passed over
	Problems []string // the first of the bad ones, in words
	Created  time.Time
	Finished time.Time // zero while it runs
}
