package store

import (
	"context"
	"time"
)

// Audit is the log of who changed what, and when. It is only ever appended to, and
// first of all by the roles that make the changes: Domains, Keys, Credentials and Overrides write an
// entry for every change of something that decides who may send and how mail travels,
// in the transaction that makes the change. An audited change that is on disk has its entry, and the
// other way round. Who makes a change and why, they are told by [WithChange].
type Audit interface {
	// AuditLog returns entries, newest first.
	AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, error)
	// NoteChange writes an entry for a change of what the store does not keep. Time, id,
	// actor, reason and details are filled in as for every change.
	NoteChange(ctx context.Context, e AuditEntry) error
}

// Actors that are no API key.
const (
	// ActorOperator is whoever may open the operator's socket, or the data folder.
	ActorOperator = "operator"
	// ActorSystem is the server itself.
	ActorSystem = "system"
)

// A Change tells the audit log about a change that is being made.
type Change struct {
	Actor  string // an actor above, or a key: its id and description; empty is the system
	Reason string // in the words of the actor; empty if none was given
	// Details are what else is worth knowing, such as how many messages wait. Who
	// changes a domain may add to them until the change function returns.
	Details map[string]any
}

// changeKey is where a context carries a change.
type changeKey struct{}

// WithChange returns a context under which changes are noted as c says. It is read
// when the entry is written.
func WithChange(ctx context.Context, c *Change) context.Context {
	return context.WithValue(ctx, changeKey{}, c)
}

// ChangeOf returns the change that ctx carries; without one it is the system's, and has no reason.
func ChangeOf(ctx context.Context) Change {
	var c Change
	if p, ok := ctx.Value(changeKey{}).(*Change); ok && p != nil {
		c = *p
	}
	if c.Actor == "" {
		c.Actor = ActorSystem
	}
	return c
}

// An AuditAction says what was done.
type AuditAction string

const (
	AuditCreate  AuditAction = "create"
	AuditUpdate  AuditAction = "update"
	AuditReplace AuditAction = "replace" // an override took the place of another
	AuditDelete  AuditAction = "delete"
	AuditExpire  AuditAction = "expire" // its time was over
)

// An AuditKind says to what it was done.
type AuditKind string

const (
	AuditDomain     AuditKind = "domain"
	AuditOverride   AuditKind = "override"
	AuditKey        AuditKind = "key"
	AuditCredential AuditKind = "credential"
	AuditEvidence   AuditKind = "evidence" // the key that signs evidence
	AuditWebhook    AuditKind = "webhook"  // a webhook, or the key that signs their calls
	AuditAccount    AuditKind = "account"
	AuditPool       AuditKind = "ip-pool"
)

// Facts are an object's settings by the names that people know, with their
// values in words. Secrets are never among them.
type Facts map[string]string

// An AuditEntry is one change.
type AuditEntry struct {
	ID     int64     // grows with time
	Time   time.Time // UTC, by the store's clock
	Actor  string
	Action AuditAction
	Kind   AuditKind
	Object string // the domain's name, the override's, key's or login's id
	// Domain is the sending domain concerned, or the target of an override; empty for a key
	// that is bound to none.
	Domain string
	// Before and After are the object as it was and is: all of it where it came to be or
	// ceased, only what differs where it changed. Nil before creation and after the end.
	Before, After Facts
	Reason        string
	Details       map[string]any // nil: none
}

// An AuditQuery picks entries. Zero fields match everything.
type AuditQuery struct {
	Domain string // of the entry
	Kind   AuditKind
	Since  time.Time // included
	Until  time.Time // excluded
	Before int64     // entries with smaller ids only: the last id of a page gives the next
	Limit  int       // 0: 100; at most 1,000
}
