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
	ago := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	for name, c := range map[string]struct {
		evidence, notices, events time.Time
	}{
		"both are up to date":                  {ago(0), ago(0), ago(720)},
		"they lag, but less than events":       {ago(700), ago(710), ago(720)},
		"evidence lags more: events wait":      {ago(900), ago(0), ago(900)},
		"notices lag more: events wait":        {ago(0), ago(900), ago(900)},
		"events wait for the slower":           {ago(800), ago(900), ago(900)},
		"evidence has not begun: nothing goes": {time.Time{}, ago(0), time.Time{}},
		"notices have not begun: nothing goes": {ago(0), time.Time{}, time.Time{}},
	} {
		if got, want := retentionAt(now, r, c.evidence, c.notices), (store.Retention{Content: now.Add(-72 * time.Hour), Events: c.events}); got != want {
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
