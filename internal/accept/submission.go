package accept

import (
	"context"
	"io"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits on a submission.
const (
	MaxSize       = 25 << 20 // octets of a message, as composed or as submitted
	MaxRecipients = 1000     // after duplicates were dropped
	// MaxCopies is how many copies one call with recipient-variables, or to a mailing list, may make: everybody in cc
	// and bcc gets one of each letter.
	MaxCopies = 5000
	// MaxExpanded is the total size of the copies that one call with
	// recipient-variables may make, in octets.
	MaxExpanded = 1 << 30
)

// A Door is the way a submission came in.
type Door uint8

const (
	HTTP Door = iota // the API
	SMTP             // message submission
)

// String returns the door's name in the event log's vocabulary: http or smtp.
func (d Door) String() string {
	if d == SMTP {
		return "smtp"
	}
	return "http"
}

// A Sender is who submits, as a door has authenticated it.
type Sender struct {
	Door Door
	// Domain is the sending domain (A-labels, lower case). Empty, for SMTP from a trusted
	// network with a null reverse-path only: the domain of the From field decides.
	Domain string
	// DomainID is the id that the sending domain must have, for who speaks for a domain as it was:
	// one that was deleted and made again under the same name is another's. 0: any.
	DomainID int64
	// AccountWide: the key is not bound to a domain, so it may send as any of its account.
	AccountWide bool
	// Authenticated: by key or password, not by network.
	Authenticated bool
	KeyID         string // of the API key or login; not secret
	OriginIP      string // the client's address, for the log; never travels
	// Protocol is the transmission type of RFC 3848 (ESMTPSA) by SMTP; empty by HTTP.
	Protocol string
}

// A Submission is a message as it was handed in. Exactly one of Draft and Raw is set.
type Submission struct {
	Sender Sender

	// To are the envelope recipients of Raw by HTTP and the To field of Draft; Cc and
	// Bcc belong to Draft. Each value is a mailbox or a comma list of them, as the client sent it.
	To, Cc, Bcc []string

	// ReversePath and Recipients are the envelope by SMTP, where To, Cc and Bcc are empty.
	ReversePath mail.Address
	Recipients  []mail.Address

	// Options are the parameters o:*, h:*, v:*, t:*, template and
	// recipient-variables with the names and in the order the client sent them.
	// Unknown ones are ignored.
	Options []compose.Field

	Draft *Draft
	// Raw is the message itself, read once to its end. An error it returns is
	// returned by Accept, wrapped, and nothing is stored.
	Raw io.Reader

	// RequireTLS: the message is marked with REQUIRETLS (RFC 8689), whatever Options or
	// control fields say. They may mark it as well.
	RequireTLS bool

	// DSN is what the sender asked for with the DSN extension (RFC 3461); nil: nothing.
	DSN *mail.DSN

	// Report: the message carries a TLS report of ours (RFC 8460); see mail.Envelope.
	// The doors never set it: who could, could hide their sessions from reports.
	Report bool

	// Notice: the message is a DSN of ours. Like a report it goes also to who has unsubscribed from the domain's mail.
	// The doors never set it.
	Notice bool
}

// A Draft is a message in pieces, from the API.
type Draft struct {
	From    []string // parameters as sent; exactly one mailbox in all
	Subject string
	Text    string // empty: none
	HTML    string
	AMP     string
	// Attachments and Inline are opened once for each copy of the message.
	Attachments []compose.File
	Inline      []compose.File
}

// A Receipt is the proof that a message is on disk.
type Receipt struct {
	ID        mail.ID // of the message; of the first copy with recipient-variables
	MessageID string  // without angle brackets
}

// Domains finds sending domains by name, as store.Domains does.
type Domains interface {
	Domain(ctx context.Context, name string) (store.Domain, error)
}

// A Scheduler attempts messages. The queue satisfies it.
type Scheduler interface {
	// Reserve asks for room to hold a content of size octets until it was
	// attempted. When it says yes, exactly one Offer or Unreserve follows.
	Reserve(size int64) bool
	Unreserve(size int64)
	// Offer hands over an accepted message with its leased rows. The scheduler
	// calls done when it needs m.Content no more.
	Offer(m *store.NewMessage, done func())
	// Wake says that the next hop has rows due at the given time.
	Wake(nextHop string, due time.Time)
}

// Config is what the operator sets. Zero values are usable.
type Config struct {
	// Tracker puts links into the letters of domains that want to know what becomes of them; nil: nothing
	// is tracked.
	Tracker Tracker
	// Hostname is the server's name in Received fields.
	Hostname string
	// AllowUnverified lets domains send whose DNS records were not seen yet.
	AllowUnverified bool
	// Templates finds the templates that messages are made from; nil: there are none.
	Templates Templates
	// Lists finds the mailing lists that messages are sent to; nil: there are none.
	Lists Lists
	// SpoolDir holds spool files; empty: os.TempDir.
	SpoolDir string
	// Lifetime is how long a message is tried when its domain does not say; 0: 8 hours.
	Lifetime time.Duration
	// Horizon is how far ahead a message may be scheduled; 0: 3 days.
	Horizon time.Duration
	// Sources chooses the addresses that messages leave from. Nil: any will do, and a message
	// that asks for one is refused.
	Sources Sources
	// Suppressions says who gets no mail of a domain; nil: everybody gets it.
	Suppressions Suppressor
}
