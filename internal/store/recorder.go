package store

import (
	"context"

	"github.com/sealpost/sealpost/internal/event"
)

// Recorder adds to the log what happens to a message after we have done with it: it is opened,
// its links are followed, its recipient unsubscribes or complains.
type Recorder interface {
	// Record appends an event to the log of r.Message, which must be a message of r.DomainID:
	// else ErrNotFound, also when the message is past its retention. It is one transaction, which shares
	// its sync with others. r.Recipient should be one of the message's: events are found under
	// these. When it returns nil, r has its ID and Time.
	Record(ctx context.Context, r *event.Record) error
}
