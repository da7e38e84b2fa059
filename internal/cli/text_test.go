package cli

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile are texts that servers, mail and clients may send us (SEC-37, SEC-75).
func hostile() map[string]string {
	return map[string]string{
		"colour":                   "250 \x1b[31mOK\x1b[0m",
		"clear screen":             "\x1b[2J\x1b[H",
		"title":                    "\x1b]0;owned\x07",
		"eight-bit CSI":            "\u009b31m",
		"bare C1 octet":            "a\x9bb",
		"carriage return":          "real\rfake",
		"line end":                 "one\ntwo",
		"backspace":                "abc\b\b\bxyz",
		"delete":                   "a\x7fb",
		"NUL":                      "a\x00b",
		"right-to-left override":   "invoice\u202efdp.exe",
		"isolate":                  "\u2066x\u2069",
		"line separator":           "a\u2028b",
		"zero width":               "pay\u200bpal",
		"not UTF-8":                "\xff\xfe",
		"beyond the basic plane":   "\U000e0041",
		"surrogate half, as UTF-8": "\xed\xa0\x80",
	}
}

func checkHarmless(t *testing.T, name, got string) {
	t.Helper()
	if !utf8.ValidString(got) {
		t.Errorf("%s: %q is not UTF-8", name, got)
	}
	for _, r := range got {
		if !strconv.IsPrint(r) {
			t.Errorf("%s: %q still has %U", name, got, r)
		}
	}
}

func TestCleanLeavesNothingThatATerminalObeys(t *testing.T) { // SEC-75
	for name, s := range hostile() {
		got := clean(s)
		checkHarmless(t, name, got)
		if got == s {
			t.Errorf("%s: %q was not changed", name, s)
		}
	}
	for _, s := range []string{"", "250 2.0.0 OK", "Grüße, 世界 🎉", `C:\path "quoted" 'single' <a@b>`} {
		if got := clean(s); got != s {
			t.Errorf("clean(%q) = %q, want it unchanged", s, got)
		}
	}
	if got, want := clean("\x1b[2J\x9b\u202e"), `\x1b[2J\x9b\u202e`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCleanLinesKeepsLinesAndTabsOnly(t *testing.T) {
	got := cleanLines("one\r\ntwo\tcolumns\x1b[2J\nfake\rline\n")
	if want := "one\ntwo\tcolumns\\x1b[2J\nfake\\rline\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableAlignsAndEscapes(t *testing.T) {
	tests := []struct {
		name string
		t    table
		want string
	}{
		{"columns are as wide as their widest cell", table{head: []string{"A", "LONGER"}, rows: [][]string{{"wide cell", "x"}, {"é", ""}}},
			"A          LONGER\nwide cell  x\né          -\n"},
		{"no head", table{rows: [][]string{{"a", "b"}}}, "a  b\n"},
		{"nothing to show", table{head: []string{"A"}, none: "nothing waits"}, "nothing waits\n"},
		{"a cell cannot begin a row of its own", table{rows: [][]string{{"250 ok\nroot  admin", "\x1b[2J"}}}, "250 ok\\nroot  admin  \\x1b[2J\n"},
		{"no spaces at the end", table{rows: [][]string{{"a", " "}, {"b", "c"}}}, "a\nb  c\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.t.write(&b); err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestTableCutsLongCells(t *testing.T) {
	var b bytes.Buffer
	if err := (&table{rows: [][]string{{strings.Repeat("ü", 4000), "end"}}}).write(&b); err != nil {
		t.Fatal(err)
	}
	if got, want := utf8.RuneCountInString(b.String()), maxCell+len("  end\n"); got != want {
		t.Errorf("the line has %d characters, want %d", got, want)
	}
}

// sameJSON reports whether two documents have the same value, as far as UTF-8 goes.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func TestCleanJSONKeepsTheValue(t *testing.T) { // SEC-75
	for name, s := range hostile() {
		raw, err := json.Marshal(map[string]string{"text": s, s: "as a name"})
		if err != nil {
			t.Fatal(err)
		}
		// encoding/json escapes some of them itself; a server need not.
		raw = bytes.ReplaceAll(raw, []byte(`\u2028`), []byte("\u2028"))
		got := cleanJSON(raw)
		checkHarmless(t, name, string(got))
		if !sameJSON(raw, got) {
			t.Errorf("%s: %s became %s", name, raw, got)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		checkHarmless(t, "clean", got)
		if again := clean(got); again != got {
			t.Errorf("cleaned twice, %q became %q", got, again)
		}
		for line := range strings.SplitSeq(cleanLines(s), "\n") {
			checkHarmless(t, "cleanLines", strings.ReplaceAll(line, "\t", ""))
		}
	})
}

func FuzzCleanJSON(f *testing.F) {
	for _, s := range hostile() {
		f.Add([]byte(`{"a":"` + s + `"}`))
	}
	f.Add([]byte(`["\ud83c\udf89","🎉",1e9,null,"\u007f"]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return // the client refuses it before
		}
		got := cleanJSON(raw)
		if !sameJSON(raw, got) {
			t.Errorf("%q became %q", raw, got)
		}
		for _, r := range string(got) {
			if r >= 0x7f && !strconv.IsPrint(r) {
				t.Errorf("%q still has %U", got, r)
			}
		}
	})
}
