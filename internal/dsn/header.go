package dsn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxHeader bounds the header section that is returned: more than accept lets through.
const maxHeader = 512 << 10

// maxReturned is the largest message that is returned as a whole; of others the header is
// (RFC 3461 section 4.3 asks for the message, and no sender needs 25 MB of what it sent itself).
const maxReturned = 1 << 20

// readHeader returns the header section of a message, without the blank line that ends
// it. Not an octet of the body is in it. One that is larger than maxHeader is cut at the end of a line.
func readHeader(r io.Reader) ([]byte, error) {
	lines := bufio.NewReaderSize(io.LimitReader(r, maxHeader), 4<<10)
	var header []byte
	for {
		line, err := lines.ReadSlice('\n')
		start := len(header)
		for errors.Is(err, bufio.ErrBufferFull) {
			header = append(header, line...)
			line, err = lines.ReadSlice('\n')
		}
		header = append(header, line...)
		switch l := string(header[start:]); {
		case err == io.EOF: // cut, or a message without a body: a line without its end is none
			return header[:start], nil
		case err != nil:
			return nil, fmt.Errorf("read header: %w", err)
		case l == "\r\n", l == "\n":
			return header[:start], nil
		}
	}
}
