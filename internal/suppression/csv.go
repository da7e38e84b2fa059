package suppression

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/store"
)

const (
	maxRecord = 64 << 10 // octets of one record
	maxCells  = 100
)

// A badRecord is a record that cannot be read. The ones behind it can.
type badRecord string

// Error returns what is wrong.
func (b badRecord) Error() string { return string(b) }

// A csvReader reads records of RFC 4180 one by one, each of at most maxRecord octets: encoding/csv
// would take a file whose first quote is never closed into memory as a whole. Quotes inside an
// unquoted cell are taken as they are; empty lines are passed over.
type csvReader struct {
	r    *bufio.Reader
	line int // where the last record began, from 1
	at   int // lines read
}

func newCSV(r io.Reader) *csvReader {
	b := bufio.NewReader(r)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\xEF\xBB\xBF" {
		_, _ = b.Discard(3) // it was peeked
	}
	return &csvReader{r: b}
}

// read returns the cells of the next record, io.EOF behind the last one, or a badRecord.
func (c *csvReader) read() ([]string, error) {
	for {
		cells, err := c.record()
		if err != nil || len(cells) > 1 || cells[0] != "" {
			return cells, err
		}
	}
}

func (c *csvReader) record() ([]string, error) {
	c.line = c.at + 1
	var cells []string
	var cell strings.Builder
	var quoted, closed bool // inside a quoted cell; behind its closing quote
	for size := 0; ; size++ {
		b, err := c.r.ReadByte()
		switch {
		case err == io.EOF && size == 0:
			return nil, io.EOF
		case err == io.EOF && quoted:
			return nil, badRecord("a quote is not closed")
		case err != nil && err != io.EOF:
			return nil, err
		case err == io.EOF || b == '\n' && !quoted:
			c.at++
			return finish(append(cells, strings.TrimSuffix(cell.String(), "\r")))
		case size == maxRecord || len(cells) == maxCells:
			c.skipLine(b)
			return nil, badRecord("it is too long")
		}
		if b == '\n' {
			c.at++
		}
		switch {
		case quoted && b == '"':
			quoted, closed = false, true
		case quoted:
			cell.WriteByte(b)
		case b == ',':
			cells = append(cells, cell.String())
			cell.Reset()
			closed = false
		case b == '"' && closed:
			cell.WriteByte('"')
			quoted, closed = true, false
		case b == '"' && cell.Len() == 0:
			quoted = true
		default:
			cell.WriteByte(b)
		}
	}
}

// finish checks the text of a record.
func finish(cells []string) ([]string, error) {
	for _, cell := range cells {
		if !utf8.ValidString(cell) {
			return nil, badRecord("it is not UTF-8")
		}
	}
	return cells, nil
}

// skipLine reads to the end of the line that b is in.
func (c *csvReader) skipLine(b byte) {
	var err error
	for b != '\n' && err == nil {
		b, err = c.r.ReadByte()
	}
	c.at++
}

// ErrHeader is what files without a usable first line give.
var ErrHeader = errors.New("while reading csv header")

// A header says which cell of a record is what.
type header map[string]int

// readHeader reads the first record, which names the columns in any order and letter case. The
// column of the addresses must be there; columns that are not known are passed over.
func readHeader(c *csvReader, list store.SuppressionList) (header, error) {
	names, err := c.read()
	var bad badRecord
	if err == io.EOF || errors.As(err, &bad) {
		return nil, ErrHeader
	}
	if err != nil {
		return nil, err
	}
	h := header{}
	for i, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		if _, twice := h[n]; twice && n != "" {
			return nil, ErrHeader
		}
		h[n] = i
	}
	needed := []string{"address"}
	if list == store.Allowlist {
		needed = []string{"address", "domain", "value"}
	}
	for _, n := range needed {
		if _, ok := h[n]; ok {
			return h, nil
		}
	}
	return nil, ErrHeader
}

// fields takes an entry out of a record.
func (h header) fields(cells []string) Fields {
	cell := func(name string) string {
		if i, ok := h[name]; ok && i < len(cells) {
			return cells[i]
		}
		return ""
	}
	f := Fields{
		Address: cell("address"), Domain: cell("domain"), Code: cell("code"), Error: cell("error"), Reason: cell("reason"),
		Tags: append(splitTags(cell("tags")), splitTags(cell("tag"))...), Created: cell("created_at"),
	}
	if f.Created == "" {
		f.Created = cell("createdat")
	}
	if f.Address == "" && f.Domain == "" {
		f.Address = cell("value") // of an allowlist: either
	}
	return f
}

// splitTags reads a cell of tags: a JSON list, or with commas between them.
func splitTags(cell string) []string {
	cell = strings.TrimSpace(cell)
	if strings.HasPrefix(cell, "[") {
		var tags []string
		if json.Unmarshal([]byte(cell), &tags) == nil {
			return tags
		}
	}
	if cell == "" {
		return nil
	}
	return strings.Split(cell, ",")
}
