package spool

import (
	"bytes"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sealpost/sealpost/internal/store"
)

const (
	// ownBuffer is how many octets of its own a letter collects before they go to the arena.
	ownBuffer = 64 << 10
	// window is how much of the first letter is looked at at a time.
	window = 16 << 10
	// maxLines bounds how many lines of the first letter are known by their hash; of a letter
	// with more, every so manieth is.
	maxLines = 64 << 10
	// maxTwins is how many places are known of lines that look alike.
	maxTwins = 8
)

// An Arena holds the octets of all letters of one submission. The copies of a newsletter differ in
// a few lines; so the first letter is kept as it is, and of each further one only the lines that the
// first does not have, with a list of where in the first the others are. A
// thousand copies then take the room of one and a little, here and in the store.
//
// Letters may be written at the same time, once the first was learned. After that
// the arena is only read.
type Arena struct {
	mu    sync.Mutex // while letters are written
	spool *Spool

	base  *store.Content // the first letter without its prefix; nil until it is learned
	seed  maphash.Seed
	every uint64 // of lines that hash to 0 modulo this, the place is known
	lines map[uint64][]int64

	users atomic.Int64 // letters that are not done
}

// NewArena returns an empty arena for letters of up to limit octets together, with its
// file, if it needs one, in dir.
func NewArena(dir string, limit int64) *Arena {
	return &Arena{spool: New(dir, limit), seed: maphash.MakeSeed()}
}

// Share says how many letters use the arena from now on; each gives it up by Release. None may be read after that.
func (a *Arena) Share(letters int) { a.users.Store(int64(letters)) }

// Release gives up a letter. With the last one the octets are gone.
func (a *Arena) Release() {
	if a.users.Add(-1) == 0 {
		a.spool.Close()
	}
}

// Abandon gives up all letters.
func (a *Arena) Abandon() { a.spool.Close() }

// Learn makes what was written so far the first letter, to which others are compared.
func (a *Arena) Learn() error {
	size := a.spool.size
	a.base = &store.Content{Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(a.spool.Section(0, size)), nil
	}}
	a.every = uint64(size/(maxLines*40) + 1)
	a.lines = map[uint64][]int64{}
	s := lineSplitter{each: func(line []byte, at int64) error {
		h := maphash.Bytes(a.seed, line)
		if h%a.every == 0 && len(a.lines[h]) < maxTwins {
			a.lines[h] = append(a.lines[h], at)
		}
		return nil
	}}
	if _, err := io.Copy(&s, onlyReader{a.spool.Reader()}); err != nil {
		return err
	}
	return s.end()
}

// onlyReader hides WriterTo.
type onlyReader struct{ io.Reader }

// read reads a part of the first letter.
func (a *Arena) read(p []byte, off int64) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := a.spool.ReadAt(p[:min(int64(len(p)), max(a.base.Size-off, 0))], off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// add appends octets of a letter's own and returns where they are.
func (a *Arena) add(p []byte) (at int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at = a.spool.size
	_, err = a.spool.Write(p)
	return at, err
}

// A Run is a part of a letter: octets of the spool.
type Run struct{ at, size int64 }

// A Writer takes the octets of one letter, in canonical lines. It is of one goroutine; several may write at
// the same time once the first letter was learned.
type Writer struct {
	a     *Arena
	only  bool // there is no other letter to compare with, ever
	runs  []Run
	size  int64
	split lineSplitter

	own     []byte // octets of its own that are not in the arena yet
	pending []int  // the runs that are places in own until then

	next   int64 // where in the first letter the next line is expected
	page   []byte
	pageAt int64
}

// Writer returns a writer for a letter; only says that it is the only one there will be.
func (a *Arena) Writer(only bool) *Writer {
	w := &Writer{a: a, only: only}
	w.split.each = w.line
	return w
}

// Write takes the next octets.
func (w *Writer) Write(p []byte) (int, error) {
	if w.a.base != nil {
		return w.split.Write(p)
	}
	if w.only { // nobody else writes
		n, err := w.a.spool.Write(p)
		w.append(w.a.spool.size-int64(n), int64(n))
		return n, err
	}
	return len(p), w.keep(p)
}

// line takes one line: it is in the first letter where it was expected, or
// somewhere else, or nowhere.
func (w *Writer) line(line []byte, _ int64) error {
	size := int64(len(line))
	same, err := w.same(w.next, line)
	if err != nil {
		return err
	}
	if same {
		return w.share(w.next, size)
	}
	// Lines that were replaced are followed by those that were not.
	if skipped, err := w.skip(w.next); err != nil {
		return err
	} else if same, err := w.same(skipped, line); err != nil {
		return err
	} else if same {
		return w.share(skipped, size)
	}
	if h := maphash.Bytes(w.a.seed, line); h%w.a.every == 0 {
		twins := w.a.lines[h] // by place: the first one behind the expected is the best guess
		i, _ := slices.BinarySearch(twins, w.next)
		for _, at := range slices.Concat(twins[i:], twins[:i]) {
			if same, err := w.same(at, line); err != nil {
				return err
			} else if same {
				return w.share(at, size)
			}
		}
	}
	if w.next, err = w.skip(w.next); err != nil {
		return err
	}
	return w.keep(line)
}

// share notes octets that the first letter has.
func (w *Writer) share(at, size int64) error {
	w.append(at, size)
	w.next = at + size
	return nil
}

// keep notes octets that the letter has for itself.
func (w *Writer) keep(p []byte) error {
	at, size := int64(len(w.own)), int64(len(p))
	w.own = append(w.own, p...)
	if n := len(w.pending); n > 0 && w.pending[n-1] == len(w.runs)-1 {
		w.runs[len(w.runs)-1].size += size
		w.size += size
	} else {
		w.pending = append(w.pending, len(w.runs))
		w.runs = append(w.runs, Run{at, size})
		w.size += size
	}
	if len(w.own) < ownBuffer {
		return nil
	}
	return w.flush()
}

// flush brings octets of its own to the arena.
func (w *Writer) flush() error {
	if len(w.own) == 0 {
		return nil
	}
	at, err := w.a.add(w.own)
	for _, i := range w.pending {
		w.runs[i].at += at
	}
	w.own, w.pending = w.own[:0], w.pending[:0]
	return err
}

func (w *Writer) append(at, size int64) {
	w.size += size
	last := len(w.runs) - 1
	own := len(w.pending) > 0 && w.pending[len(w.pending)-1] == last
	if last >= 0 && !own && w.runs[last].at+w.runs[last].size == at {
		w.runs[last].size += size
		return
	}
	w.runs = append(w.runs, Run{at, size})
}

// same reports whether the first letter has the line at a place.
func (w *Writer) same(at int64, line []byte) (bool, error) {
	if at+int64(len(line)) > w.a.base.Size {
		return false, nil
	}
	have, err := w.look(at, len(line))
	return err == nil && bytes.Equal(have, line), err
}

// skip returns where the line ends that stands at a place of the first letter.
func (w *Writer) skip(at int64) (int64, error) {
	have, err := w.look(at, 1000) // a line has at most 998 octets and its end
	if err != nil {
		return at, err
	}
	if i := bytes.IndexByte(have, '\n'); i >= 0 {
		return at + int64(i) + 1, nil
	}
	return at + int64(len(have)), nil
}

// look returns up to n octets of the first letter.
func (w *Writer) look(at int64, n int) ([]byte, error) {
	if at < w.pageAt || at+int64(n) > w.pageAt+int64(len(w.page)) {
		if w.page == nil {
			w.page = make([]byte, 0, window)
		}
		got, err := w.a.read(w.page[:window], at)
		if err != nil {
			return nil, err
		}
		w.page, w.pageAt = w.page[:got], at
	}
	start := at - w.pageAt
	return w.page[start:min(start+int64(n), int64(len(w.page)))], nil
}

// Content ends the letter and returns it with a prefix before it. It can be opened, as often as is needed, until the
// arena is given up.
func (w *Writer) Content(prefix string) (store.Content, error) {
	if err := w.split.end(); err != nil {
		return store.Content{}, err
	}
	if err := w.flush(); err != nil {
		return store.Content{}, err
	}
	w.page = nil
	spool, runs := w.a.spool, w.runs
	return store.Content{
		Size: int64(len(prefix)) + w.size,
		Open: func() (io.ReadCloser, error) {
			readers := []io.Reader{strings.NewReader(prefix)}
			for _, r := range runs {
				readers = append(readers, spool.Section(r.at, r.size))
			}
			return io.NopCloser(io.MultiReader(readers...)), nil
		},
	}, nil
}

// Runs returns of what the letter consists, once Content has ended it; see [Arena.Shared].
func (w *Writer) Runs() []Run { return w.runs }

// Shared says of the content of a letter what of it the first letter has as well. Where
// there is one letter only it says nothing.
func (a *Arena) Shared(c *store.Content, runs []Run) {
	if a.base == nil {
		return
	}
	at := c.Size
	for _, r := range runs {
		at -= r.size
	}
	c.Base = a.base
	for _, r := range runs {
		if r.at < a.base.Size {
			c.Runs = append(c.Runs, store.Run{At: at, From: r.at, Size: r.size})
		}
		at += r.size
	}
}

// A lineSplitter calls each with every line written to it, its end included, and with how many
// octets came before.
type lineSplitter struct {
	each func(line []byte, at int64) error
	rest []byte
	at   int64
}

// Write takes the next octets.
func (s *lineSplitter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.rest = append(s.rest, p...)
			return n, nil
		}
		line := p[:i+1]
		if len(s.rest) > 0 {
			s.rest = append(s.rest, line...)
			line = s.rest
		}
		if err := s.each(line, s.at); err != nil {
			return 0, err
		}
		s.at += int64(len(line))
		s.rest = s.rest[:0]
		p = p[i+1:]
	}
}

// end passes on a last line without an end.
func (s *lineSplitter) end() error {
	if len(s.rest) == 0 {
		return nil
	}
	err := s.each(s.rest, s.at)
	s.rest = nil
	return err
}
