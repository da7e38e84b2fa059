package store

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// KeepExpired is how long an override is still listed after it ended.
const KeepExpired = 90 * 24 * time.Hour

// Overrides keeps the exceptions for recipient domains and MX hosts. All of them are
// held in memory.
type Overrides interface {
	// CreateOverride stores o and fills in its ID and Created. Of one target there is one
	// active override: with replace it takes the place of the one that is there,
	// in the same transaction; without, that is ErrExists. An override that lowers security
	// and has no end, or has ended already, is refused.
	CreateOverride(ctx context.Context, o *mail.Override, replace bool) error
	// OverrideByID returns an override, also one that has ended.
	OverrideByID(ctx context.Context, id int64) (mail.Override, error)
	// ListOverrides returns all overrides, newest first, also those that have ended.
	ListOverrides(ctx context.Context) ([]mail.Override, error)
	// DeleteOverride removes an override; it counts no more.
	DeleteOverride(ctx context.Context, id int64) error
	// ExpireOverrides notes in the audit log, once each, the overrides that have ended
	// at the given moment, and forgets those that ended KeepExpired before. It returns the newly
	// ended. That an override ended is true without it: Override asks the time.
	ExpireOverrides(ctx context.Context, now time.Time) ([]mail.Override, error)

	// Override returns what counts at the given moment for mail to the recipient
	// domain by way of the MX host: the domain's override first, then the host's. Both names
	// are A-labels in lower case; an empty one matches nothing. Usually there is none:
	// that is nil, and costs two looks into a map and no allocation.
	Override(nextHop, mxHost string, now time.Time) []mail.Override
}
