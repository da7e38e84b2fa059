package keyuse

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

func open(t *testing.T) (*sqlite.Store, *store.Key) {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	k := &store.Key{Hash: [32]byte{1}, Role: store.RoleSending}
	if err := s.CreateKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	return s, k
}

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		details store.KeyDetails
		calls   int
		waits   time.Duration // at the call after
	}{
		"none":          {store.KeyDetails{}, 1000, 0},
		"by the minute": {store.KeyDetails{PerMinute: 3}, 3, 20 * time.Second},
		"by the day":    {store.KeyDetails{PerDay: 5}, 5, 20*time.Second + time.Hour},
		"both":          {store.KeyDetails{PerDay: 5, PerMinute: 2}, 2, 20 * time.Second},
	} {
		now := time.Date(2026, 1, 2, 22, 59, 40, 0, time.UTC)
		l := New(nil, nil)
		k := &store.Key{ID: "k", Details: c.details}
		for i := range c.calls {
			if wait, ok := l.Send(k, now); !ok {
				t.Fatalf("%s: call %d has to wait %v", name, i, wait)
			}
		}
		wait, ok := l.Send(k, now)
		if ok != (c.waits == 0) || wait != c.waits {
			t.Errorf("%s: then %v, %v", name, wait, ok)
		}
		if _, ok := l.Send(k, now.Add(wait)); !ok {
			t.Errorf("%s: still refused when the wait is over", name)
		}
		if got := l.Last(k); !got.LastUsed.Equal(now.Add(wait)) {
			t.Errorf("%s: last used %v", name, got.LastUsed)
		}
	}
}

// Counts go on where a process before this one left them, on the same day only.
func TestCountsSurvive(t *testing.T) {
	s, k := open(t)
	k.Details.PerDay = 2
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	first := New(s, slog.New(slog.DiscardHandler))
	first.Used(k, now)
	if _, ok := first.Send(k, now); !ok {
		t.Fatal("refused")
	}
	first.Flush(t.Context())
	got, err := s.KeyByHash(t.Context(), k.Hash)
	if err != nil || got.Use != (store.KeyUse{LastUsed: now, Day: "2026-01-02", Sends: 1}) {
		t.Fatalf("stored %+v, %v", got.Use, err)
	}
	got.Details.PerDay = 2
	second := New(s, slog.New(slog.DiscardHandler))
	_, one := second.Send(&got, now)
	_, two := second.Send(&got, now)
	_, tomorrow := second.Send(&got, now.Add(24*time.Hour))
	if !one || two || !tomorrow {
		t.Errorf("second call %v, third %v, tomorrow's %v", one, two, tomorrow)
	}
}

type failing struct {
	fails int
	got   []map[string]store.KeyUse
}

func (f *failing) NoteKeyUse(_ context.Context, uses map[string]store.KeyUse) error {
	if f.fails--; f.fails >= 0 {
		return errors.New("no")
	}
	f.got = append(f.got, uses)
	return nil
}

// What could not be stored is stored later; what did not change is not stored again; the
// rest is stored at the end.
func TestRunStoresWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{fails: 1}
		l := New(f, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		l.Used(&store.Key{ID: "a"}, time.Now())
		time.Sleep(3*Every + time.Second)
		l.Used(&store.Key{ID: "b"}, time.Now())
		cancel()
		<-done
		if len(f.got) != 3 || len(f.got[0]) != 1 || len(f.got[1]) != 0 || len(f.got[2]) != 1 {
			t.Errorf("stored %v", f.got)
		}
		l.Send(&store.Key{ID: "c"}, time.Now()) // of a request that a door finishes while it drains
		l.Flush(context.Background())
		if last := f.got[len(f.got)-1]; len(last) != 1 || last["c"].Sends != 1 {
			t.Errorf("stored at last %v", last)
		}
	})
}
