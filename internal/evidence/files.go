package evidence

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/evidence/proof"
)

// Names in the folder, after the day.
const (
	recordSuffix     = ".log"
	treeSuffix       = ".tree"
	checkpointSuffix = ".checkpoint"
	newSuffix        = ".new"
)

func (l *Log) path(day, suffix string) string { return filepath.Join(l.dir, day+suffix) }

// checkpointDays returns the days that have a checkpoint, oldest first.
func (l *Log) checkpointDays() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of evidence: %w", err)
	}
	var days []string
	for _, e := range entries { // by name
		if day, ok := strings.CutSuffix(e.Name(), checkpointSuffix); ok && proof.IsDay(day) {
			days = append(days, day)
		}
	}
	return days, nil
}

// readCheckpoint returns a day's newest checkpoint, signed and read. One that does not
// hold is an ErrContradiction, with its text.
func (l *Log) readCheckpoint(day string) (signed string, c proof.Checkpoint, err error) {
	path := l.path(day, checkpointSuffix)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", c, err
	}
	if c, err = proof.OpenCheckpoint(string(b), l.keyring().verifiers); err == nil && c.Day != day {
		err = errors.New("it is of another day")
	}
	if err != nil {
		return string(b), c, fmt.Errorf("%w: %s: %w", ErrContradiction, path, err)
	}
	return string(b), c, nil
}

// replaceFile writes a small file that is found whole or as it was before,
// whatever happens meanwhile.
func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the entries of a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// exists reports whether there is a file.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// storedTree reads the hashes of a tree from its file, in the order of tlog.StoredHashIndex.
type storedTree struct{ r io.ReaderAt }

// ReadHashes implements tlog.HashReader.
func (t storedTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if _, err := t.r.ReadAt(hashes[i][:], at*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("read hash %d of the tree: %w", at, err)
		}
	}
	return hashes, nil
}
