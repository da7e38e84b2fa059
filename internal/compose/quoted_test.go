package compose

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
)

// quoted encodes a text, written in pieces of n octets.
func quoted(t testing.TB, text string, n int) string {
	t.Helper()
	var b strings.Builder
	w := &qpWriter{w: &b}
	for len(text) > 0 {
		size := min(n, len(text))
		if _, err := io.WriteString(w, text[:size]); err != nil {
			t.Fatal(err)
		}
		text = text[size:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What another program reads is what was written, with CRLF for every line end.
func FuzzQuotedPrintable(f *testing.F) {
	for _, s := range []string{"", "a", "a \n b\t\r\nc \rd ", strings.Repeat("word ", 40), strings.Repeat("x", 300), strings.Repeat("<td>é=</td>", 30), " \n", "=\r\n=", ".\n.\nFrom x"} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		got := quoted(t, text, max(n%97, 1))
		if got != quoted(t, text, 1<<20) {
			t.Fatalf("%q depends on how it is written", text)
		}
		for line := range strings.SplitSeq(got, "\r\n") {
			if len(line) > 76 || strings.ContainsAny(line, "\r\n") || strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t") {
				t.Errorf("line %q of %q", line, text)
			}
		}
		want := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(text)
		back, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(got)))
		if err != nil || string(back) != want {
			t.Errorf("%q came back as %q, %v", want, back, err)
		}
		var own bytes.Buffer
		d := newDecoder("quoted-printable", &own)
		if _, err := io.WriteString(d, got); err != nil || d.Close() != nil || own.String() != want {
			t.Errorf("%q came back to us as %q", want, own.String())
		}
	})
}

// Two texts that differ in one word have the same lines again soon behind it, unless they repeat themselves with
// the length of a line.
func TestQuotedLinesMeetAgain(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, `<td style="width: %d">some more words of letter number %d</td>`, i*7919%1000, i*i)
	}
	rest := text.String()
	a, b := quoted(t, "Dear Ann, "+rest, 1000), quoted(t, "Dear Bartholomew, "+rest, 1000)
	lines := map[string]bool{}
	for line := range strings.SplitSeq(a, "\r\n") {
		lines[line] = true
	}
	differ := 0
	for line := range strings.SplitSeq(b, "\r\n") {
		if !lines[line] {
			differ++
		}
	}
	if differ > 20 { // of 120
		t.Errorf("%d lines differ", differ)
	}
}
