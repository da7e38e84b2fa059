package sendopt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/strictjson"
)

func TestParseTime(t *testing.T) {
	want := time.Date(2025, 2, 4, 22, 44, 3, 0, time.UTC)
	for _, s := range []string{
		"Tue, 04 Feb 2025 22:44:03 GMT", "Tue, 4 Feb 2025 22:44:03 +0000", "4 Feb 2025 22:44:03 -0000", "Tue, 4 Feb 2025 17:44:03 EST",
		" Tue,  4 Feb 2025 14:44:03 pst ", "1738709043", "1738709043.0", "Wed, 5 Feb 2025 00:44:03 +0200", "Tue, 04 Feb 2025 22:44:03 UTC",
	} {
		if got, ok := ParseTime(s); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
	if got, _ := ParseTime("1738709043.5"); got.Sub(want) != 500*time.Millisecond {
		t.Errorf("fraction: %v", got)
	}
	for _, s := range []string{"", "x", "NaN", "Inf", "1e300", "Tue, 4 Feb 2025 22:44:03 XYZ", "2025-02-04T22:44:03Z", "Tue, 32 Feb 2025 22:44:03 GMT", strings.Repeat("1", 65)} {
		if got, ok := ParseTime(s); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func TestDeliveryTimes(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	parse := func(pairs ...string) (Options, error) {
		return Parse(fields(pairs...), nil, now, horizon)
	}
	if o, err := parse("o:deliverytime", "1738709043"); err != nil || !o.Due.IsZero() {
		t.Errorf("the past is %v, %v; want now", o.Due, err)
	}
	if o, err := parse("o:deliverytime", "Mon, 23 Nov 2026 13:00:00 GMT"); err != nil || o.Due.Sub(now) != time.Hour {
		t.Errorf("in an hour is %v, %v", o.Due, err)
	}
	for value, want := range map[string]time.Duration{"5m": 5 * time.Minute, "24h": 24 * time.Hour, "1h30m": 90 * time.Minute, "90m": 90 * time.Minute, "1H": time.Hour} {
		if o, err := parse("o:deliver-within", value); err != nil || o.Within != want {
			t.Errorf("%s is %v, %v", value, o.Within, err)
		}
	}
	for _, value := range []string{"4m", "24h1m", "h", "1d", "30m1h", "-1h", "1h 30m", "99999h"} {
		if o, err := parse("o:deliver-within", value); err == nil {
			t.Errorf("%s is %v", value, o.Within)
		}
	}
}

func TestTagsAreCleaned(t *testing.T) {
	o, err := Parse(fields("o:tag", "Wélcome", "o:TAG", "wlcome", "o:tag", " ", "o:tag", "b"), nil, time.Now(), horizon)
	if err != nil || strings.Join(o.Tags, ",") != "Wlcome,b" {
		t.Errorf("%q, %v", o.Tags, err)
	}
}

func TestVariablesHeaderIsASCIIAndReadsBack(t *testing.T) {
	in := map[string]string{"a": "ü", "b": "😀 \u2028 <&>", "c": "line\nbreak \"q\""}
	header := VariablesHeader(in)
	for i := range len(header) {
		if header[i] < ' ' || header[i] > '~' {
			t.Fatalf("%q is not ASCII", header)
		}
	}
	object, err := strictjson.Object(header)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range in {
		if strictjson.Text(object[k]) != v {
			t.Errorf("%s came back as %q", k, strictjson.Text(object[k]))
		}
	}
}

func FuzzParseOptions(f *testing.F) {
	for _, p := range [][2]string{{"o:require-tls", "yes"}, {"h:X-A", "b"}, {"v:k", "x"}, {"o:deliverytime", "1.5"}, {"o:tag", "a"}, {"h:X-Mailgun-Variables", "{}"}, {"o:deliver-within", "1h"}} {
		f.Add(p[0], p[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		now := time.Unix(1_800_000_000, 0)
		for _, both := range [][2][]compose.Field{{fields(name, value), nil}, {nil, fields(name, value)}} {
			o, err := Parse(both[0], both[1], now, horizon)
			if e, ok := errors.AsType[*Error](err); err != nil && (!ok || strings.ContainsAny(e.Problem, "\r\n\x00")) {
				t.Fatalf("%q=%q: %v", name, value, err)
			}
			if !o.Due.IsZero() && (!o.Due.After(now) || o.Due.After(now.Add(horizon))) {
				t.Errorf("%q is due %v", value, o.Due)
			}
		}
	})
}

const horizon = 3 * 24 * time.Hour

func fields(pairs ...string) []compose.Field {
	var list []compose.Field
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, compose.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}
