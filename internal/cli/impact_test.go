package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

// impactOf reads an answer as the server gave it.
func impactOf(t *testing.T) (r apiclient.Impact, raw []byte) {
	t.Helper()
	// The golden answer of the room that makes it: both sides of the contract see the same.
	raw, err := os.ReadFile(filepath.Join("..", "impact", "testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r, raw
}

func showImpactText(t *testing.T, r apiclient.Impact) string {
	t.Helper()
	var out bytes.Buffer
	s := &session{env: Env{Stdout: &out}, globals: globals{Output: "table"}}
	if err := s.showImpact(r, time.Date(2026, 11, 4, 14, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The whole page, for review.
func TestImpactGolden(t *testing.T) {
	r, _ := impactOf(t)
	got := showImpactText(t, r)
	for line := range strings.Lines(got) {
		checkHarmless(t, "table", strings.TrimSuffix(line, "\n"))
	}
	path := filepath.Join("testdata", "impact.golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page differs from %s; if that is meant, run the test with -update and review the difference:\n%s", path, got)
	}
}

// Everything that people are shown is read from the answer under its name: a field
// that the server calls otherwise would be zero here and nobody would notice.
func TestImpactReadsTheAnswer(t *testing.T) {
	r, raw := impactOf(t)
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	back, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read map[string]any
	if err := json.Unmarshal(back, &read); err != nil {
		t.Fatal(err)
	}
	for name := range read {
		if _, ok := all[name]; !ok {
			t.Errorf("the answer has no %q", name)
		}
	}
	switch {
	case r.Messages == 0, len(r.Pairs) != 4, len(r.Warnings) == 0, len(r.Suggestions) == 0, r.Others == nil, r.Others.Messages == 0,
		r.Probes == nil, r.Probes.Wanted == 0, r.OwnFlags == 0, r.Scan.Events == 0, !r.Scan.Complete, r.Scan.CoveredFrom.IsZero(),
		r.Recipients[0].Facts.At == nil, len(r.Recipients[0].Outcomes) != 4, !current(r).RequireTLS, current(r).NotDelivered.Messages == 0:
		t.Errorf("something was not read: %+v", r)
	}
}

func TestImpactTellsWhatItRestsOn(t *testing.T) {
	r, _ := impactOf(t)
	r.Scan.Complete, r.Scan.CutBy, r.Scan.Events = false, "events", 200_000
	if got := showImpactText(t, r); !strings.Contains(got, "Only mail since 2026-10-05 14:00 UTC was looked at: reading stopped at a limit (events) after 200000 events.") {
		t.Errorf("a cut is not told:\n%s", got)
	}
	if got := showImpactText(t, apiclient.Impact{Domain: "x.example", Days: 7}); got != "no mail of x.example in the last 7 days: there is nothing to tell from\n" {
		t.Errorf("%q", got)
	}
}
