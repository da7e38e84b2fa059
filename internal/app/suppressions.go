package app

import (
	"context"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/httpapi/feedback"
	"github.com/sealpost/sealpost/internal/httpapi/suppressions"
	"github.com/sealpost/sealpost/internal/suppression"
)

// buildSuppressions makes the room that adds to the lists of who gets no mail, the follower that finds who
// bounced, and their calls. That the lists are heeded is told to the rooms that accept and attempt mail.
func (a *app) buildSuppressions(ctx context.Context) (err error) {
	a.suppressions, err = suppression.Open(ctx, filepath.Join(a.cfg.Server.DataDir, "imports"), a.store, a.log)
	if err != nil {
		return &StartError{err}
	}
	a.rooms = append(a.rooms, a.suppressions)
	a.follow("bounces", suppression.Bounces(a.tail, a.store, a.store, a.log))
	a.surfaces = append(a.surfaces, suppressions.New(a.store, a.suppressions), feedback.New(a.store, a.store, a.suppressions))
	return nil
}
