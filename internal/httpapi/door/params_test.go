package door

import (
	"strings"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	for s, want := range map[string]string{
		"1740437043":                      "2025-02-24T22:44:03Z",
		"1740437043.641821":               "2025-02-24T22:44:03.641821Z",
		"1740437043.6418219999":           "2025-02-24T22:44:03.641821999Z",
		"1740437043.":                     "2025-02-24T22:44:03Z",
		"0":                               "1970-01-01T00:00:00Z",
		"Mon, 24 Feb 2025 22:44:03 +0100": "2025-02-24T21:44:03Z",
		"Mon, 24 Feb 2025 22:44:03 -0000": "2025-02-24T22:44:03Z",
		"Mon, 24 Feb 2025 22:44:03 GMT":   "2025-02-24T22:44:03Z",
		"24 Feb 2025 22:44:03 EST":        "2025-02-25T03:44:03Z",
		"Sat, 1 Mar 2025 22:44:03 UTC":    "2025-03-01T22:44:03Z",
	} {
		got, err := ParseDate(s)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: got %v, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", "-1", "1e9", "0x10", "NaN", "inf", "1_000", "99999999999999", "1740437043.6x", "Mon, 24 Feb 2025 22:44:03", "Mon, 24 Feb 2025 22:44:03 XYZ", "2025-02-24T22:44:03Z",
		"Mon, 32 Feb 2025 22:44:03 GMT", "1 Jan 0001 00:00:00 GMT", strings.Repeat("1", 100)} {
		if got, err := ParseDate(s); err == nil {
			t.Errorf("%q was read as %v", s, got)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"1740437043.641821", "Mon, 24 Feb 2025 22:44:03 +0100", "24 Feb 2025 22:44 EST", "-0", "1."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := ParseDate(s); err == nil && (got.Year() < 1970 || got.Year() > 9999 || got.Location() != time.UTC) {
			t.Errorf("%q was read as %v", s, got)
		}
	})
}

func TestNumbers(t *testing.T) {
	for s, want := range map[string]int{"": 7, "5": 5, " 5 ": 5, "2147483647": 2147483647} {
		p := Params{map[string][]string{"n": {s}}}
		if got, err := p.Number("n", 1, 7); got != want || err != nil {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"0", "-1", "x", "1.5", "2147483648", "99999999999999999999"} {
		p := Params{map[string][]string{"n": {s}}}
		if got, err := p.Number("n", 1, 7); err == nil {
			t.Errorf("%q was read as %d", s, got)
		}
	}
}
