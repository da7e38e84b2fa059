// Package peers remembers which MX hosts have completed a TLS handshake with us.
//
// A host that offered STARTTLS yesterday and does not today was reconfigured, or
// somebody in between is stripping the offer (RFC 7435 calls the second an active
// attack). The memory makes the difference visible. When several hosts stop within an
// hour, it is more likely that something near us strips the offer from everybody's
// answer, and every recipient looks guilty: that raises an alarm of its own.
//
// It answers from memory, writes what is new to the store about once a minute, and
// forgets hosts not seen for 90 days.
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

	together  = time.Hour // hosts that stop offering TLS within it may have one cause
	suspects  = 2         // so many of them raise the alarm
	maxMissed = 1000      // hosts remembered as having stopped
)

// A Memory is the hosts seen so far. It is safe for concurrent use.
type Memory struct {
	store store.Peers
	log   *slog.Logger

	mu    sync.Mutex
	seen  map[string]time.Time
	dirty map[string]time.Time // not in the store yet

	missed     map[string]time.Time // hosts that stopped offering TLS, lately
	downgrades int64
	alarm      time.Time // when the alarm was last raised
}

// Stats are counters since start and the state of the alarm.
type Stats struct {
	Hosts      int   // MX hosts that gave TLS in the last 90 days
	Downgrades int64 // sessions with one of them that did not offer it any more
	// PathStripped: in the last hour at least two hosts stopped offering TLS.
	PathStripped bool
}

// Load reads the memory from the store.
func Load(ctx context.Context, s store.Peers, log *slog.Logger) (*Memory, error) {
	seen, err := s.SeenTLS(ctx, time.Now().Add(-keep))
	if err != nil {
		return nil, fmt.Errorf("load the memory of MX hosts: %w", err)
	}
	return &Memory{store: s, log: log, seen: seen, dirty: make(map[string]time.Time), missed: make(map[string]time.Time)}, nil
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
	delete(m.missed, host)
	at, ok := m.seen[host]
	if ok && now.Sub(at) < finer || !ok && len(m.seen) >= maxHosts {
		return
	}
	m.seen[host] = now
	m.dirty[host] = now
}

// NoteDowngrade notes that a host that gave TLS before does not offer it now.
func (m *Memory) NoteDowngrade(host string) {
	now := time.Now()
	m.mu.Lock()
	m.downgrades++
	for other, at := range m.missed {
		if now.Sub(at) > together || len(m.missed) >= maxMissed {
			delete(m.missed, other)
		}
	}
	m.missed[host] = now
	hosts := len(m.missed)
	raise := hosts >= suspects && (m.alarm.IsZero() || now.Sub(m.alarm) > together)
	if raise {
		m.alarm = now
	}
	m.mu.Unlock()
	m.log.Warn("STARTTLS is gone from a host that offered it before", "mx-host", host)
	if raise {
		m.log.Error("path-strips-starttls: several MX hosts stopped offering STARTTLS within an hour; look for a firewall or proxy near this server that removes it", "hosts", hosts)
	}
}

// Stats returns a snapshot.
func (m *Memory) Stats() Stats {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	recent := 0
	for _, at := range m.missed {
		if now.Sub(at) <= together {
			recent++
		}
	}
	return Stats{Hosts: len(m.seen), Downgrades: m.downgrades, PathStripped: recent >= suspects}
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
