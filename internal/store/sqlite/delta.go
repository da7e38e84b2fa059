package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/s2"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A content that shares octets with others is kept as a delta (codec 3): what of it is in
// a base, and its own octets. A base is kept once, in the table of that name, and goes with the
// last delta that refers to it.

const (
	// ownMax is how many octets of its own a delta may have. With more it is no delta.
	ownMax = 64 << 10
	// runsMax bounds the runs of a delta.
	runsMax = 20_000
	// baseInline is the largest base kept in the day file. It is larger than for
	// other contents, since it takes the place of many.
	baseInline = 512 << 10
)

// sharing reports whether a content may be kept as a delta, and how many octets it has
// of its own.
func sharing(c *store.Content) (own int64, ok bool) {
	if c.Base == nil || len(c.Runs) == 0 || len(c.Runs) > runsMax {
		return 0, false
	}
	own, end := c.Size, int64(0)
	for _, r := range c.Runs {
		if r.At < end || r.Size <= 0 || r.From < 0 || r.From+r.Size > c.Base.Size {
			return 0, false
		}
		end = r.At + r.Size
		own -= r.Size
	}
	return own, end <= c.Size && own <= ownMax && own < c.Size/2
}

// errUntrue is what storeDelta returns if the base does not have what the runs say.
var errUntrue = errors.New("its runs are not those of its base")

// storeDelta reads a content, all of it, and keeps what its base does not have. The runs are not
// believed but compared: what is acknowledged must be found again.
func storeDelta(ctx context.Context, c *store.Content, id mail.ID, base io.ReaderAt) (*body, error) {
	r, err := c.Open()
	if err != nil {
		return nil, fmt.Errorf("read content: %w", err)
	}
	defer r.Close()
	b := &body{codec: codecDelta, size: c.Size, base: id}
	sum := sha256.New()
	in := io.TeeReader(&contextReader{ctx: ctx, r: r}, sum)
	head := binary.AppendUvarint(nil, uint64(len(c.Runs)))
	var own bytes.Buffer
	at := int64(0)
	for _, run := range c.Runs {
		if _, err := io.CopyN(&own, in, run.At-at); err != nil {
			return nil, complete(0, c.Size, shortened(err))
		}
		if err := compare(in, io.NewSectionReader(base, run.From, run.Size), run.Size); err != nil {
			return nil, complete(0, c.Size, shortened(err))
		}
		head = binary.AppendUvarint(head, uint64(run.At-at))
		head = binary.AppendUvarint(head, uint64(run.From))
		head = binary.AppendUvarint(head, uint64(run.Size))
		at = run.At + run.Size
	}
	n, err := io.Copy(&own, io.LimitReader(in, c.Size-at+1))
	if err := complete(at+n, c.Size, err); err != nil {
		return nil, err
	}
	sum.Sum(b.sum[:0])
	b.data = s2.Encode(nil, append(head, own.Bytes()...))
	return b, nil
}

// compare reads n octets of both and returns errUntrue if they differ.
func compare(a, b io.Reader, n int64) error {
	var bufs [2][8 << 10]byte
	for n > 0 {
		size := min(n, int64(len(bufs[0])))
		if _, err := io.ReadFull(a, bufs[0][:size]); err != nil {
			return err
		}
		if _, err := io.ReadFull(b, bufs[1][:size]); err != nil {
			return fmt.Errorf("read base: %w", err)
		}
		if bufs[0] != bufs[1] && !bytes.Equal(bufs[0][:size], bufs[1][:size]) {
			return errUntrue
		}
		n -= size
	}
	return nil
}

// shortened turns the end of the input into what complete reports of it.
func shortened(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// A delta is what of a content is where.
type delta struct {
	runs []store.Run
	own  []byte
}

var errDelta = errors.New("it is damaged on disk: its parts do not fit")

// parseDelta reads what storeDelta wrote. Nothing of it is believed.
func parseDelta(data []byte, size, baseSize int64) (delta, error) {
	var d delta
	if n, err := s2.DecodedLen(data); err != nil || n > ownMax+runsMax*3*binary.MaxVarintLen64 {
		return d, errDelta
	}
	raw, err := s2.Decode(nil, data)
	if err != nil {
		return d, fmt.Errorf("it is damaged on disk: %w", err)
	}
	next := func() int64 {
		v, n := binary.Uvarint(raw)
		if n <= 0 || v > 1<<40 {
			err = errDelta
			return 0
		}
		raw = raw[n:]
		return int64(v)
	}
	count := next()
	if count > runsMax {
		return d, errDelta
	}
	at, own := int64(0), int64(0)
	for range count {
		gap, from, length := next(), next(), next()
		if err != nil || from+length > baseSize {
			return d, errDelta
		}
		own += gap
		d.runs = append(d.runs, store.Run{At: at + gap, From: from, Size: length})
		at += gap + length
	}
	own += size - at
	if err != nil || at > size || own != int64(len(raw)) {
		return d, errDelta
	}
	d.own = raw
	return d, nil
}

// reader puts the content together.
func (d *delta) reader(base io.ReaderAt) io.Reader {
	var parts []io.Reader
	at, own := int64(0), d.own
	for _, r := range d.runs {
		if gap := r.At - at; gap > 0 {
			parts = append(parts, bytes.NewReader(own[:gap]))
			own = own[gap:]
		}
		parts = append(parts, io.NewSectionReader(base, r.From, r.Size))
		at = r.At + r.Size
	}
	return io.MultiReader(append(parts, bytes.NewReader(own))...)
}

// deltaContent puts a content that is a delta together. It is checked as others are.
func (s *Store) deltaContent(ctx context.Context, id mail.ID, b *body) (store.Content, error) {
	base, err := s.loadBase(ctx, id, b.base)
	if err != nil {
		return store.Content{}, err
	}
	d, err := parseDelta(b.data, b.size, base.size)
	if err != nil {
		return store.Content{}, err
	}
	if base.codec == codecFile {
		return store.Content{Size: b.size, Open: func() (io.ReadCloser, error) { return s.openDelta(id, b, &d) }}, nil
	}
	octets, err := base.octets()
	if err != nil {
		return store.Content{}, fmt.Errorf("its base: %w", err)
	}
	whole, err := io.ReadAll(d.reader(bytes.NewReader(octets)))
	if err != nil {
		return store.Content{}, err
	}
	if int64(len(whole)) != b.size || sha256.Sum256(whole) != b.sum {
		return store.Content{}, errors.New("it is damaged on disk: its checksum is wrong")
	}
	return store.Content{Size: b.size, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole)), nil }}, nil
}

// openDelta opens a content whose base is a file, after checking all of it.
func (s *Store) openDelta(id mail.ID, b *body, d *delta) (io.ReadCloser, error) {
	f, err := os.Open(s.bigPath(b.base))
	if err != nil {
		return nil, fmt.Errorf("content of message %v: its base: %w", id, err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, d.reader(f))
	if err == nil && (n != b.size || !bytes.Equal(sum.Sum(nil), b.sum[:])) {
		err = errors.New("it is damaged on disk: length or checksum is wrong")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("content of message %v: %w", id, err)
	}
	return &joined{Reader: d.reader(f), Closer: f}, nil
}

// joined closes what it reads from.
type joined struct {
	io.Reader
	io.Closer
}

// loadBase reads the row of a base in the day of the message that refers to it.
func (s *Store) loadBase(ctx context.Context, message, base mail.ID) (*body, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	d, err := s.enterDay(ctx, message, false)
	if err != nil {
		return nil, err
	}
	defer d.leave()
	var b body
	var sum []byte
	err = d.read.QueryRowContext(ctx, `SELECT codec, size, sum, data FROM base WHERE id = $1`, int64(base)).Scan(&b.codec, &b.size, &sum, &b.data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errors.New("its base is missing")
	}
	if err != nil {
		return nil, s.judge(d, err)
	}
	if len(sum) != len(b.sum) {
		return nil, errors.New("the checksum of its base is damaged")
	}
	copy(b.sum[:], sum)
	return &b, nil
}
