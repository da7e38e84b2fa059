package mtasts

import "github.com/sealpost/sealpost/internal/tlsresult"

// Stats are the state of a Cache, and counters since it was opened.
type Stats struct {
	Enforce, Testing, None int // policies in memory, by mode
	Failing                int // domains without a policy whose latest fetch failed
	Bytes                  int // memory of the policies, about
	InFlight               int // connections to policy hosts now

	Questions int64 // calls of Policy and Recheck, and refreshes

	// Fetches by what came of them. A few that fail are normal: some domains have a
	// record and no policy host. All of them failing is not.
	Fetches      int64 // begun
	FetchErrors  int64 // sts-policy-fetch-error
	Invalid      int64 // sts-policy-invalid
	Unverified   int64 // sts-webpki-invalid
	RefreshFails int64 // refreshes ahead of expiry that failed; the policy still held

	Dropped     int64 // policies dropped before their end for want of room; normal is 0
	StoreErrors int64 // writes to storage that failed and are tried again; normal is 0
}

// counts are the counters of Stats; c.mu guards them.
type counts struct {
	questions, fetches, fetchErrors, invalid, unverified int64
	refreshesFailed, dropped, storeErrors                int64
}

// result counts what came of a fetch.
func (n *counts) result(fault tlsresult.Type) {
	switch fault {
	case tlsresult.STSPolicyFetchError:
		n.fetchErrors++
	case tlsresult.STSPolicyInvalid:
		n.invalid++
	case tlsresult.STSWebPKIInvalid:
		n.unverified++
	}
}

func (c *Cache) count(f func(n *counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.counts)
}

// Stats returns a snapshot. It looks at every policy: ask for it now and then.
func (c *Cache) Stats() Stats {
	busy := c.fetcher.turns.busy()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	s := Stats{
		Failing: len(c.entries) - c.policies, Bytes: c.bytes, InFlight: busy,
		Questions: n.questions, Fetches: n.fetches, FetchErrors: n.fetchErrors, Invalid: n.invalid, Unverified: n.unverified,
		RefreshFails: n.refreshesFailed, Dropped: n.dropped, StoreErrors: n.storeErrors,
	}
	for _, e := range c.entries {
		if e.policy == nil {
			continue
		}
		switch e.policy.Mode {
		case Enforce:
			s.Enforce++
		case Testing:
			s.Testing++
		case None:
			s.None++
		}
	}
	return s
}
