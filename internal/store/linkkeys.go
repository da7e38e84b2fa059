package store

import (
	"context"
	"time"
)

// LinkSecretSize is how many octets the secret of a [LinkKey] has.
const LinkSecretSize = 32

// LinkKeys keeps the secrets with which the links in tracked mail are signed. A link lives as
// long as the mail that holds it, which is longer than anything else here, so keys are only added.
type LinkKeys interface {
	// LinkKeys returns all keys, newest first.
	LinkKeys(ctx context.Context) ([]LinkKey, error)
	// AddLinkKey stores k as the newest key and fills in its ID and CreatedAt.
	AddLinkKey(ctx context.Context, k *LinkKey) error
}

// A LinkKey signs links. Its secret never leaves the process.
type LinkKey struct {
	ID        int64 // counted from 1
	Secret    []byte
	CreatedAt time.Time
}
