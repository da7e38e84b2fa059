package store

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Webhooks keeps what is to be told to whom: webhooks of domains and accounts, and the
// keys that sign calls. Reads are answered from memory: they are made with every event.
type Webhooks interface {
	// WebhooksOf returns the webhooks of a domain or, if domainID is 0, the account's
	// own, in their order.
	WebhooksOf(ctx context.Context, accountID, domainID int64) ([]Webhook, error)
	// AllWebhooks returns those of all accounts, and a number that grows whenever they
	// change.
	AllWebhooks(ctx context.Context) (list []Webhook, version int64, err error)
	// WebhookVersion returns that number alone.
	WebhookVersion() int64
	// ChangeWebhooks calls change with the webhooks of a domain, or the account's own, and
	// stores what it returns in their place, in one transaction. One without an ID is new,
	// and gets ID and CreatedAt; which account and domain they are of cannot be changed.
	// An error from change is returned and changes nothing. URLs that come to be get a
	// [WebhookTarget], those that cease lose it with everything that waits for it.
	// ErrNotFound if the domain does not exist, or not in that account.
	ChangeWebhooks(ctx context.Context, accountID, domainID int64, change func([]Webhook) ([]Webhook, error)) ([]Webhook, error)

	// SigningKey returns the account's key; the first call makes one.
	SigningKey(ctx context.Context, accountID int64) (SigningKey, error)
	// RotateSigningKey makes a new key for the account. The one that signs now goes on to
	// sign until the given time, which may be zero or past.
	RotateSigningKey(ctx context.Context, accountID int64, until time.Time) (SigningKey, error)
}

// A Webhook says: tell this URL about such events.
type Webhook struct {
	ID          string // 24 hexadecimal digits, not secret
	AccountID   int64
	DomainID    int64 // 0: events of every domain of the account
	URL         string
	Kinds       []string // names of kinds of events: delivered, permanent_fail, …
	Description string
	CreatedAt   time.Time
}

// A SigningKey signs the calls of one account.
type SigningKey struct {
	Key string
	// Previous signs in place of Key until SignsFrom. Empty: Key signs.
	Previous  string
	SignsFrom time.Time
	CreatedAt time.Time
}

// At returns the key that signs at a moment.
func (k SigningKey) At(now time.Time) string {
	if k.Previous != "" && now.Before(k.SignsFrom) {
		return k.Previous
	}
	return k.Key
}

// WebhookDeliveries keeps how far the calls have got. The events themselves are in the
// log: nothing is kept of a call that went well at once.
type WebhookDeliveries interface {
	// WebhookTargets returns the targets of all webhooks, by id.
	WebhookTargets(ctx context.Context) ([]WebhookTarget, error)
	// SaveWebhooks stores progress in one transaction. What it says about targets that
	// have ceased is passed over.
	SaveWebhooks(ctx context.Context, p WebhookProgress) error
	// DueWebhookCalls returns up to limit calls of a target that wait and are due at
	// now, oldest due first.
	DueWebhookCalls(ctx context.Context, target int64, now time.Time, limit int) ([]WebhookCall, error)
	// NextWebhookCall returns when the first waiting call of a target is due; zero if
	// none waits.
	NextWebhookCall(ctx context.Context, target int64) (time.Time, error)
	// ReplayWebhookCalls makes calls wait, due at their Due, whether they are known or not,
	// in one transaction.
	ReplayWebhookCalls(ctx context.Context, calls []WebhookCall) error
	// ReplayFailedWebhookCalls makes all calls of a target wait that were given up, due at
	// now, and returns how many.
	ReplayFailedWebhookCalls(ctx context.Context, target int64, now time.Time) (int, error)
	// WebhookAttempts returns what is kept of attempts, newest first.
	WebhookAttempts(ctx context.Context, q WebhookAttemptQuery) ([]WebhookAttempt, error)
}

// A WebhookTarget is one URL of a domain or account, however many webhooks name it.
type WebhookTarget struct {
	ID        int64
	AccountID int64
	DomainID  int64 // 0: the account's
	URL       string
	// Position is the event up to which every one was dealt with: told, or kept as a
	// call that waits. 0: as far as the cursor of the follower.
	Position     mail.ID
	FailingSince time.Time // first failure since the last success; zero: none
	DisabledAt   time.Time // nothing is told since; zero: enabled
	LastError    string    // of the last failure; may hold foreign text
	Waiting      int       // calls that wait for another attempt; only read
	Failed       int       // calls that were given up; only read
	OldestEvent  mail.ID   // of the calls that wait; 0: none; only read
}

// A WebhookCall is one event that a target has not taken.
type WebhookCall struct {
	Target   int64
	Event    mail.ID
	DomainID int64 // of the event
	Attempts int   // made so far
	Due      time.Time
	GivenUp  bool // not tried any more, but can be replayed
}

// A WebhookAttempt is one call as the log has it.
type WebhookAttempt struct {
	Target  int64
	At      time.Time
	Event   mail.ID
	Kind    string
	Attempt int // from 1
	Outcome string
	Status  int // of the answer; 0: there was none
	Latency time.Duration
	Error   string // why there was no answer; may hold foreign text
	Answer  string // the beginning of the answer's text; foreign
}

// A WebhookAttemptQuery picks attempts. Targets is required.
type WebhookAttemptQuery struct {
	Targets []int64
	Event   mail.ID // 0: all
	Limit   int     // 1 to 1,000
}

// WebhookProgress is what is to be stored.
type WebhookProgress struct {
	Cursor   string // name of the follower's cursor
	Position mail.ID
	Targets  []WebhookTarget // by ID; Position, FailingSince, DisabledAt and LastError are stored
	Calls    []WebhookCall   // created or replaced
	Done     []WebhookCall   // forgotten, by Target and Event
	Attempts []WebhookAttempt
	// Keep is how many attempts of each target in Attempts stay; older ones go.
	Keep int
	// Forget drops calls that were given up about events before it; 0: none.
	Forget mail.ID
}
