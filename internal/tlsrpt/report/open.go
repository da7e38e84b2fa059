package report

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-message"
)

// Limits on what a report is taken out of.
const (
	MaxFile  = 32 << 20 // octets of a file or mail
	maxParts = 100      // of a mail
	maxDepth = 8        // of multiparts inside each other
)

// ErrNotFound means that there is no report in a mail.
var ErrNotFound = errors.New("no TLS report in this mail")

// Open reads the JSON of the reports in a file: of JSON or of JSON that gzip compressed one,
// of a mail all that are attached. What it is shows by its first octets, not by a name.
// Memory is bounded whatever the file holds.
func Open(r io.Reader) ([][]byte, error) {
	limited := &io.LimitedReader{R: r, N: MaxFile + 1}
	in := bufio.NewReaderSize(limited, 4<<10)
	start, err := in.Peek(512)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read: %w", err)
	}
	var found [][]byte
	text := bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(text) == 0:
		return nil, errors.New("the file is empty")
	case isGzip(start), text[0] == '{':
		var data []byte
		if data, err = unpack(in); err == nil {
			found = [][]byte{data}
		}
	default:
		found, err = attached(in)
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("the file is larger than %d MiB", MaxFile>>20)
	}
	return found, err
}

func isGzip(start []byte) bool { return bytes.HasPrefix(start, []byte{0x1f, 0x8b}) }

// unpack reads JSON to its end, compressed or not, and no more than MaxJSON of it.
func unpack(r io.Reader) ([]byte, error) {
	in := bufio.NewReader(r)
	start, err := in.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var from io.Reader = in
	if isGzip(start) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		from = z
	}
	data, err := io.ReadAll(io.LimitReader(from, MaxJSON+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress: %w", err)
	case len(data) > MaxJSON:
		return nil, errTooLarge
	}
	return data, nil
}

// attached returns the reports in a mail.
func attached(r io.Reader) ([][]byte, error) {
	e, err := message.ReadWithOptions(r, &message.ReadOptions{MaxHeaderBytes: 1 << 20})
	if unreadable(err) {
		return nil, fmt.Errorf("neither JSON, gzip nor a mail: %w", err)
	}
	s := &search{}
	if err := s.look(e, 0); err != nil {
		return nil, err
	}
	if len(s.found) == 0 {
		return nil, ErrNotFound
	}
	return s.found, nil
}

// unreadable reports whether an error of go-message means that there is no content.
func unreadable(err error) bool {
	return err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err)
}

// A search goes through the parts of a mail.
type search struct {
	parts int
	size  int // of what was found
	found [][]byte
}

func (s *search) look(e *message.Entity, depth int) error {
	if s.parts++; s.parts > maxParts || depth > maxDepth {
		return fmt.Errorf("the mail has more than %d parts, or more than %d inside each other", maxParts, maxDepth)
	}
	if parts := e.MultipartReader(); parts != nil {
		defer parts.Close()
		for {
			p, err := parts.NextPart()
			if err == io.EOF {
				return nil
			}
			if unreadable(err) {
				return fmt.Errorf("read the mail's parts: %w", err)
			}
			if err := s.look(p, depth+1); err != nil {
				return err
			}
		}
	}
	kind, _, _ := e.Header.ContentType() // a type that cannot be read is none of ours
	if strings.EqualFold(kind, "message/rfc822") {
		inner, err := message.ReadWithOptions(e.Body, &message.ReadOptions{MaxHeaderBytes: 1 << 20})
		if unreadable(err) {
			return nil // a forwarded mail that is none
		}
		return s.look(inner, depth+1)
	}
	if !carriesReport(e, kind) {
		return nil
	}
	data, err := unpack(e.Body)
	if err != nil {
		return err
	}
	if s.size += len(data); s.size > 2*MaxJSON {
		return errTooLarge
	}
	s.found = append(s.found, data)
	return nil
}

// carriesReport goes by the media type, and by the file name where a sender has only that right.
func carriesReport(e *message.Entity, kind string) bool {
	switch strings.ToLower(kind) {
	case MediaTypeGzip, MediaTypeJSON:
		return true
	}
	_, disposition, _ := e.Header.ContentDisposition()
	_, content, _ := e.Header.ContentType()
	for _, name := range []string{disposition["filename"], content["name"]} {
		name = strings.ToLower(name)
		if strings.HasSuffix(name, ".json.gz") || strings.HasSuffix(name, ".json") {
			return true
		}
	}
	return false
}
