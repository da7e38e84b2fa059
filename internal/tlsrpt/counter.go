package tlsrpt

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// Limits bound what is counted of one day. Recipients choose most of the text in it, so
// there is a limit on octets as well. What exceeds a limit is counted as dropped.
type Limits struct {
	Domains  int // policy domains
	Policies int // of one policy domain: it may change its policy during a day
	Details  int // kinds of failure of one policy domain; others count in the summary only
	Octets   int // of memory, estimated, for everything
}

// defaultLimits fit a server that mails the whole world: 64 MiB in the worst case.
func defaultLimits() Limits {
	return Limits{Domains: 50_000, Policies: 8, Details: 300, Octets: 64 << 20}
}

// maxDays are counted at a time: today, and for a few minutes yesterday.
const maxDays = 3

// Limits on single texts, in octets.
const (
	maxPolicyText = 8 << 10
	maxText       = 255
)

// What an entry costs in memory besides its texts, in octets, measured and rounded up.
const (
	costDomain  = 200
	costPolicy  = 300
	costDetails = 700 // the first kind of failure under a policy, which makes the map
	costDetail  = 220 // every one
	costString  = 16
)

// A counter counts sessions of the days that are not closed. It is safe for concurrent use.
type counter struct {
	limits Limits

	mu     sync.Mutex
	days   map[int64]*dayCounts // by number of days since 1970
	closed int64                // days up to this one take no more
	dirty  []*policyCounts      // have something to be written
	stats  counterStats
}

// counterStats count since start.
type counterStats struct {
	Sessions       int64 // counted
	DroppedDomains int64 // sessions not counted: too many policy domains or policies, or no memory
	DroppedDetails int64 // failures counted without their details
	DroppedLate    int64 // sessions of a day that was closed, or that cannot be
	Octets         int64 // held now, estimated
}

type dayCounts struct {
	name    string // 2006-01-02
	octets  int
	domains map[string]*domainCounts
}

type domainCounts struct {
	policies []*policyCounts // few
	details  int             // of all policies
}

// policyCounts are numbers that are not in the store yet. The entry itself stays until
// the day is over, so that the limits hold for the whole day.
type policyCounts struct {
	day       *dayCounts
	policy    tlsresult.Policy
	successes int64
	failures  int64
	details   map[store.TLSFailureKey]*int64
	dirty     bool
}

func newCounter(l Limits) *counter {
	return &counter{limits: l, days: map[int64]*dayCounts{}, closed: -1}
}

// dayNumber is the UTC day of a time.
func dayNumber(t time.Time) int64 { return t.Unix() / 86400 }

// dayName is the day as the store knows it.
func dayName(n int64) string { return midnight(n).Format(time.DateOnly) }

func midnight(n int64) time.Time { return time.Unix(n*86400, 0).UTC() }

// observe counts one session. It does not block on anything but other counters, and
// allocates only for what it sees for the first time on a day.
func (c *counter) observe(o tlsresult.Observation) {
	key := store.TLSFailureKey{
		Type: o.Type, Reason: clip(o.Reason), MXHost: clip(o.MXHost), ReceivingIP: clip(o.ReceivingIP), SendingIP: clip(o.SendingIP),
	}
	n := dayNumber(o.At)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n <= c.closed || n < 0 || o.Policy.Domain == "" || len(o.Policy.Domain) > maxText {
		c.stats.DroppedLate++
		return
	}
	p := c.policy(n, o.Policy)
	if p == nil {
		c.stats.DroppedDomains++
		return
	}
	c.stats.Sessions++
	if !p.dirty {
		p.dirty = true
		c.dirty = append(c.dirty, p)
	}
	if o.Type == tlsresult.Success {
		p.successes++
		return
	}
	p.failures++
	if d := c.detail(p, key); d != nil {
		*d++
	} else {
		c.stats.DroppedDetails++
	}
}

// policy finds or makes the entry of a policy; nil if a limit is reached.
func (c *counter) policy(n int64, p tlsresult.Policy) *policyCounts {
	day := c.days[n]
	if day == nil {
		if len(c.days) >= maxDays {
			return nil // a clock that jumps
		}
		day = &dayCounts{name: dayName(n), domains: map[string]*domainCounts{}}
		c.days[n] = day
	}
	if p.Type == tlsresult.PolicyTLSA && !slices.IsSorted(p.Strings) {
		// Name servers rotate records; another order is no other policy.
		p.Strings = slices.Sorted(slices.Values(p.Strings))
	}
	p.Strings, p.MXHosts = clipAll(p.Strings), clipAll(p.MXHosts)
	domain := day.domains[p.Domain]
	if domain != nil {
		for _, known := range domain.policies {
			if known.policy.Type == p.Type && slices.Equal(known.policy.Strings, p.Strings) && slices.Equal(known.policy.MXHosts, p.MXHosts) {
				return known
			}
		}
	}
	cost := costPolicy + size(p.Strings) + size(p.MXHosts)
	if domain == nil {
		cost += costDomain + len(p.Domain)
	}
	switch {
	case day.octets+cost > c.limits.Octets,
		domain == nil && len(day.domains) >= c.limits.Domains,
		domain != nil && len(domain.policies) >= c.limits.Policies:
		return nil
	}
	day.octets += cost
	c.stats.Octets += int64(cost)
	// The caller's strings may be parts of much larger ones.
	p.Domain, p.Strings, p.MXHosts = strings.Clone(p.Domain), cloneAll(p.Strings), cloneAll(p.MXHosts)
	if domain == nil {
		domain = &domainCounts{}
		day.domains[p.Domain] = domain
	}
	made := &policyCounts{day: day, policy: p}
	domain.policies = append(domain.policies, made)
	return made
}

// detail finds or makes the number of a kind of failure; nil if a limit is reached.
func (c *counter) detail(p *policyCounts, key store.TLSFailureKey) *int64 {
	if d := p.details[key]; d != nil {
		return d
	}
	domain := p.day.domains[p.policy.Domain]
	cost := costDetail + len(key.Reason) + len(key.MXHost) + len(key.ReceivingIP) + len(key.SendingIP)
	if p.details == nil {
		cost += costDetails
	}
	if domain.details >= c.limits.Details || p.day.octets+cost > c.limits.Octets {
		return nil
	}
	domain.details++
	p.day.octets += cost
	c.stats.Octets += int64(cost)
	if p.details == nil {
		p.details = map[store.TLSFailureKey]*int64{}
	}
	d := new(int64)
	p.details[store.TLSFailureKey{
		Type: tlsresult.Type(strings.Clone(string(key.Type))), Reason: strings.Clone(key.Reason), MXHost: strings.Clone(key.MXHost),
		ReceivingIP: strings.Clone(key.ReceivingIP), SendingIP: strings.Clone(key.SendingIP),
	}] = d
	return d
}

// restore makes entries for what the store has of a day, so that the limits count it.
func (c *counter) restore(n int64, counts []store.TLSCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, stored := range counts {
		p := c.policy(n, stored.Policy)
		if p == nil {
			continue
		}
		for _, f := range stored.Details {
			c.detail(p, f.TLSFailureKey)
		}
	}
}

// close ends all days up to n: later observations of them are dropped.
func (c *counter) close(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = max(c.closed, n)
}

// forget frees closed days that have nothing to be written.
func (c *counter) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, day := range c.days {
		if n > c.closed || slices.ContainsFunc(c.dirty, func(p *policyCounts) bool { return p.day == day }) {
			continue
		}
		c.stats.Octets -= int64(day.octets)
		delete(c.days, n)
	}
}

// waiting is how many counts are to be written.
func (c *counter) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.dirty)
}

// A taken is a number on its way to the store.
type taken struct {
	count store.TLSCount
	from  *policyCounts
}

// take removes up to limit counts that are to be written.
func (c *counter) take(limit int) []taken {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(limit, len(c.dirty))
	list := make([]taken, 0, n)
	for _, p := range c.dirty[:n] {
		count := store.TLSCount{Day: p.day.name, Policy: p.policy, Successes: p.successes, Failures: p.failures}
		for key, d := range p.details {
			if *d > 0 {
				count.Details = append(count.Details, store.TLSFailure{TLSFailureKey: key, Sessions: *d})
				*d = 0
			}
		}
		p.successes, p.failures, p.dirty = 0, 0, false
		list = append(list, taken{count, p})
	}
	c.dirty = slices.Delete(c.dirty, 0, n)
	return list
}

// giveBack puts back what could not be written.
func (c *counter) giveBack(list []taken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range list {
		p := t.from
		p.successes += t.count.Successes
		p.failures += t.count.Failures
		for _, f := range t.count.Details {
			*p.details[f.TLSFailureKey] += f.Sessions
		}
		if !p.dirty {
			p.dirty = true
			c.dirty = append(c.dirty, p)
		}
	}
}

func (c *counter) snapshot() counterStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// clip bounds a text without copying it.
func clip(s string) string {
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}

// clipAll bounds the text of a policy. What fits, which is nearly everything, is returned as it is.
func clipAll(list []string) []string {
	total := 0
	for i, s := range list {
		if total += len(s) + costString; total > maxPolicyText {
			return list[:i]
		}
	}
	return list
}

func size(list []string) int {
	total := 0
	for _, s := range list {
		total += len(s) + costString
	}
	return total
}

func cloneAll(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	copied := make([]string, len(list))
	for i, s := range list {
		copied[i] = strings.Clone(s)
	}
	return copied
}
