package mtasts

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	const good = "v=STSv1; id=20160831085700Z;"
	tests := []struct {
		name  string
		texts []string
		id    string
		err   string // part of it; "" is none
	}{
		{"RFC example", []string{good}, "20160831085700Z", ""},
		{"no delimiter at the end", []string{"v=STSv1; id=1"}, "1", ""},
		{"no space", []string{"v=STSv1;id=1;"}, "1", ""},
		{"white space around", []string{"v=STSv1; \t id=1 \t ; "}, "1", ""},
		{"extensions before and after", []string{"v=STSv1; a=b; id=1; x-y_z.9=~!@:;"}, "1", ""},
		{"id of 32", []string{"v=STSv1; id=" + strings.Repeat("a", 32)}, strings.Repeat("a", 32), ""},
		{"beside records of others", []string{"v=spf1 -all", good, "v=TLSRPTv1; rua=mailto:a@b.test"}, "20160831085700Z", ""},
		{"the first id counts", []string{"v=STSv1; id=1; id=2;"}, "1", ""},

		{"nothing", nil, "", ErrNoRecord.Error()},
		{"others only", []string{"v=spf1 -all", ""}, "", ErrNoRecord.Error()},
		{"another version", []string{"v=STSv2; id=1;"}, "", ErrNoRecord.Error()},
		{"version in lower case", []string{"v=stsv1; id=1;"}, "", ErrNoRecord.Error()},
		{"space before", []string{" v=STSv1; id=1;"}, "", ErrNoRecord.Error()},
		{"space before the first semicolon", []string{"v=STSv1 ; id=1;"}, "", ErrNoRecord.Error()},
		{"version alone", []string{"v=STSv1"}, "", ErrNoRecord.Error()},

		{"two", []string{good, "v=STSv1; id=2;"}, "", "several"},
		{"the same twice", []string{good, good}, "", "several"},
		{"two, one malformed", []string{good, "v=STSv1;"}, "", "several"},
		{"no id", []string{"v=STSv1;"}, "", "has no id"},
		{"no id but an extension", []string{"v=STSv1; a=b"}, "", "has no id"},
		{"ID in upper case is another field", []string{"v=STSv1; ID=1"}, "", "has no id"},
		{"empty id", []string{"v=STSv1; id=;"}, "", "malformed"},
		{"id of 33", []string{"v=STSv1; id=" + strings.Repeat("a", 33)}, "", "is not 1 to 32"},
		{"id with a dash", []string{"v=STSv1; id=2016-08-31"}, "", "is not 1 to 32"},
		{"space inside", []string{"v=STSv1; id=1 2"}, "", "malformed"},
		{"space around equals", []string{"v=STSv1; id = 1"}, "", "malformed"},
		{"no equals", []string{"v=STSv1; id=1; flag"}, "", "malformed"},
		{"equals in a value", []string{"v=STSv1; id=1; a=b=c"}, "", "malformed"},
		{"empty field", []string{"v=STSv1;; id=1"}, "", "empty field"},
		{"name too long", []string{"v=STSv1; id=1; " + strings.Repeat("a", 33) + "=1"}, "", "malformed"},
		{"not ASCII", []string{"v=STSv1; id=1; a=ü"}, "", "malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := ParseRecord(tt.texts)
			checkError(t, err, tt.err)
			if id != tt.id {
				t.Errorf("id %q, want %q", id, tt.id)
			}
		})
	}
}

// checkError checks that err says want, or is nil for "".
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestParsePolicy(t *testing.T) {
	lines := func(l ...string) string { return strings.Join(l, "\n") + "\n" }
	simple := Policy{Mode: Enforce, MX: []string{"mx.example.test"}, MaxAge: time.Minute,
		Lines: []string{"version: STSv1", "mode: enforce", "mx: mx.example.test", "max_age: 60"}}
	with := func(change func(p *Policy)) Policy {
		p := simple
		p.Lines = slices.Clone(p.Lines)
		change(&p)
		return p
	}
	long := strings.Repeat("a", 63)
	tests := []struct {
		name string
		body string
		want Policy
		err  string
	}{
		{"LF", lines(simple.Lines...), simple, ""},
		{"CRLF", strings.Join(simple.Lines, "\r\n") + "\r\n", simple, ""},
		{"no line end", strings.Join(simple.Lines, "\n"), simple, ""},
		{"white space at the ends", "version:STSv1 \t\r\nmode: \t enforce \nmx: mx.example.test\nmax_age:60 ", with(func(p *Policy) {
			p.Lines = []string{"version:STSv1", "mode: \t enforce", "mx: mx.example.test", "max_age:60"}
		}), ""},
		{"empty lines", "\n\r\n" + lines(simple.Lines...) + "\n \r\n\n", simple, ""},
		{"any order", lines("max_age: 60", "mx: mx.example.test", "mode: enforce", "version: STSv1"), with(func(p *Policy) { slices.Reverse(p.Lines) }), ""},
		{"several mx, case and wildcard", lines("version: STSv1", "mode: testing", "mx: MX1.Example.test", "mx: *.Example.NET", "max_age: 0"), Policy{
			Mode: Testing, MX: []string{"mx1.example.test", "*.example.net"},
			Lines: []string{"version: STSv1", "mode: testing", "mx: MX1.Example.test", "mx: *.Example.NET", "max_age: 0"},
		}, ""},
		{"none without mx", lines("version: STSv1", "mode: none", "max_age: 60"), Policy{
			Mode: None, MaxAge: time.Minute, Lines: []string{"version: STSv1", "mode: none", "max_age: 60"},
		}, ""},
		{"none with mx", lines("version: STSv1", "mode: none", "mx: a.test", "max_age: 60"), Policy{
			Mode: None, MX: []string{"a.test"}, MaxAge: time.Minute, Lines: []string{"version: STSv1", "mode: none", "mx: a.test", "max_age: 60"},
		}, ""},
		{"the first counts", lines(append(slices.Clone(simple.Lines), "version: STSv9", "mode: none", "max_age: x")...), with(func(p *Policy) {
			p.Lines = append(p.Lines, "version: STSv9", "mode: none", "max_age: x")
		}), ""},
		{"unknown fields", lines(append(slices.Clone(simple.Lines), "Mode: whatever", "x-1.y: für : alle")...), with(func(p *Policy) {
			p.Lines = append(p.Lines, "Mode: whatever", "x-1.y: für : alle")
		}), ""},
		{"max_age above the cap", lines("version: STSv1", "mode: enforce", "mx: mx.example.test", "max_age: 9999999999"), with(func(p *Policy) {
			p.MaxAge, p.Lines[3] = 31_557_600*time.Second, "max_age: 9999999999"
		}), ""},
		{"longest label", lines("version: STSv1", "mode: enforce", "mx: "+long+".test", "max_age: 60"), with(func(p *Policy) {
			p.MX, p.Lines[2] = []string{long + ".test"}, "mx: "+long+".test"
		}), ""},

		{"empty", "", Policy{}, "no version"},
		{"no version", lines(simple.Lines[1:]...), Policy{}, "no version"},
		{"no mode", lines(simple.Lines[0], simple.Lines[2], simple.Lines[3]), Policy{}, "no mode"},
		{"no mx", lines(simple.Lines[0], simple.Lines[1], simple.Lines[3]), Policy{}, "no mx"},
		{"testing without mx", lines("version: STSv1", "mode: testing", "max_age: 60"), Policy{}, "no mx"},
		{"no max_age", lines(simple.Lines[:3]...), Policy{}, "no max_age"},
		{"another version", "version: STSv2\n", Policy{}, "is not STSv1"},
		{"version in lower case", "version: stsv1\n", Policy{}, "is not STSv1"},
		{"another mode", "version: STSv1\nmode: report\n", Policy{}, "is none of"},
		{"mode in upper case", "mode: Enforce\n", Policy{}, "is none of"},
		{"max_age negative", "max_age: -1\n", Policy{}, "not a number"},
		{"max_age with sign", "max_age: +1\n", Policy{}, "not a number"},
		{"max_age with unit", "max_age: 1d\n", Policy{}, "not a number"},
		{"max_age of eleven digits", "max_age: 10000000000\n", Policy{}, "not a number"},
		{"max_age empty", "max_age:\n", Policy{}, "empty"},
		{"HTML", "<!DOCTYPE html>\n<html>\n", Policy{}, "is no field"},
		{"space before the colon", "mode : enforce\n", Policy{}, "is no field"},
		{"folded line", "version: STSv1\n mode: enforce\n", Policy{}, "is no field"},
		{"byte order mark", "\ufeffversion: STSv1\n", Policy{}, "is no field"},
		{"bare CR", "version: STSv1\rmode: enforce\n", Policy{}, "unreadable"},
		{"NUL", "version: STSv1\nx: \x00\n", Policy{}, "unreadable"},
		{"not UTF-8", "x: \xff\n", Policy{}, "unreadable"},
		{"too large", "x: " + strings.Repeat("a", MaxPolicySize), Policy{}, "larger"},
	}
	for _, mx := range []string{"*", "*.", "*.*.test", "mx.*.test", "m*.test", ".test", "a..test", "mx.test.", "-a.test", "a-.test", "mx@test", "[192.0.2.1]", "bücher.test", "a b.test",
		long + "a.test", strings.Repeat("a.", 127) + "aa"} {
		tests = append(tests, struct {
			name string
			body string
			want Policy
			err  string
		}{"mx " + mx, "mx: " + mx + "\n", Policy{}, "neither a host name"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParsePolicy(tt.body)
			checkError(t, err, tt.err)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("policy (-want +got):\n%s", d)
			}
		})
	}
}

func TestLists(t *testing.T) {
	tests := []struct {
		pattern, host string
		want          bool
	}{
		{"mx.example.net", "mx.example.net", true},
		{"mx.example.net", "MX.Example.NET", true},
		{"mx.example.net", "mx.example.net.", true},
		{"mx.example.net", "mx2.example.net", false},
		{"mx.example.net", "a.mx.example.net", false},
		{"mx.example.net", "example.net", false},
		{"*.example.net", "mx.example.net", true},
		{"*.example.net", "example.net", false},
		{"*.example.net", ".example.net", false},
		{"*.example.net", "a.b.example.net", false},
		{"*.example.net", "mx.example.net.evil.test", false},
		{"*.example.net", "mxexample.net", false},
		{"*.example.net", "mx.anexample.net", false},
		{"*.net", "example.net", true},
		{"*.net", "mx.example.net", false},
		{"mx.example.net", "", false},
		{"*.example.net", "", false},
	}
	for _, tt := range tests {
		p := Policy{MX: []string{"other.test", tt.pattern}}
		if got := p.Lists(tt.host); got != tt.want {
			t.Errorf("%q lists %q: %t, want %t", tt.pattern, tt.host, got, tt.want)
		}
	}
	if (Policy{}).Lists("mx.example.net") {
		t.Error("no policy lists a host")
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;", "v=spf1 -all")
	f.Add("v=STSv1;a=b;id=1", "v=STSv1; id=2")
	f.Add("v=STSv1; \t;", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		id, err := ParseRecord([]string{a, b})
		if (err == nil) != isID(id) {
			t.Fatalf("%q, %q: id %q and error %v", a, b, id, err)
		}
		if err == nil && !strings.Contains(a+b, "id="+id) {
			t.Fatalf("%q, %q: id %q is in neither", a, b, id)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q, %q: error shows foreign bytes: %q", a, b, err)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("version: STSv1\nmode: enforce\nmx: mx.example.test\nmx: *.example.net\nmax_age: 604800\n")
	f.Add("version: STSv1\r\nmode: none\r\nmax_age: 0\r\n")
	f.Add("version:STSv1 \nmode:testing\nmx:A.test\nmax_age:9999999999\nx: ü\n\n")
	f.Fuzz(func(t *testing.T, body string) {
		p, err := ParsePolicy(body)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("error shows foreign bytes: %q", err)
			}
			return
		}
		if p.MaxAge < 0 || p.MaxAge > MaxAge || len(p.MX) == 0 && p.Mode != None || p.Mode.State() == 0 {
			t.Fatalf("impossible policy %+v", p)
		}
		for _, mx := range p.MX {
			if host, wild := strings.CutPrefix(mx, "*."); wild && (!p.Lists("a."+host) || p.Lists("a.b."+host) && !slices.Contains(p.MX, "*.b."+host) && !slices.Contains(p.MX, "a.b."+host)) {
				t.Fatalf("wildcard %q of %q", mx, p.MX)
			} else if !wild && !p.Lists(mx) {
				t.Fatalf("%q is not listed by %q", mx, p.MX)
			}
		}
		// The store keeps the lines and reads them again after a restart.
		again, err := ParsePolicy(strings.Join(p.Lines, "\n"))
		if err != nil {
			t.Fatalf("read again: %v", err)
		}
		if d := cmp.Diff(p, again); d != "" {
			t.Fatalf("read again (-first +second):\n%s", d)
		}
	})
}
