package app

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/store"
)

func TestRetentionAt(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	r := config.Retention{Content: 72 * time.Hour, Events: 720 * time.Hour, Evidence: 8760 * time.Hour}
	for name, c := range map[string]struct {
		consumed, events time.Time
	}{
		"the evidence is up to date":     {now.Add(-time.Second), now.Add(-720 * time.Hour)},
		"it lags, but less than events":  {now.Add(-700 * time.Hour), now.Add(-720 * time.Hour)},
		"it lags more: events wait":      {now.Add(-900 * time.Hour), now.Add(-900 * time.Hour)},
		"it has not begun: nothing goes": {time.Time{}, time.Time{}},
	} {
		if got, want := retentionAt(now, r, c.consumed), (store.Retention{Content: now.Add(-72 * time.Hour), Events: c.events}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// Content that is not to be kept does not wait for the hourly look.
func TestPruneInterval(t *testing.T) {
	for content, want := range map[time.Duration]time.Duration{
		0: time.Minute, time.Second: time.Minute, 10 * time.Minute: 10 * time.Minute, 72 * time.Hour: time.Hour,
	} {
		if got := pruneInterval(config.Retention{Content: content}); got != want {
			t.Errorf("content %v: every %v, want %v", content, got, want)
		}
	}
}
