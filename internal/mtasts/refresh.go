package mtasts

import (
	"context"
	"sync"
	"time"
)

const (
	sweepEvery = 5 * time.Minute // between looks at what is due
	refreshers = 4               // refreshes at once; the other turns are for deliveries
)

// Run fetches policies again ahead of their expiry, about once a day (RFC 8461 section
// 3.3), forgets what is over, and writes what could not be written before. It
// returns nil when ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		c.refresh(ctx)
		c.sweep(clock())
		if err := c.flush(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("MTA-STS policies in storage are not up to date; trying again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// refresh fetches what is due and waits until that is done.
func (c *Cache) refresh(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	slots := make(chan struct{}, refreshers)
	for _, domain := range c.due(clock()) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		working.Go(func() {
			defer func() { <-slots }()
			c.refreshOne(ctx, domain)
		})
	}
}

func (c *Cache) due(now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var domains []string
	for domain, e := range c.entries {
		if refreshDue(e.memory, domain, e.used, now) {
			domains = append(domains, domain)
		}
	}
	return domains
}

func (c *Cache) refreshOne(ctx context.Context, domain string) {
	r := c.ask(ctx, domain, forRefresh)
	if r.Err == nil || ctx.Err() != nil {
		return
	}
	// RFC 8461 section 3.3: tell the administrator. Nothing is lost yet.
	c.count(func(n *counts) { n.refreshesFailed++ })
	c.log.Warn("an MTA-STS policy could not be refreshed; the cached one holds until it expires",
		"domain", domain, "mode", string(r.Policy.Mode), "expires", r.Policy.Expires, "error", r.Err)
}
