package proof

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/mail"
)

const (
	// maxLine bounds the lines of a file that somebody handed over. Records have a
	// few KiB; an attempt that abandoned many connections has more.
	maxLine = 4 << 20
	// maxProblems is how many problems a report lists; the rest is counted.
	maxProblems = 100
)

// Options say what an export is measured against.
type Options struct {
	// Keys are verifier keys that came by another way than the file. Without any, the
	// keys in the file itself are used, and the report is not Trusted.
	Keys []string
	// Kept is a signed checkpoint that was copied earlier, while its day went on or
	// after: the records that it covered must be the first ones of the day's tree. Empty:
	// nothing is compared. Only a complete day can be compared with an earlier one.
	Kept string
	// Each, if not nil, is called with every record whose proof holds, in the order of
	// the file. The records of a complete day are proven once the day has ended, so its
	// calls come before that: what the report says at the end decides.
	Each func(r Record, c Checkpoint)
}

// A Problem is something in an export that does not hold.
type Problem struct {
	Line  int64  // in the file, from 1
	Day   string // empty if it concerns no day
	Index int64  // of the record in its day; -1 if it concerns no record
	Event string // of the record, as far as it can still be read
	Text  string
}

// String names the place, the record, and what is wrong. Day and event come from the file
// and have been read as such; the text holds nothing of the file.
func (p Problem) String() string {
	s := fmt.Sprintf("line %d: ", p.Line)
	if p.Index >= 0 {
		s += fmt.Sprintf("record %d", p.Index)
		if p.Day != "" {
			s += " of " + p.Day
		}
		if p.Event != "" {
			s += " (event " + p.Event + ")"
		}
		return s + ": " + p.Text
	}
	if p.Day != "" {
		s += "day " + p.Day + ": "
	}
	return s + p.Text
}

// A Day is a day of an export whose checkpoint holds.
type Day struct {
	Checkpoint
	Complete bool  // all its records are in the file; else those that were asked for
	Dropped  bool  // none are: the server keeps them no longer
	Records  int64 // of it in the file, whose proofs hold
}

// A Report is what came of a verification.
type Report struct {
	Trusted  bool // measured against keys that the file did not bring itself
	Days     []Day
	Records  int64     // whose proofs hold, or that are complete with their day
	Problems []Problem // in the order of the file; the first 100
	More     int64     // problems beyond those
}

// OK reports whether everything held.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Verify judges an export, in one pass and in little memory. The error is about reading the
// file, or about keys that are none; what is wrong with an export is in the report.
func Verify(ctx context.Context, r io.Reader, o Options) (Report, error) {
	v := &verifier{in: bufio.NewReaderSize(r, 64<<10), o: o, sum: sha256.New()}
	if len(o.Keys) > 0 {
		keys, err := Keys(o.Keys)
		if err != nil {
			return Report{}, err
		}
		v.keys, v.report.Trusted = keys, true
	}
	if err := v.run(ctx); err != nil {
		return v.report, fmt.Errorf("verify the export: %w", err)
	}
	return v.report, nil
}

// A verifier is one pass over a file.
type verifier struct {
	in     *bufio.Reader
	o      Options
	keys   note.Verifiers
	kept   *Checkpoint // of Options.Kept, until its day was compared
	report Report

	sum  hash.Hash // of the lines before the current one
	line int64     // the current one
	raw  []byte    // with its line end
	day  *dayCheck // nil before the first, and while the current one cannot be judged
	last *Checkpoint
	end  bool // the last line was seen
}

// A dayCheck is the day whose records are being read.
type dayCheck struct {
	line     int64
	form     dayLine
	cp       Checkpoint
	records  Edge // of the records as they are here
	given    Edge // of the hashes beside them
	next     int64
	last     mail.ID   // event of the record before
	named    bool      // a record was found wrong
	keptRoot tlog.Hash // at the size of the kept checkpoint
}

func (v *verifier) run(ctx context.Context) error {
	for {
		switch more, err := v.readLine(); {
		case err != nil:
			return err
		case !more:
			v.finish()
			return nil
		}
		if v.line%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if v.end {
			v.problem("there is more after the end of the export")
			return nil
		}
		if v.line == 1 {
			if !v.header() {
				return nil // nothing below can be judged
			}
		} else {
			v.other()
		}
		v.sum.Write(v.raw)
	}
}

// readLine reads the next line, or reports that there is none.
func (v *verifier) readLine() (bool, error) {
	v.raw = v.raw[:0]
	for {
		part, err := v.in.ReadSlice('\n')
		v.raw = append(v.raw, part...)
		switch {
		case len(v.raw) > maxLine:
			return false, fmt.Errorf("line %d has more than %d octets", v.line+1, maxLine)
		case err == nil, errors.Is(err, io.EOF) && len(v.raw) > 0:
			v.line++
			return true, nil
		case errors.Is(err, io.EOF):
			return false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return false, err
		}
	}
}

func (v *verifier) add(p Problem) {
	if len(v.report.Problems) == maxProblems {
		v.report.More++
		return
	}
	v.report.Problems = append(v.report.Problems, p)
}

// problem notes what is wrong with the current line as a whole.
func (v *verifier) problem(format string, args ...any) {
	v.add(Problem{Line: v.line, Index: -1, Text: fmt.Sprintf(format, args...)})
}

// header reads the first line.
func (v *verifier) header() bool {
	var h struct {
		Version int      `json:"sealpost-evidence"`
		Keys    []string `json:"keys"`
	}
	if err := json.Unmarshal(v.raw, &h); err != nil || h.Version == 0 {
		v.problem("this is not an export of evidence")
		return false
	}
	if h.Version != exportVersion {
		v.problem("the export has version %d; this program knows %d: use a newer one", h.Version, exportVersion)
		return false
	}
	if keys, err := Keys(h.Keys); err != nil || len(h.Keys) == 0 {
		v.problem("the keys of the export are damaged")
	} else if v.keys == nil {
		v.keys = keys
	}
	if v.keys == nil {
		return false
	}
	if v.o.Kept != "" {
		c, err := OpenCheckpoint(v.o.Kept, v.keys)
		if err != nil {
			v.problem("the checkpoint to compare with: %s", err)
			return false
		}
		v.kept = &c
	}
	return true
}

// other reads a line below the first.
func (v *verifier) other() {
	if l, ok := parseRecordLine(v.raw); ok {
		v.record(l)
		return
	}
	var l struct {
		dayLine
		End string `json:"end"`
	}
	err := json.Unmarshal(v.raw, &l)
	switch {
	case err == nil && l.End != "":
		v.closeDay()
		v.endLine(l.End)
	case err == nil && l.Day != "" && l.Checkpoint != "":
		v.closeDay()
		v.beginDay(l.dayLine)
	default:
		v.broken("the line cannot be read")
	}
}

// broken names the record of the current line as far as its octets allow.
func (v *verifier) broken(text string) {
	p := Problem{Line: v.line, Index: -1, Text: text}
	if v.day != nil {
		p.Day = v.day.form.Day
		v.day.named = true
	}
	if at := bytes.Index(v.raw, []byte(`record"`)); at >= 0 && at < 16 {
		p.Index, p.Event = v.nameOf(v.raw)
	}
	v.add(p)
}

var (
	eventText = regexp.MustCompile(`"event":"([0-9a-f]{16})"`)
	indexText = regexp.MustCompile(`"index":([0-9]{1,18}),`)
)

// nameOf finds the index and event of a record that may be damaged. Where the index
// cannot be read it is the one that is due.
func (v *verifier) nameOf(raw []byte) (index int64, event string) {
	if v.day != nil {
		index = v.day.next
	}
	head := raw[:min(len(raw), 256)] // both stand at the beginning
	if m := indexText.FindSubmatch(head); m != nil {
		index, _ = strconv.ParseInt(string(m[1]), 10, 64) // cannot fail with 18 digits
	}
	if m := eventText.FindSubmatch(head); m != nil {
		event = string(m[1])
	}
	return index, event
}

// finish looks at what is missing at the end of the file.
func (v *verifier) finish() {
	switch {
	case v.line == 0:
		v.line = 1
		v.problem("the file is empty")
	case !v.end:
		v.closeDay()
		v.problem("the export breaks off: it has no end line")
	case v.kept != nil:
		v.problem("the export does not hold all of %s, so that it cannot be compared with the checkpoint: export the whole day", v.kept.Day)
	}
}

func (v *verifier) endLine(signed string) {
	v.end = true
	n, err := note.Open([]byte(signed), v.keys)
	if err != nil {
		v.problem("the end of the export: the signature does not verify: %s", err)
		return
	}
	name := n.Sigs[0].Name
	if again, err := marshalLine(struct {
		End string `json:"end"`
	}{signed}); err != nil || !bytes.Equal(again, v.raw) {
		v.problem("the end of the export is not in its usual form")
		return
	}
	if !canonicalSignatures(signed) {
		v.problem("the end of the export: a signature is not in its usual form")
		return
	}
	if n.Text != endText(name, v.line-1, v.sum) {
		v.problem("the file is not what the server wrote: a line was changed, added or removed")
	}
}

// canonicalSignatures reports whether the base64 of all signatures is the one that
// their octets have. Two spellings of a signature would be two files with one meaning.
func canonicalSignatures(signed string) bool {
	_, list, _ := cutNote(signed)
	for _, line := range list {
		if !strictBase64(line) {
			return false
		}
	}
	return true
}
