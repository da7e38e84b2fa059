package app

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every call that clients of Mailgun are known to make has a row in the table: it is served, or
// answered with the reason why it is not. A client's person is never left with a bare "Not Found".
// testdata/calls.txt names the calls, with {} for what varies.
func TestEveryKnownCallIsAnswered(t *testing.T) {
	known, err := os.ReadFile("testdata/calls.txt")
	if err != nil {
		t.Fatal(err)
	}
	var table []string
	for _, rt := range served(t) {
		table = append(table, rt.Method+" "+regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(rt.Pattern, "{}"))
	}
	for call := range strings.Lines(string(known)) {
		if call = strings.TrimSpace(call); !slices.Contains(table, call) {
			t.Errorf("%s has no row", call)
		}
	}
}
