package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStore keeps what it is given, or fails.
type fakeStore struct {
	mu   sync.Mutex
	seen map[string]time.Time
	fail bool
}

func (f *fakeStore) setFail(fail bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *fakeStore) has(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.seen[host]
	return ok
}

func (f *fakeStore) SeenTLS(context.Context, time.Time) (map[string]time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.seen), nil
}

func (f *fakeStore) NoteTLS(_ context.Context, seen map[string]time.Time, _ time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail {
		return errors.New("disk is gone")
	}
	maps.Copy(f.seen, seen)
	return nil
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{seen: map[string]time.Time{"old.test": time.Now()}}
		m, err := Load(t.Context(), f, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()

		if !m.SeenTLS("old.test") || m.SeenTLS("new.test") {
			t.Error("what was loaded is not what is remembered")
		}
		f.setFail(true)
		m.NoteTLS("new.test")
		time.Sleep(2 * time.Minute)
		if f.has("new.test") {
			t.Error("written although the store failed")
		}
		f.setFail(false)
		time.Sleep(2 * time.Minute)
		if !f.has("new.test") {
			t.Error("not written again after a failure")
		}
		time.Sleep(keep)
		if m.SeenTLS("old.test") {
			t.Error("never forgotten")
		}
		m.NoteTLS("last.test")
		cancel()
		<-done
		if !f.has("last.test") {
			t.Error("not written at the end")
		}
	})
}

// Mistake 26 of those before us: a firewall near the sender strips STARTTLS, and every
// recipient looks guilty.
func TestDowngradesTogetherRaiseTheAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		m, err := Load(t.Context(), &fakeStore{seen: map[string]time.Time{}}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		alarms := func() int { return strings.Count(log.String(), "path-strips-starttls") }
		m.NoteDowngrade("one.test")
		m.NoteDowngrade("one.test")
		if s := m.Stats(); s.PathStripped || s.Downgrades != 2 || alarms() != 0 {
			t.Errorf("one host: %+v, %d alarms", s, alarms())
		}
		m.NoteDowngrade("two.test")
		m.NoteDowngrade("three.test")
		if s := m.Stats(); !s.PathStripped || alarms() != 1 {
			t.Errorf("three hosts: %+v, %d alarms", s, alarms())
		}
		m.NoteTLS("two.test")
		m.NoteTLS("three.test")
		if m.Stats().PathStripped {
			t.Error("still raised although two of them are back")
		}
		time.Sleep(2 * time.Hour)
		m.NoteDowngrade("four.test")
		if m.Stats().PathStripped {
			t.Error("hosts hours apart were taken together")
		}
		m.NoteDowngrade("five.test")
		if !m.Stats().PathStripped || alarms() != 2 {
			t.Errorf("later: %d alarms", alarms())
		}
		for i := range 3 * maxMissed {
			m.NoteDowngrade(fmt.Sprintf("mx%d.test", i))
		}
		if len(m.missed) > maxMissed {
			t.Errorf("%d hosts remembered", len(m.missed))
		}
	})
}
