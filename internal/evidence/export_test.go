package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/evidence/proof"
)

// Flip one byte anywhere in an export, and verification fails. Where the byte is in the
// line of a record, it names that record: by its line, and by its event unless the event's own
// id was hit. Every byte of both kinds of export is flipped, some in three ways.
func TestEveryFlippedByteIsFound(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	rg.fill(3)
	for name, f := range map[string]proof.Filter{"complete days": {}, "some records": {DomainID: 1}} {
		t.Run(name, func(t *testing.T) {
			export := rg.export(f)
			rep, records := rg.verify(export)
			if !rep.OK() || len(records) < 2 {
				t.Fatal(rep, len(records))
			}
			at := 0
			for n, line := range bytes.SplitAfter(slices.Clone(export), []byte("\n")) {
				for i := range line {
					for _, bit := range flips(at + i) {
						export[at+i] ^= bit
						rep, _ := rg.verify(export)
						export[at+i] ^= bit
						if rep.OK() {
							t.Fatalf("bit %02x of byte %d of line %d was flipped, and nobody saw it: %s", bit, i, n+1, line)
						}
						if !names(rep, int64(n+1), i, line) {
							t.Fatalf("bit %02x of byte %d of line %d was flipped; problems %v: %s", bit, i, n+1, rep.Problems, line)
						}
					}
				}
				at += len(line)
			}
		})
	}
}

// flips are the bits that are tried on a byte: the lowest on all, others on some.
func flips(at int) []byte {
	if at%8 == 0 {
		return []byte{0x01, 0x20, 0x80}
	}
	return []byte{0x01}
}

// names reports whether a problem names the record whose line had byte i changed; true
// for lines that are no record's.
func names(rep proof.Report, line int64, i int, text []byte) bool {
	const before = `{"record":`
	if !bytes.HasPrefix(text, []byte(before)) {
		return true
	}
	name := bytes.Index(text, []byte(`"event":"`))
	id := name + len(`"event":"`)
	return slices.ContainsFunc(rep.Problems, func(p proof.Problem) bool {
		switch {
		case p.Line != line:
			return false
		case i < len(before): // it does not look like a record's line any more
			return true
		case i >= name && i <= id+16: // its name was hit
			return p.Index >= 0
		}
		return p.Index >= 0 && p.Event == string(text[id:id+16])
	})
}

// A line that is taken out, put twice, moved, or cut off at any length.
func TestChangedLinesAreFound(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	rg.fill(5)
	for name, f := range map[string]proof.Filter{"complete days": {}, "some records": {DomainID: 1}} {
		t.Run(name, func(t *testing.T) {
			export := rg.export(f)
			lines := bytes.SplitAfter(export, []byte("\n"))
			lines = lines[:len(lines)-1]
			bad := func(what string, changed ...[]byte) {
				t.Helper()
				if rep, _ := rg.verify(bytes.Join(changed, nil)); rep.OK() {
					t.Errorf("%s was not seen", what)
				}
			}
			for i := range lines {
				bad(fmt.Sprint("without line ", i+1), slices.Delete(slices.Clone(lines), i, i+1)...)
				bad(fmt.Sprint("twice line ", i+1), slices.Insert(slices.Clone(lines), i, lines[i])...)
				if i > 0 {
					swapped := slices.Clone(lines)
					swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
					bad(fmt.Sprint("swapped line ", i+1), swapped...)
				}
			}
			for n := 0; n < len(export); n += 5 {
				bad(fmt.Sprint("cut at ", n), export[:n])
			}
			bad("something behind the end", export, []byte("\n"))
			bad("the export twice", export, export)
		})
	}
}

// An attacker who changes a record with its hash, or with a proof of another record.
func TestForgedRecordsAreFound(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	rg.fill(5)
	export := string(rg.export(proof.Filter{}))
	lines := strings.SplitAfter(export, "\n")
	record := lines[3]
	forged := strings.Replace(record, "r1@one", "r9@one", 1)
	raw := strings.TrimPrefix(forged[:strings.LastIndex(forged, `,"hash"`)], `{"record":`)
	forged = `{"record":` + raw + `,"hash":"` + recordHash(raw) + "\"}\n"
	rep, _ := rg.verify([]byte(strings.Replace(export, record, forged, 1)))
	if rep.OK() || !strings.Contains(rep.Problems[0].Text, "not those that were signed") {
		t.Errorf("problems %v", rep.Problems)
	}

	some := string(rg.export(proof.Filter{DomainID: 1}))
	lines = strings.SplitAfter(some, "\n")
	cut := func(line string) int { return strings.LastIndex(line, `,"proof"`) }
	mixed := lines[2][:cut(lines[2])] + lines[3][cut(lines[3]):]
	rep, _ = rg.verify([]byte(strings.Replace(some, lines[2], mixed, 1)))
	if rep.OK() || rep.Problems[0].Index != 0 {
		t.Errorf("problems %v", rep.Problems)
	}
}

// Somebody else's key proves nothing, and a file's own key is not trust.
func TestKeys(t *testing.T) {
	t.Parallel()
	rg, other := newRig(t), newRig(t)
	rg.fill(1)
	export := rg.export(proof.Filter{})
	rep, err := proof.Verify(t.Context(), bytes.NewReader(export), proof.Options{Keys: other.l.Keys()})
	if err != nil || rep.OK() || rep.Records != 0 {
		t.Errorf("another key: %+v, %v", rep, err)
	}
	rep, err = proof.Verify(t.Context(), bytes.NewReader(export), proof.Options{})
	if err != nil || !rep.OK() || rep.Trusted {
		t.Errorf("no key: %+v, %v", rep, err)
	}
	if _, err := proof.Verify(t.Context(), bytes.NewReader(export), proof.Options{Keys: []string{"rubbish"}}); err == nil {
		t.Error("rubbish was taken for a key")
	}
}

// After a change of keys: who knows only the old key can still follow, because it signs
// beside the new one; who knows only the new one can from then on.
func TestRotation(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	rg.fill(1)
	before := rg.export(proof.Filter{})
	old := rg.l.Keys()
	if err := rg.l.Rotate(); err != nil {
		t.Fatal(err)
	}
	rg.fill(1)
	after := rg.export(proof.Filter{})
	keys := rg.l.Keys()
	if len(keys) != 2 || keys[1] != old[0] || keys[0] == old[0] {
		t.Fatalf("keys %v after %v", keys, old)
	}
	for name, c := range map[string]struct {
		export []byte
		key    string
		ok     bool
	}{
		"old file, old key": {before, keys[1], true}, "new file, old key": {after, keys[1], true},
		"new file, new key": {after, keys[0], true}, "old file, new key": {before, keys[0], false},
	} {
		rep, err := proof.Verify(t.Context(), bytes.NewReader(c.export), proof.Options{Keys: []string{c.key}})
		if err != nil || rep.OK() != c.ok {
			t.Errorf("%s: %v, %v", name, rep.Problems, err)
		}
	}
	rg.open()
	if got := rg.l.Keys(); !slices.Equal(got, keys) {
		t.Errorf("after a restart %v", got)
	}
	rg.proven(proof.Filter{})
	// The key file is lost: a new one is made, and what the old ones signed still verifies.
	rg.remove(signingName)
	rg.open()
	if got := rg.l.Keys(); len(got) != 3 || !slices.Equal(got[1:], keys) {
		t.Errorf("after a loss %v", got)
	}
	rg.fill(1)
	rg.proven(proof.Filter{})
}

// A checkpoint that an auditor kept holds the operator to the records that it covered.
func TestKeptCheckpoint(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	day := rg.fill(3)[0].Day()
	rg.proven(proof.Filter{})
	kept := string(rg.read(day + ".checkpoint"))
	rg.fill(4)
	check := func(f proof.Filter) proof.Report {
		t.Helper()
		rep, err := proof.Verify(t.Context(), bytes.NewReader(rg.export(f)), proof.Options{Keys: rg.l.Keys(), Kept: kept})
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := check(proof.Filter{}); !rep.OK() {
		t.Error(rep.Problems)
	}
	if rep := check(proof.Filter{DomainID: 1}); rep.OK() {
		t.Error("some records cannot be compared")
	}
	// The operator writes the day anew, with other records, under the same key.
	for _, name := range []string{".log", ".tree", ".checkpoint"} {
		rg.remove(day + name)
	}
	rg.l.keys.ring.salt[0] ^= 1
	rg.l.mu.Lock()
	rg.l.signed = 0
	rg.l.drop()
	rg.l.mu.Unlock()
	rg.proven(proof.Filter{})
	if rep := check(proof.Filter{}); rep.OK() || !strings.Contains(rep.Problems[0].String(), "written anew") {
		t.Errorf("a day that was written anew: %v", rep.Problems)
	}
}

// What a domain's own key may see is that domain's records, each with its proof.
func TestFilters(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	first := rg.accept(1, "Ann@one.example", "ben@one.example")
	events := rg.settle(first, event.Delivered, "OK")
	rg.deliver(2, "ann@one.example")
	rg.deliver(1, "cid@one.example")
	day := events[0].Day()
	for name, c := range map[string]struct {
		f    proof.Filter
		want int
	}{
		"everything":    {proof.Filter{}, 4},
		"domain id":     {proof.Filter{DomainID: 1}, 3},
		"domain":        {proof.Filter{Domain: "d2.example"}, 1},
		"other domain":  {proof.Filter{DomainID: 1, Domain: "d2.example"}, 0},
		"message":       {proof.Filter{Message: first.ID}, 2},
		"foreign":       {proof.Filter{Message: first.ID, DomainID: 2}, 0},
		"Message-ID":    {proof.Filter{MessageID: first.Meta.MessageID}, 2},
		"recipient":     {proof.Filter{Recipient: "ANN@one.example"}, 2},
		"event":         {proof.Filter{Event: events[1]}, 1},
		"day":           {proof.Filter{From: day, To: day}, 4},
		"a day before":  {proof.Filter{To: "2020-01-01"}, 0},
		"a day after":   {proof.Filter{From: "2099-01-01"}, 0},
		"unknown event": {proof.Filter{Event: events[0] - 1}, 0},
	} {
		_, records := rg.proven(c.f)
		if len(records) != c.want {
			t.Errorf("%s: %d records, want %d", name, len(records), c.want)
		}
		for _, r := range records {
			if !c.f.Match(&r) {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	if export := string(rg.export(proof.Filter{DomainID: 2})); strings.Contains(export, "d1.example") {
		t.Error("a domain sees another's records")
	}
}

// Whatever a remote server says, it is one record, and reads back as the event log has it.
func TestHostileReplies(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	hostile := []string{
		"250 OK\n{\"v\":1,\"index\":1,\"event\":\"0000000000000001\"}\n", "\r\n\r\n", "nul \x00 nul", "\xff\xfe invalid", "\u2028\u2029",
		`"},"hash":"AAAA"}`, `\n\u000a\\"`, "</script><b>&amp;", strings.Repeat("\x01", 2000), "\x1b[31m",
	}
	for _, reply := range hostile {
		rg.settle(rg.accept(1, "a@one.example"), event.Delivered, reply)
	}
	_, records := rg.proven(proof.Filter{})
	if len(records) != len(hostile) {
		t.Fatalf("%d records of %d deliveries", len(records), len(hostile))
	}
	p, err := rg.s.Events(t.Context(), eventsOf(1))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range p.Items {
		if records[i].Event != e.ID || records[i].Status.Message != e.Data.Status.Message {
			t.Errorf("%q became %q", e.Data.Status.Message, records[i].Status.Message)
		}
	}
	if n := bytes.Count(rg.read(records[0].Event.Day()+".log"), []byte("\n")); n != len(hostile) {
		t.Errorf("%d lines", n)
	}
	if rep, got := rg.verify(rg.export(proof.Filter{DomainID: 1})); !rep.OK() || len(got) != len(hostile) {
		t.Error(rep.Problems)
	}
}

// An event that is longer than any record may be does not stop the log.
func TestOversizedEvent(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	rg.settle(rg.accept(1, "a@one.example"), event.Delivered, strings.Repeat("x", maxRecord))
	rg.fill(1)
	_, records := rg.proven(proof.Filter{})
	if len(records) != 2 || !strings.HasPrefix(records[0].Status.Description, "[shortened") || len(records[0].Status.Message) != maxText {
		t.Errorf("%d records", len(records))
	}
}

// Bit rot on disk in one record: the export of its day names it, and the proofs of all
// others hold.
func TestDamagedRecordOnDisk(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	events := rg.fill(4)
	rg.proven(proof.Filter{})
	day := events[0].Day()
	b := rg.read(day + ".log")
	at := bytes.Index(b, []byte("r1@one"))
	b[at] = '"' // not even JSON any more
	rg.write(day+".log", b)
	rep, _ := rg.verify(rg.export(proof.Filter{}))
	if len(rep.Problems) != 1 || rep.Problems[0].Index != 1 {
		t.Errorf("problems %v", rep.Problems)
	}
	for i, e := range events {
		_, records := rg.proven(proof.Filter{Event: e})
		if want := []int{1, 0, 1, 1}[i]; len(records) != want {
			t.Errorf("record %d: %d proven", i, len(records))
		}
	}
}

// The filter stands in the file as people would write it.
func TestHeaderShowsFilter(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	line, _, _ := bytes.Cut(rg.export(proof.Filter{Message: 0x0123456789abcdef, Recipient: "a@one.example"}), []byte("\n"))
	var h struct {
		Version int `json:"sealpost-evidence"`
		Filter  map[string]any
		Keys    []string
	}
	if err := json.Unmarshal(line, &h); err != nil || h.Version != 1 || h.Filter["message"] != "0123456789abcdef" || h.Filter["recipient"] != "a@one.example" || len(h.Keys) != 1 {
		t.Errorf("%s: %+v, %v", line, h, err)
	}
}

// A checkpoint on disk that somebody changed: the export names its day, and the others hold.
func TestDamagedCheckpointOnDisk(t *testing.T) {
	t.Parallel()
	rg := newRig(t)
	day := rg.fill(2)[0].Day()
	rg.proven(proof.Filter{})
	b := rg.read(day + ".checkpoint")
	b[len(b)-10] ^= 1
	rg.write(day+".checkpoint", b)
	rep, records := rg.verify(rg.export(proof.Filter{}))
	if rep.OK() || rep.Problems[0].Day != day || !strings.Contains(rep.Problems[0].Text, "the checkpoint") || len(records) != 0 {
		t.Errorf("problems %v", rep.Problems)
	}
}
