package door

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// spoolMemory is how much of a request's uploads stays in memory.
const spoolMemory = 256 << 10

// errSpool marks trouble with our own disk, which is not the client's doing.
var errSpool = errors.New("spool")

// A spool keeps the octets of uploads while a request lasts: the first in
// memory, all of them in a file once they are too many. The file has no name from
// the moment it exists, so that nothing is left behind however the request
// ends (SEC-20).
type spool struct {
	dir  string
	mem  []byte
	file *os.File // nil while everything is in mem
	size int64
}

func newSpool(dir string) *spool { return &spool{dir: dir} }

// A section is a run of octets in a spool, readable until the spool is closed.
type section struct {
	spool     *spool
	off, size int64
}

// open returns a reader from the first octet.
func (s section) open() (io.ReadCloser, error) {
	if s.spool.file != nil {
		return io.NopCloser(io.NewSectionReader(s.spool.file, s.off, s.size)), nil
	}
	return io.NopCloser(bytes.NewReader(s.spool.mem[s.off : s.off+s.size])), nil
}

// take reads r to its end.
func (s *spool) take(r io.Reader) (section, error) {
	off := s.size
	_, err := io.Copy(onlyWriter{s}, r)
	return section{s, off, s.size - off}, err
}

// onlyWriter hides everything but Write, so that io.Copy uses its own buffer.
type onlyWriter struct{ io.Writer }

// Write appends p.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.mem)+len(p) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.mem = append(s.mem, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write %w file: %w", errSpool, err)
	}
	return n, nil
}

// spill moves what is in memory to a file.
func (s *spool) spill() error {
	file, err := os.CreateTemp(s.dir, "upload-*")
	if err != nil {
		return fmt.Errorf("create %w file: %w", errSpool, err)
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return fmt.Errorf("unlink %w file: %w", errSpool, err)
	}
	s.file = file
	if _, err := file.Write(s.mem); err != nil {
		return fmt.Errorf("write %w file: %w", errSpool, err)
	}
	s.mem = nil
	return nil
}

// close frees the octets.
func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close() // nothing in it is wanted any more
	}
	s.mem = nil
}

// A budget is an amount of memory that requests share.
type budget struct{ left atomic.Int64 }

func newBudget(n int64) *budget {
	b := &budget{}
	b.left.Store(n)
	return b
}

// take asks for n octets. It does not wait: two requests that hold some and wait
// for more would wait for each other.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// give returns octets.
func (b *budget) give(n int64) { b.left.Add(n) }

// A limitedReader ends with errTooLarge, not with silence, after its limit.
type limitedReader struct {
	r    io.Reader
	left int64
}

// Read reads at most one octet more than the limit.
func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

// A headerLimiter bounds how much is read while the header of a part is parsed.
type headerLimiter struct {
	r    io.Reader
	on   bool
	left int64
	read int64
}

// Read ends with an error once a header is too long.
func (h *headerLimiter) Read(p []byte) (int, error) {
	if h.on && h.left <= 0 {
		return 0, BadRequest("the header of a part is longer than %d octets", maxPartHeader)
	}
	n, err := h.r.Read(p)
	h.read += int64(n)
	if h.on {
		h.left -= int64(n)
	}
	return n, err
}
