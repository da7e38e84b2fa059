package door

import (
	"testing"
	"time"
)

func TestParseSpan(t *testing.T) {
	end := time.Date(2026, 3, 31, 17, 30, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"7d": "2026-03-24T17:30:00Z", "3h": "2026-03-31T14:30:00Z", "1m": "2026-03-03T17:30:00Z" /* there is no 31 February */, "12m": "2025-03-31T17:30:00Z",
	} {
		if got, err := ParseSpan(s, end); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s before is %v, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "0d", "-1d", "1", "1w", "1.5h", "99999999999d", "1000000m", "\uff11d"} {
		if _, err := ParseSpan(s, end); err == nil {
			t.Errorf("%q is a span", s)
		}
	}
}
