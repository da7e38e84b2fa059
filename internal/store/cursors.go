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
	// SetCursor keeps the position under the name, whatever it was before.
	SetCursor(ctx context.Context, name string, position mail.ID) error
}
