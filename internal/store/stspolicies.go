package store

import (
	"context"
	"time"
)

// STSPolicies keeps the MTA-STS policies of recipient domains (RFC 8461). They
// outlive the process: a policy that is lost is a recipient without its protection
// until it is fetched again, which is the moment that an attacker waits for.
type STSPolicies interface {
	// LoadSTSPolicies returns every policy that expires after now.
	LoadSTSPolicies(ctx context.Context, now time.Time) ([]STSPolicy, error)
	// PutSTSPolicies stores policies, each in the place of its domain's earlier one.
	PutSTSPolicies(ctx context.Context, policies []STSPolicy) error
	// ForgetSTSPolicies removes the policies of the given domains, and all that expired
	// before the given time. Domains that have none are ignored.
	ForgetSTSPolicies(ctx context.Context, domains []string, expiredBefore time.Time) error
}

// An STSPolicy is a recipient domain's policy as it was fetched. Times are kept to the
// microsecond.
type STSPolicy struct {
	Domain  string // A-labels, lower case
	ID      string // of the TXT record at the time
	Text    string // as published; foreign text, at most 64 KiB
	Fetched time.Time
	Expires time.Time
	Used    time.Time // when the domain last got mail
}
