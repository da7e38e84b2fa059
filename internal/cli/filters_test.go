package cli

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFiltersBecomeTheQueryOfTheAPI(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	yes, no := true, false
	tests := []struct {
		name string
		f    eventFilters
		want url.Values
	}{
		{"nothing", eventFilters{}, url.Values{}},
		{"expressions go as they are, and twice is twice",
			eventFilters{Event: []string{"failed OR rejected"}, Tags: []string{"a", "b,c"}, Severity: []string{"permanent"}, Recipient: []string{"x@y.example"}},
			url.Values{"event": {"failed OR rejected"}, "tags": {"a", "b,c"}, "severity": {"permanent"}, "recipient": {"x@y.example"}}},
		{"message ids lose their brackets", eventFilters{MessageID: []string{"<1@a.example>", "2@a.example"}}, url.Values{"message-id": {"1@a.example", "2@a.example"}}},
		{"direction", eventFilters{Ascending: &yes}, url.Values{"ascending": {"yes"}}},
		{"direction, other way", eventFilters{Ascending: &no}, url.Values{"ascending": {"no"}}},
		{"seconds since 1970 keep their decimals", eventFilters{Begin: "1795435200.123456", End: "0"}, url.Values{"begin": {"1795435200.123456"}, "end": {"0"}}},
		{"how long ago", eventFilters{Begin: "90m"}, url.Values{"begin": {"1795429800.000000"}}},
		{"a date is its beginning in UTC", eventFilters{Begin: "2026-11-23"}, url.Values{"begin": {"1795392000.000000"}}},
		{"RFC 3339 with a zone", eventFilters{Begin: "2026-11-23T13:00:00+01:00"}, url.Values{"begin": {"1795435200.000000"}}},
		{"date and time", eventFilters{Begin: "2026-11-23 12:00"}, url.Values{"begin": {"1795435200.000000"}}},
		{"RFC 2822", eventFilters{End: "Mon, 23 Nov 2026 13:00:00 +0100"}, url.Values{"end": {"1795435200.000000"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.f.query(now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFiltersThatMakeNoSenseAreUsageErrors(t *testing.T) {
	for _, f := range []eventFilters{{Begin: "yesterday"}, {End: "-5m"}, {Begin: "NaN"}, {Limit: maxEvents + 1}, {Limit: -1}} {
		if _, err := f.query(time.Unix(0, 0)); exitCode(err) != ExitUsage {
			t.Errorf("%+v: got %v, want a usage error", f, err)
		}
	}
}

func TestDirectionFollowsTheBounds(t *testing.T) {
	tests := []struct {
		q    url.Values
		want bool
	}{
		{url.Values{}, false},
		{url.Values{"begin": {"5"}}, false},
		{url.Values{"begin": {"5"}, "ascending": {"yes"}}, true},
		{url.Values{"begin": {"5"}, "end": {"10.5"}}, true},
		{url.Values{"begin": {"10.5"}, "end": {"5"}}, false},
		{url.Values{"begin": {"5"}, "end": {"5"}, "ascending": {"yes"}}, true},
	}
	for _, tt := range tests {
		if got := ascending(tt.q); got != tt.want {
			t.Errorf("ascending(%v) = %v, want %v", tt.q, got, tt.want)
		}
	}
}
