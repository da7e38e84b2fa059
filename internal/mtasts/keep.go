package mtasts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// maxFailures bounds the domains without a policy that are remembered: they have a TXT
// record, and their policy could not be fetched within the last five minutes.
const maxFailures = 10_000

// keepExpired is how long the store keeps a policy past its end, so that a machine
// that starts with a wrong clock does not throw its protection away.
const keepExpired = 24 * time.Hour

// keep makes m the domain's policy, on disk first. When the store cannot be written
// the policy rules from memory, and is written later.
func (c *Cache) keep(domain string, m memory) {
	c.storing.Lock()
	defer c.storing.Unlock()
	used := m.policy.Fetched
	c.mu.Lock()
	if e := c.entries[domain]; e != nil && e.used.Before(used) {
		used = e.used // a refresh is no use
	}
	c.mu.Unlock()
	ctx := context.WithoutCancel(c.work)
	err := c.store.PutSTSPolicies(ctx, []store.STSPolicy{toStore(domain, m.policy, used)})
	if err != nil {
		c.log.Error("an MTA-STS policy was not written to storage; it is in force, and writing is tried again", "domain", domain, "error", err)
	}
	dropped, before := c.install(domain, m, err != nil)
	if err != nil {
		c.count(func(n *counts) { n.storeErrors++ })
	}
	if before != nil && before.Mode != m.policy.Mode {
		c.log.Info("an MTA-STS policy changed its mode", "domain", domain, "from", string(before.Mode), "to", string(m.policy.Mode), "id", m.policy.ID)
	}
	c.drop(ctx, dropped)
}

// drop takes policies out of the store that were pushed out of memory. c.storing is
// held.
func (c *Cache) drop(ctx context.Context, domains []string) {
	if len(domains) == 0 {
		return
	}
	c.log.Warn("there are more MTA-STS policies than are kept; those that protect least were dropped", "dropped", len(domains))
	if err := c.store.ForgetSTSPolicies(ctx, domains, time.Time{}); err != nil {
		c.count(func(n *counts) { n.storeErrors++ })
		c.log.Error("dropped MTA-STS policies are still in storage", "error", err)
	}
}

// install puts a policy into memory. It returns the domains whose policies had to
// make room, and the policy that was in force before.
func (c *Cache) install(domain string, m memory, unsaved bool) (dropped []string, before *Policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[domain]
	if e == nil {
		e = &entry{used: m.policy.Fetched}
		c.entries[domain] = e
	}
	before = e.inForce(m.policy.Fetched)
	c.setPolicy(e, m.policy)
	e.memory, e.unsaved = m, unsaved
	return c.shrink(m.policy.Fetched), before
}

// remember keeps what is known of a domain after a fetch that brought no policy.
func (c *Cache) remember(domain string, m memory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[domain]
	if e == nil {
		return // it had to make room meanwhile
	}
	// The policy stays as it is now: only fetches change it, and this was the only one.
	m.policy = e.policy
	e.memory = m
	if m.policy == nil && m.attempted.IsZero() {
		delete(c.entries, domain)
	}
}

// setPolicy changes an entry's policy and what is counted of it. c.mu is held.
func (c *Cache) setPolicy(e *entry, p *Policy) {
	if e.policy != nil {
		c.policies--
		c.bytes -= e.policy.size()
	}
	if p != nil {
		c.policies++
		c.bytes += p.size()
	}
	e.policy = p
}

// size is about the memory a policy takes, its entry included.
func (p *Policy) size() int {
	const fixed, perString = 512, 16
	n := fixed + len(p.ID) + perString*(len(p.Lines)+len(p.MX))
	for _, line := range p.Lines {
		n += len(line) + 1
	}
	return n
}

// shrink drops policies when there are too many: a sixteenth at once, so that it is
// rare. Those that protect least go first. c.mu is held.
func (c *Cache) shrink(now time.Time) (dropped []string) {
	if c.policies <= c.maxCount && c.bytes <= c.maxBytes {
		return nil
	}
	var domains []string
	for domain, e := range c.entries {
		if e.policy != nil {
			domains = append(domains, domain)
		}
	}
	slices.SortFunc(domains, func(a, b string) int {
		x, y := c.entries[a], c.entries[b]
		return cmp.Or(cmp.Compare(x.worth(now), y.worth(now)), x.used.Compare(y.used), cmp.Compare(a, b))
	})
	for _, domain := range domains {
		if c.policies <= c.maxCount-c.maxCount/16 && c.bytes <= c.maxBytes-c.maxBytes/16 {
			break
		}
		// When it was fetched is not forgotten: the limit on fetches still holds.
		e := c.entries[domain]
		c.setPolicy(e, nil)
		e.unsaved = false
		dropped = append(dropped, domain)
	}
	c.counts.dropped += int64(len(dropped))
	return dropped
}

// worth orders entries by how much their policy protects.
func (e *entry) worth(now time.Time) int {
	policy := e.inForce(now)
	switch {
	case policy == nil:
		return 0
	case policy.Mode == None:
		return 1
	case policy.Mode == Testing:
		return 2
	}
	return 3
}

// makeRoom keeps the number of remembered failures below its limit. Which ones go is
// left to chance: none of them is older than five minutes or so. c.mu is held.
func (c *Cache) makeRoom() {
	if len(c.entries)-c.policies < maxFailures {
		return
	}
	for domain, e := range c.entries {
		if e.policy != nil || c.flights[domain] != nil {
			continue
		}
		delete(c.entries, domain)
		if len(c.entries)-c.policies < maxFailures-maxFailures/16 {
			return
		}
	}
}

// sweep forgets what is over: failures after their rest, policies after their end.
func (c *Cache) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for domain, e := range c.entries {
		if c.flights[domain] != nil {
			continue
		}
		if e.policy != nil && e.inForce(now) == nil {
			c.setPolicy(e, nil)
			e.unsaved = false
		}
		if e.policy == nil && !e.rests(now) {
			delete(c.entries, domain)
		}
	}
}

// load fills the memory from the store.
func (c *Cache) load(ctx context.Context) error {
	now := clock()
	list, err := c.store.LoadSTSPolicies(ctx, now)
	if err != nil {
		return err
	}
	for _, s := range list {
		p, err := fromStore(s)
		if err != nil {
			c.log.Warn("a stored MTA-STS policy cannot be read; it is fetched again with the next mail", "domain", s.Domain, "error", err)
			continue
		}
		e := &entry{used: s.Used}
		c.entries[s.Domain] = e
		c.setPolicy(e, p)
		e.attempted = s.Fetched
	}
	// What does not fit stays in the store until it expires, for a larger limit.
	if dropped := c.shrink(now); len(dropped) > 0 {
		c.log.Warn("there are more MTA-STS policies than are kept; those that protect least are not used", "dropped", len(dropped))
	}
	return nil
}

// flush writes what the store does not have yet and removes what is long over.
func (c *Cache) flush(ctx context.Context) error {
	c.storing.Lock()
	defer c.storing.Unlock()
	unsaved := c.unsaved()
	if len(unsaved) > 0 {
		if err := c.store.PutSTSPolicies(ctx, unsaved); err != nil {
			c.count(func(n *counts) { n.storeErrors++ })
			return fmt.Errorf("write MTA-STS policies: %w", err)
		}
		c.mu.Lock()
		for _, s := range unsaved {
			// Only fetches change a policy, and they wait for c.storing.
			if e := c.entries[s.Domain]; e != nil {
				e.unsaved = false
			}
		}
		c.mu.Unlock()
	}
	if err := c.store.ForgetSTSPolicies(ctx, nil, clock().Add(-keepExpired)); err != nil {
		c.count(func(n *counts) { n.storeErrors++ })
		return fmt.Errorf("forget expired MTA-STS policies: %w", err)
	}
	return nil
}

func (c *Cache) unsaved() []store.STSPolicy {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []store.STSPolicy
	for domain, e := range c.entries {
		if e.unsaved && e.policy != nil {
			list = append(list, toStore(domain, e.policy, e.used))
		}
	}
	return list
}

// toStore returns a policy as the store keeps it: its text, not what we read out of it.
func toStore(domain string, p *Policy, used time.Time) store.STSPolicy {
	return store.STSPolicy{
		Domain: domain, ID: p.ID, Text: strings.Join(p.Lines, "\n"),
		Fetched: p.Fetched, Expires: p.Expires, Used: used,
	}
}

func fromStore(s store.STSPolicy) (*Policy, error) {
	p, err := ParsePolicy(s.Text)
	if err != nil {
		return nil, err
	}
	p.ID, p.Fetched, p.Expires = s.ID, s.Fetched, s.Expires
	return &p, nil
}
