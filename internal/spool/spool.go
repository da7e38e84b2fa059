package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/sealpost/sealpost/internal/store"
)

const (
	spoolChunk  = 16 << 10  // most messages need one
	spoolMemory = 256 << 10 // more goes to a file
)

// ErrTooLarge is what a spool returns when more is written than it may hold.
var ErrTooLarge = errors.New("content is too large")

// chunks are the buffers of spools in memory.
var chunks = sync.Pool{New: func() any { return new([spoolChunk]byte) }}

// A Spool keeps octets between two passes over them: in memory while they are
// few, then in a file that no longer has a name, so that nothing is left behind
// when the process dies. It is written by one goroutine and then read, by any number.
type Spool struct {
	dir   string
	limit int64 // octets it may hold

	size int64
	mem  []*[spoolChunk]byte // while file is nil
	file *os.File
}

// New returns an empty spool for up to limit octets, with its file, if it
// needs one, in dir.
func New(dir string, limit int64) *Spool { return &Spool{dir: dir, limit: limit} }

// Write appends p. It returns ErrTooLarge past the limit, and an error that
// wraps store.ErrFull when the disk is full.
func (s *Spool) Write(p []byte) (int, error) {
	if s.size+int64(len(p)) > s.limit {
		return 0, ErrTooLarge
	}
	if s.file == nil && s.size+int64(len(p)) > spoolMemory {
		if err := s.toFile(); err != nil {
			return 0, spoolError(err)
		}
	}
	if s.file != nil {
		n, err := s.file.Write(p)
		s.size += int64(n)
		return n, spoolError(err)
	}
	for rest := p; len(rest) > 0; {
		at := int(s.size % spoolChunk)
		if at == 0 {
			s.mem = append(s.mem, chunks.Get().(*[spoolChunk]byte))
		}
		n := copy(s.mem[len(s.mem)-1][at:], rest)
		rest = rest[n:]
		s.size += int64(n)
	}
	return len(p), nil
}

// toFile moves what is in memory to a new file.
func (s *Spool) toFile() error {
	f, err := os.CreateTemp(s.dir, "spool-")
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return err
	}
	if _, err := io.Copy(f, io.NewSectionReader(s, 0, s.size)); err != nil {
		f.Close()
		return err
	}
	s.release()
	s.file = f
	return nil
}

// ReadAt implements io.ReaderAt.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(p, off)
	}
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= s.size {
			return n, io.EOF
		}
		end := min(spoolChunk, s.size-at/spoolChunk*spoolChunk) // of this chunk
		n += copy(p[n:], s.mem[at/spoolChunk][at%spoolChunk:end])
	}
	return n, nil
}

// Section returns the octets from start on, n of them.
func (s *Spool) Section(start, n int64) *io.SectionReader { return io.NewSectionReader(s, start, n) }

// Reader returns all octets.
func (s *Spool) Reader() *io.SectionReader { return s.Section(0, s.size) }

// Close gives the memory or the file back. Nothing may read the spool any more.
func (s *Spool) Close() error {
	s.release()
	s.size = 0
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

func (s *Spool) release() {
	for _, c := range s.mem {
		chunks.Put(c)
	}
	s.mem = nil
}

func spoolError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("spool: %w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("spool: %w", err)
}
