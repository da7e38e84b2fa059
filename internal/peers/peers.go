// Package peers remembers which MX hosts have completed a TLS handshake with us.
//
// A host that offered STARTTLS yesterday and does not today was reconfigured, or
// somebody in between is stripping the offer (RFC 7435 calls the second an active
// attack). The memory makes the difference visible. It answers from memory, writes what is
// new to the store about once a minute, and forgets hosts not seen for 90 days.
package peers

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

const (
	keep     = 90 * 24 * time.Hour
	every    = time.Minute
	maxHosts = 100_000   // beyond that new hosts are not remembered
	finer    = time.Hour // a host seen again within it is not written again
)

// A Memory is the hosts seen so far. It is safe for concurrent use.
type Memory struct {
	store store.Peers
	log   *slog.Logger

	mu    sync.Mutex
	seen  map[string]time.Time
	dirty map[string]time.Time // not in the store yet
}

// Load reads the memory from the store.
func Load(ctx context.Context, s store.Peers, log *slog.Logger) (*Memory, error) {
	seen, err := s.SeenTLS(ctx, time.Now().Add(-keep))
	if err != nil {
		return nil, fmt.Errorf("load the memory of MX hosts: %w", err)
	}
	return &Memory{store: s, log: log, seen: seen, dirty: make(map[string]time.Time)}, nil
}

// SeenTLS reports whether the host completed a handshake with us in the last 90 days.
func (m *Memory) SeenTLS(host string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.seen[host]
	return ok && time.Since(at) < keep
}

// NoteTLS remembers that it did now.
func (m *Memory) NoteTLS(host string) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.seen[host]
	if ok && now.Sub(at) < finer || !ok && len(m.seen) >= maxHosts {
		return
	}
	m.seen[host] = now
	m.dirty[host] = now
}

// Run writes what is new to the store until ctx ends, and then once more.
func (m *Memory) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.flush(ctx)
		case <-ctx.Done():
			m.flush(context.WithoutCancel(ctx))
			return
		}
	}
}

func (m *Memory) flush(ctx context.Context) {
	since := time.Now().Add(-keep)
	m.mu.Lock()
	dirty := m.dirty
	m.dirty = make(map[string]time.Time)
	for host, at := range m.seen {
		if at.Before(since) {
			delete(m.seen, host)
		}
	}
	m.mu.Unlock()
	if len(dirty) == 0 {
		return
	}
	if err := m.store.NoteTLS(ctx, dirty, since); err != nil {
		m.log.Warn("memory of MX hosts was not written; trying again", "error", err)
		m.mu.Lock()
		for host, at := range dirty {
			if _, newer := m.dirty[host]; !newer {
				m.dirty[host] = at
			}
		}
		m.mu.Unlock()
	}
}
