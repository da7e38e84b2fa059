package app

import (
	"testing"
	"time"
)

func TestLag(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		consumed time.Time
		want     time.Duration
	}{
		"current":          {now, 0},
		"late":             {now.Add(-time.Hour), time.Hour},
		"clock went back":  {now.Add(time.Hour), 0},
		"without a place":  {time.Time{}, time.Minute},
		"before the start": {now.Add(-2 * time.Minute), 2 * time.Minute},
	} {
		if got := lag(now, now.Add(-time.Minute), c.consumed); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
