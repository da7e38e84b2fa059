package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/s2"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// inlineMax is the largest content kept in the day file. Larger ones get a file
// each, so that they never hold up the committer.
const inlineMax = 128 << 10

// Codecs of a stored content.
const (
	codecRaw  = 0
	codecS2   = 1
	codecFile = 2
	// codecDelta is a content whose octets are for the most part those of a base.
	codecDelta = 3
)

// A body is a content as it is stored.
type body struct {
	codec int
	size  int64
	sum   [sha256.Size]byte // of the octets as they travel
	data  []byte
	base  mail.ID // of a delta; else 0
}

func (s *Store) bigPath(id mail.ID) string {
	return filepath.Join(s.dir, bigName, id.String())
}

// storeContent brings a content into the form in which its row keeps it. One larger than
// inline is on disk as a file when it returns.
func (s *Store) storeContent(ctx context.Context, id mail.ID, c *store.Content, inline int64) (*body, error) {
	if c.Size < 0 {
		return nil, errors.New("read content: its size is negative")
	}
	r, err := c.Open()
	if err != nil {
		return nil, fmt.Errorf("read content: %w", err)
	}
	defer r.Close()
	in := io.LimitReader(r, c.Size+1) // one more than promised tells that there is more
	if c.Size > inline {
		return s.storeFile(ctx, id, c.Size, in)
	}
	raw := make([]byte, 0, c.Size+1)
	buf := bytes.NewBuffer(raw)
	n, err := buf.ReadFrom(in)
	if err := complete(n, c.Size, err); err != nil {
		return nil, err
	}
	b := &body{codec: codecRaw, size: n, sum: sha256.Sum256(buf.Bytes()), data: buf.Bytes()}
	if packed := s2.Encode(nil, b.data); len(packed) < len(b.data) {
		b.codec, b.data = codecS2, packed
	}
	if b.data == nil {
		b.data = []byte{}
	}
	return b, nil
}

func complete(got, want int64, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("read content: %w", err)
	case got != want:
		return fmt.Errorf("read content: it does not have the %d octets that were announced", want)
	}
	return nil
}

// storeFile writes a content to a file of its own: written, synced, renamed, and
// the folder synced, before the row that names it (REL-02).
func (s *Store) storeFile(ctx context.Context, id mail.ID, size int64, in io.Reader) (*body, error) {
	path := s.bigPath(id)
	f, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, s.judgeFile(fmt.Errorf("store content: %w", err))
	}
	b := &body{codec: codecFile, size: size, data: []byte{}}
	err = func() error {
		defer f.Close()
		sum := sha256.New()
		from := &contextReader{ctx: ctx, r: in}
		n, err := io.Copy(io.MultiWriter(f, sum), from)
		if from.err != nil || err == nil {
			if err := complete(n, size, from.err); err != nil {
				return err
			}
		}
		if err != nil {
			return s.judgeFile(fmt.Errorf("store content: %w", err))
		}
		sum.Sum(b.sum[:0])
		if err := f.Sync(); err != nil {
			if noRoom(err) {
				return s.judgeFile(err)
			}
			return s.fail(fmt.Errorf("sync content: %w", err))
		}
		return s.judgeFile(f.Close())
	}()
	if err == nil {
		err = s.judgeFile(os.Rename(path+newSuffix, path))
	}
	if err != nil {
		os.Remove(path + newSuffix) // nobody knows of it; what stays is swept at the next start
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, s.fail(err)
	}
	return b, nil
}

// A contextReader ends with the context and remembers its own error, so that a
// failed read is told from a failed write.
type contextReader struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		c.err = err
		return 0, err
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// dropFile removes the file of a content that no row names.
func (s *Store) dropFile(id mail.ID) error {
	if err := os.Remove(s.bigPath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("drop content: %w", err)
	}
	return nil
}

// Content returns a message's octets. They are checked against length and checksum
// before the first one is given, each time they are opened (REL-03): an inline
// content in memory, a big one by reading its file twice, the second time
// from the cache of the operating system.
func (s *Store) Content(ctx context.Context, domainID int64, id mail.ID) (store.Content, error) {
	c, err := s.content(ctx, domainID, id)
	if err != nil {
		return store.Content{}, fmt.Errorf("content of message %v: %w", id, err)
	}
	return c, nil
}

func (s *Store) content(ctx context.Context, domainID int64, id mail.ID) (store.Content, error) {
	b, err := s.loadBody(ctx, domainID, id)
	if err != nil {
		return store.Content{}, err
	}
	switch b.codec {
	case codecDelta:
		return s.deltaContent(ctx, id, b)
	case codecFile:
		open := func() (io.ReadCloser, error) { return s.openFile(id, b) }
		return store.Content{Size: b.size, Open: open}, nil
	}
	raw, err := b.octets()
	if err != nil {
		return store.Content{}, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	return store.Content{Size: b.size, Open: open}, nil
}

func (s *Store) loadBody(ctx context.Context, domainID int64, id mail.ID) (*body, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	d, err := s.enterDay(ctx, id, false)
	if err != nil {
		return nil, err
	}
	defer d.leave()
	var b body
	var sum []byte
	err = d.reads.body.QueryRowContext(ctx, int64(id), domainID).Scan(&b.codec, &b.size, &sum, &b.data, &b.base)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, s.judge(d, err)
	}
	if len(sum) != len(b.sum) {
		return nil, errors.New("its checksum is damaged")
	}
	copy(b.sum[:], sum)
	return &b, nil
}

// octets unpacks and checks an inline content.
func (b *body) octets() ([]byte, error) {
	raw := b.data
	if b.codec == codecS2 {
		// The announced length is checked before memory is taken for it.
		if n, err := s2.DecodedLen(b.data); err != nil || int64(n) != b.size {
			return nil, errors.New("it is damaged on disk: its length is wrong")
		}
		var err error
		if raw, err = s2.Decode(nil, b.data); err != nil {
			return nil, fmt.Errorf("it is damaged on disk: %w", err)
		}
	}
	if int64(len(raw)) != b.size || sha256.Sum256(raw) != b.sum {
		return nil, errors.New("it is damaged on disk: its checksum is wrong")
	}
	return raw, nil
}

// openFile opens a big content after checking all of it.
func (s *Store) openFile(id mail.ID, b *body) (io.ReadCloser, error) {
	f, err := os.Open(s.bigPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("content of message %v: its file is missing", id)
	}
	if err != nil {
		return nil, fmt.Errorf("content of message %v: %w", id, err)
	}
	if err := b.verify(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("content of message %v: %w", id, err)
	}
	return f, nil
}

// verify reads all of f and leaves it at its first octet.
func (b *body) verify(f *os.File) error {
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, b.size+1))
	if err != nil {
		return err
	}
	if n != b.size || !bytes.Equal(sum.Sum(nil), b.sum[:]) {
		return errors.New("it is damaged on disk: length or checksum is wrong")
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
