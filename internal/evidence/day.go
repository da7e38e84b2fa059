package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/mail"
)

const (
	// bufferSize is how much waits in memory before it is written.
	bufferSize = 256 << 10
	// maxRecord bounds a record. Events are bounded at their source, far below this; a
	// longer line could not be verified.
	maxRecord = 2 << 20
	// maxText is what is left of a reply in a record that had to be shortened.
	maxText = 4 << 10
)

// A dayLog is the day that is being written.
type dayLog struct {
	day           string
	records, tree *os.File // of the records and of the hashes
	edge          proof.Edge
	octets        int64 // of the records, with what waits
	signed        int64 // records covered by the newest checkpoint
	last          mail.ID
	previous      string
	previousHash  tlog.Hash

	recordBuf, hashBuf []byte
}

// createDay begins a day. Whatever files of it there are were never signed.
func (l *Log) createDay(day string) (_ *dayLog, err error) {
	d := &dayLog{day: day}
	if l.sealed != nil {
		d.previous, d.previousHash = l.sealed.Day, l.sealed.Hash()
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.records, err = os.OpenFile(l.path(day, recordSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	if d.tree, err = os.OpenFile(l.path(day, treeSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	return d, syncDir(l.dir)
}

// resumeDay opens a day that is not sealed, as its checkpoint says it must be, and
// cuts off what was not signed.
func (l *Log) resumeDay(c proof.Checkpoint) (_ *dayLog, err error) {
	d := &dayLog{day: c.Day, octets: c.Octets, signed: c.Size, previous: c.Previous, previousHash: c.PreviousHash}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.records, err = openSigned(l.path(c.Day, recordSuffix), c.Octets); err != nil {
		return nil, err
	}
	if d.tree, err = openSigned(l.path(c.Day, treeSuffix), tlog.StoredHashCount(c.Size)*tlog.HashSize); err != nil {
		return nil, err
	}
	stored := storedTree{d.tree}
	if d.edge, err = proof.ReadEdge(c.Size, stored); err != nil {
		return nil, err
	}
	if d.edge.Root() != c.Root {
		return nil, fmt.Errorf("%w: the tree of %s does not have the root that was signed", ErrContradiction, c.Day)
	}
	line, err := lastLine(d.records, c.Octets)
	if err != nil {
		return nil, err
	}
	leaf, err := stored.ReadHashes([]int64{tlog.StoredHashIndex(0, c.Size-1)})
	if err != nil {
		return nil, err
	}
	r, err := proof.ParseRecord(line)
	if err != nil || tlog.RecordHash(line) != leaf[0] || r.Index != c.Size-1 || r.Event.Day() != c.Day {
		return nil, fmt.Errorf("%w: the last signed record of %s is not the one that was signed", ErrContradiction, c.Day)
	}
	d.last = r.Event
	return d, nil
}

// openSigned opens a file of which so many octets are signed, and cuts it there.
func openSigned(path string, octets int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is gone", ErrContradiction, path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < octets {
		err = fmt.Errorf("%w: %s has %d octets, and %d were signed", ErrContradiction, path, info.Size(), octets)
	}
	if err == nil {
		err = f.Truncate(octets)
	}
	if err == nil {
		_, err = f.Seek(octets, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lastLine returns the last line of the first octets of a file, without its end.
func lastLine(f io.ReaderAt, octets int64) ([]byte, error) {
	for window := min(octets, 64<<10); ; window = min(octets, 2*window) {
		b := make([]byte, window)
		if _, err := f.ReadAt(b, octets-window); err != nil {
			return nil, err
		}
		b, whole := bytes.CutSuffix(b, []byte("\n"))
		at := bytes.LastIndexByte(b, '\n')
		switch {
		case !whole:
			return nil, nil // which is no record
		case at >= 0 || window == octets:
			return b[at+1:], nil
		case window > maxRecord:
			return nil, nil
		}
	}
}

// add appends a record, whose index and salt it fills in.
func (d *dayLog) add(r *proof.Record) error {
	r.Index = d.edge.Size()
	line, err := r.Encode()
	if err != nil {
		return err
	}
	if len(line) > maxRecord { // never seen; it must not stop the log
		shorten(r)
		if line, err = r.Encode(); err != nil {
			return err
		}
	}
	for _, h := range d.edge.Add(tlog.RecordHash(line)) {
		d.hashBuf = append(d.hashBuf, h[:]...)
	}
	d.recordBuf = append(append(d.recordBuf, line...), '\n')
	d.octets += int64(len(line)) + 1
	d.last = r.Event
	if len(d.recordBuf) < bufferSize {
		return nil
	}
	return d.flush()
}

// shorten leaves out what can be long, and says so.
func shorten(r *proof.Record) {
	if r.Status == nil {
		return
	}
	s := *r.Status
	s.TLSDetail = nil
	s.Message, s.LastMessage = cut(s.Message), cut(s.LastMessage)
	s.Description = "[shortened: the event was too long] " + cut(s.Description)
	r.Status = &s
}

func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}

// flush writes what waits.
func (d *dayLog) flush() error {
	if _, err := d.records.Write(d.recordBuf); err != nil {
		return err
	}
	if _, err := d.tree.Write(d.hashBuf); err != nil {
		return err
	}
	d.recordBuf, d.hashBuf = d.recordBuf[:0], d.hashBuf[:0]
	return nil
}

// sync brings everything to disk.
func (d *dayLog) sync() error {
	if err := d.flush(); err != nil {
		return err
	}
	return errors.Join(d.records.Sync(), d.tree.Sync())
}

// unsigned is how many records no checkpoint covers yet.
func (d *dayLog) unsigned() int64 { return d.edge.Size() - d.signed }

// close closes the files. What waits is lost, and derived once more.
func (d *dayLog) close() {
	for _, f := range []*os.File{d.records, d.tree} {
		if f != nil {
			_ = f.Close() // what matters was synced before it was signed
		}
	}
}
