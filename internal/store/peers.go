package store

import (
	"context"
	"time"
)

// Peers keeps what MX hosts offered in the past, so that one that stops offering
// TLS is noticed, also after a restart.
type Peers interface {
	// SeenTLS returns when each host last completed a TLS handshake with us, for
	// hosts seen since the given time.
	SeenTLS(ctx context.Context, since time.Time) (map[string]time.Time, error)
	// NoteTLS stores later times for some hosts, and forgets hosts not seen since
	// the given time.
	NoteTLS(ctx context.Context, seen map[string]time.Time, since time.Time) error
}
