package evidence

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/evidence/proof"
)

// exportPatience is how long an export waits for events that have no record yet.
const exportPatience = 5 * time.Second

// Export writes the records that the filter wants as one file that proves itself; see
// package proof. What was delivered before the call is in it, unless the log
// lags by more than a few seconds. An error after the first octet leaves a file without its last line, which
// does not verify.
func (l *Log) Export(ctx context.Context, w io.Writer, f proof.Filter) error {
	if err := l.export(ctx, w, f); err != nil {
		return fmt.Errorf("export evidence: %w", err)
	}
	return nil
}

func (l *Log) export(ctx context.Context, w io.Writer, f proof.Filter) error {
	patient, cancel := context.WithTimeout(ctx, exportPatience)
	err := l.catchUp(patient)
	cancel()
	if err != nil && !errors.Is(err, ErrContradiction) { // then an export is needed more than ever
		return err
	}
	days, err := l.checkpointDays()
	if err != nil {
		return err
	}
	ring := l.keyring()
	x, err := proof.NewWriter(w, proof.Header{Time: time.Now().UTC().Truncate(time.Second), Keys: ring.public, Filter: f})
	if err != nil {
		return err
	}
	from, to := f.Days()
	for _, day := range days {
		if day < from || to != "" && day > to {
			continue
		}
		if err := l.exportDay(ctx, x, day, f); err != nil {
			return err
		}
	}
	return x.End(ring.signers...)
}

// exportDay writes one day. What is no longer on disk as it was signed is written as
// it is, for the verification to name, where everything is wanted; where some records
// are, a damaged one is left out and logged, since nobody can say whose it was.
func (l *Log) exportDay(ctx context.Context, x *proof.Writer, day string, f proof.Filter) error {
	signed, c, err := l.readCheckpoint(day)
	if errors.Is(err, ErrContradiction) { // the verification will say so, and judge the other days
		l.log.Error("a checkpoint on disk does not hold", "error", err)
		return x.Day(day, signed, false, true)
	}
	if err != nil {
		return err
	}
	records, err := os.Open(l.path(day, recordSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return x.Day(day, signed, false, true)
	}
	if err != nil {
		return err
	}
	defer records.Close()
	tree, err := os.Open(l.path(day, treeSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return x.Day(day, signed, false, true)
	}
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := x.Day(day, signed, f.All(), false); err != nil {
		return err
	}
	if f.Event != 0 {
		done, err := proveEvent(x, records, storedTree{tree}, c, f)
		if done || err != nil {
			return err
		}
	}
	s := &scan{
		x: x, f: f, needle: needle(f), c: c, tree: storedTree{tree},
		lines: bufio.NewReaderSize(io.LimitReader(records, c.Octets), 256<<10), hashes: bufio.NewReaderSize(tree, 64<<10),
	}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("the evidence of %s: %w", day, err)
	}
	if s.damaged > 0 {
		l.log.Error("records on disk are not those that were signed", "day", day, "records", s.damaged, "first", s.first)
	}
	return nil
}

// A scan is one pass over the records of a day beside the leaves of its tree.
type scan struct {
	x      *proof.Writer
	f      proof.Filter
	needle []byte // octets that every wanted record has
	c      proof.Checkpoint
	tree   storedTree
	lines  *bufio.Reader
	hashes *bufio.Reader
	buf    []byte

	damaged, first int64
}

func (s *scan) run(ctx context.Context) error {
	for i := range s.c.Size {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := s.line()
		if err != nil {
			return err
		}
		leaf, err := s.leaf(i)
		if err != nil {
			return err
		}
		if err := s.record(i, line, leaf); err != nil {
			return err
		}
	}
	return nil
}

// line returns the next record, empty if the file has ended.
func (s *scan) line() ([]byte, error) {
	s.buf = s.buf[:0]
	for {
		part, err := s.lines.ReadSlice('\n')
		if len(s.buf)+len(part) <= maxRecord { // a longer one is damaged anyway
			s.buf = append(s.buf, part...)
		}
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return bytes.TrimSuffix(s.buf, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// leaf returns the hash of the leaf with that index, which must follow the last one,
// and passes over the inner nodes behind it.
func (s *scan) leaf(i int64) (h tlog.Hash, err error) {
	if _, err := io.ReadFull(s.hashes, h[:]); err != nil {
		return h, fmt.Errorf("read the tree: %w", err)
	}
	inner := tlog.StoredHashIndex(0, i+1) - tlog.StoredHashIndex(0, i) - 1
	_, err = s.hashes.Discard(int(inner) * tlog.HashSize)
	if errors.Is(err, io.EOF) && i == s.c.Size-1 {
		err = nil
	}
	return h, err
}

func (s *scan) record(i int64, line []byte, leaf tlog.Hash) error {
	good := tlog.RecordHash(line) == leaf
	if !good {
		if s.damaged == 0 {
			s.first = i
		}
		s.damaged++
	}
	if s.f.All() {
		if !good && !json.Valid(line) {
			line, _ = json.Marshal(strings.ToValidUTF8(string(line), "\uFFFD")) // a string always can be
		}
		return s.x.Leaf(line, leaf)
	}
	if !good || !bytes.Contains(line, s.needle) || !mayBeFor(s.f.Recipient, line) {
		return nil
	}
	r, err := proof.ParseRecord(line)
	if err != nil {
		return err // it is what was signed, so this is a bug
	}
	if !s.f.Match(&r) {
		return nil
	}
	p, err := tlog.ProveRecord(s.c.Size, i, s.tree)
	if err != nil {
		return err
	}
	return s.x.Proven(line, p)
}

// mayBeFor reports whether a record may have that recipient, without taking it
// apart: false is certain. Inside a string a quote is escaped, so that the name of a field is found
// where the field is.
func mayBeFor(recipient string, line []byte) bool {
	if recipient == "" {
		return true
	}
	_, rest, ok := bytes.Cut(line, []byte(`"recipient":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return !ok || bytes.IndexByte(value, '\\') >= 0 || strings.EqualFold(string(value), recipient)
}

// proveEvent finds one record by halving: records are in the order of their events. done
// is false if it was not found so, which damage can be the reason for.
func proveEvent(x *proof.Writer, records io.ReaderAt, tree storedTree, c proof.Checkpoint, f proof.Filter) (done bool, err error) {
	for lo, hi := int64(0), c.Octets; lo < hi; { // the record begins within
		begin, line, err := lineAround(records, lo+(hi-lo)/2, c.Octets)
		if err != nil {
			return false, err
		}
		index, event, ok := proof.ParseHead(line)
		switch {
		case !ok || index >= c.Size || event.Day() != c.Day:
			return false, nil
		case event < f.Event:
			lo = begin + int64(len(line)) + 1
			continue
		case event > f.Event:
			hi = begin
			continue
		}
		leaf, err := tree.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil || leaf[0] != tlog.RecordHash(line) {
			return false, err
		}
		r, err := proof.ParseRecord(line)
		if err != nil || !f.Match(&r) {
			return true, err
		}
		p, err := tlog.ProveRecord(c.Size, index, tree)
		if err != nil {
			return false, err
		}
		return true, x.Proven(line, p)
	}
	return false, nil // the scan has the last word: damage may have led us astray
}

// lineAround returns the line that holds the octet at that place, and where it begins.
// It is empty if it is longer than any record.
func lineAround(f io.ReaderAt, at, octets int64) (begin int64, line []byte, err error) {
	for window := int64(4 << 10); ; window *= 4 {
		from, to := max(at-window, 0), min(at+window, octets)
		b := make([]byte, to-from)
		if _, err := f.ReadAt(b, from); err != nil {
			return 0, nil, err
		}
		begin := bytes.LastIndexByte(b[:at-from], '\n') + 1
		end := bytes.IndexByte(b[at-from:], '\n')
		if end >= 0 && (begin > 0 || from == 0) {
			return from + int64(begin), b[begin : int(at-from)+end], nil
		}
		if window > maxRecord {
			return 0, nil, nil
		}
	}
}

// needle returns octets that every record that f wants has, so that most others need
// not be taken apart. Empty: f gives none.
func needle(f proof.Filter) []byte {
	quoted := func(name, value string) []byte {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if enc.Encode(value) != nil {
			return nil
		}
		return append([]byte(`"`+name+`":`), bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
	}
	switch {
	case f.Event != 0:
		return quoted("event", f.Event.String())
	case f.Message != 0:
		return quoted("message", f.Message.String())
	case f.MessageID != "":
		return quoted("message-id", f.MessageID)
	case f.DomainID != 0:
		return fmt.Appendf(nil, `"domain-id":%d,`, f.DomainID)
	case f.Domain != "":
		return quoted("domain", f.Domain)
	}
	return nil
}
