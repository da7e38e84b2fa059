package peers

import (
	"context"
	"errors"
	"log/slog"
	"maps"
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
