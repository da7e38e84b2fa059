package proof

import (
	"bytes"
	"encoding/base64"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// cutNote splits a signed note into its text and the lines of its signatures.
func cutNote(signed string) (text string, signatures []string, ok bool) {
	text, list, ok := strings.Cut(signed, "\n\n")
	return text, strings.Split(strings.TrimSuffix(list, "\n"), "\n"), ok
}

// strictBase64 reports whether the last word of a signature line is base64 without
// stray bits.
func strictBase64(line string) bool {
	b64 := line[strings.LastIndexByte(line, ' ')+1:]
	_, err := base64.StdEncoding.Strict().DecodeString(b64)
	return err == nil
}

// beginDay reads the line of a day and judges its checkpoint.
func (v *verifier) beginDay(form dayLine) {
	v.day = nil
	wrong := func(text string) {
		v.add(Problem{Line: v.line, Index: -1, Day: plainDay(form.Day), Text: "the checkpoint: " + text})
	}
	c, err := OpenCheckpoint(form.Checkpoint, v.keys)
	if err != nil {
		wrong(err.Error())
		return
	}
	again, err := marshalLine(form)
	switch {
	case c.Day != form.Day:
		wrong("it is of another day")
		return
	case err != nil, !bytes.Equal(again, v.raw), !canonicalSignatures(form.Checkpoint):
		wrong("the line is not in its usual form")
	}
	if last := v.last; last != nil {
		switch {
		case last.Day >= c.Day:
			wrong("the days are not in order")
		case !last.Sealed:
			wrong("the day before it, " + last.Day + ", is not sealed")
		case c.Previous != last.Day:
			wrong("it does not follow the day before it in the file, " + last.Day + ": a day is missing")
		case c.PreviousHash != last.Hash():
			wrong("it follows another " + last.Day + " than the one in the file")
		}
	}
	v.last = &c
	v.day = &dayCheck{line: v.line, form: form, cp: c}
	v.report.Days = append(v.report.Days, Day{Checkpoint: c, Complete: form.Complete, Dropped: form.Dropped})
}

// plainDay returns a day as it may be shown.
func plainDay(s string) string {
	if IsDay(s) {
		return s
	}
	return ""
}

// record judges the line of a record.
func (v *verifier) record(l recordLine) {
	d := v.day
	if d == nil {
		v.broken("it belongs to no day whose checkpoint holds")
		return
	}
	leaf := tlog.RecordHash(l.Record)
	index, event, ok := ParseHead(l.Record)
	if d.form.Complete {
		d.records.Add(leaf)
		if l.Hash != nil {
			d.given.Add(*l.Hash)
		} else {
			d.given.Add(leaf)
		}
		if v.kept != nil && v.kept.Day == d.form.Day && d.records.Size() == v.kept.Size {
			d.keptRoot = d.given.Root()
		}
	}
	due := d.next
	switch {
	case !ok:
		v.broken("it is not a record")
	case (l.Hash == nil) == d.form.Complete:
		v.broken("it has a proof of another kind than its day needs")
	case d.form.Complete && *l.Hash != leaf:
		v.broken("it is not the record that was signed")
	case !d.form.Complete && tlog.CheckRecord(l.Proof, d.cp.Size, d.cp.Root, index, leaf) != nil:
		v.broken("it is not the record that was signed")
	case event.Day() != d.form.Day:
		v.broken("its event is of another day")
	case d.form.Complete && index != due, index < due:
		v.broken("records before it are missing, or it is not in its place")
	case event <= d.last:
		v.broken("its event is not younger than the one before")
	default:
		v.report.Records++
		v.report.Days[len(v.report.Days)-1].Records++
		d.last = event
		v.each(l.Record)
	}
	if ok {
		d.next = index + 1
	} else {
		d.next++
	}
}

// each hands a record on that holds.
func (v *verifier) each(raw []byte) {
	if v.o.Each == nil {
		return
	}
	r, err := ParseRecord(raw)
	if err != nil {
		v.broken("it was signed, and this program cannot read it")
		return
	}
	v.o.Each(r, v.day.cp)
}

// closeDay judges what can be judged only when all records of a day were seen.
func (v *verifier) closeDay() {
	d := v.day
	v.day = nil
	if d == nil || !d.form.Complete {
		return
	}
	wrong := func(text string) {
		v.add(Problem{Line: d.line, Index: -1, Day: d.form.Day, Text: text})
	}
	if v.kept != nil && v.kept.Day == d.form.Day {
		if v.kept.Size > d.records.Size() || d.keptRoot != v.kept.Root {
			wrong("its records are not those of the checkpoint that was kept: the day was written anew")
		}
		v.kept = nil
	}
	if d.named {
		return // who is to blame was said
	}
	if d.records.Size() != d.cp.Size {
		wrong("the file does not have as many records as were signed")
	} else if d.records.Root() != d.cp.Root {
		wrong("the records are not those that were signed, and their hashes were changed with them")
	}
}
