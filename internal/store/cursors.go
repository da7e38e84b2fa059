package store

import (
	"context"

	"github.com/sealpost/sealpost/internal/mail"
)

// Cursors remembers how far the followers of the event log have come, so that each goes
// on there after a restart.
type Cursors interface {
	// Cursor returns the position kept under the name; zero if there is none yet.
	Cursor(ctx context.Context, name string) (mail.ID, error)
	// SetCursor keeps the position under the name, whatever it was before. Ids that are
	// given after a restart are above every position that is kept, as those of events
	// are: a clock that is behind then does not hide events from a follower.
	SetCursor(ctx context.Context, name string, position mail.ID) error
}
