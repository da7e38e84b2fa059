package envelopes

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// Mail can be put off up to the horizon and not a second further; the past is now.
func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const horizon = 72 * time.Hour
		now := time.Now().UTC()
		epoch := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
		for s, want := range map[string]time.Duration{epoch(horizon): horizon, epoch(time.Hour): time.Hour, epoch(0): 0, epoch(-time.Hour): 0, "1": 0} {
			if got, err := Due(s, "deliverytime", horizon); err != nil || !got.Equal(now.Add(want)) {
				t.Errorf("%s: %v, %v; want %v", s, got, err, now.Add(want))
			}
		}
		for _, s := range []string{"", "  ", "tomorrow", "-1", epoch(horizon + time.Second)} {
			if got, err := Due(s, "deliverytime", horizon); err == nil {
				t.Errorf("%q was taken for %v", s, got)
			}
		}
	})
}
