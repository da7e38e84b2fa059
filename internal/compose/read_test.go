package compose

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
)

// A leaf is a part as another program reads it.
type leaf struct {
	path        string // media types from the outside in
	disposition string
	name        string
	contentID   string
	body        string // decoded
}

// readStd takes a message apart with the standard library.
func readStd(t testing.TB, raw []byte) (netmail.Header, []leaf) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("net/mail: %v\n%s", err, raw)
	}
	var leaves []leaf
	var read func(path string, h map[string][]string, body io.Reader)
	read = func(path string, h map[string][]string, body io.Reader) {
		get := func(k string) string {
			if len(h[k]) == 0 {
				return ""
			}
			return h[k][0]
		}
		media, params, err := mime.ParseMediaType(get("Content-Type"))
		if err != nil {
			media = "text/plain"
		}
		if path != "" {
			path += " > "
		}
		path += media
		if strings.HasPrefix(media, "multipart/") {
			mr := multipart.NewReader(body, params["boundary"])
			for {
				p, err := mr.NextRawPart()
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Fatalf("multipart: %v\n%s", err, raw)
				}
				read(path, p.Header, p)
			}
		}
		switch strings.ToLower(get("Content-Transfer-Encoding")) {
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatalf("body of %s: %v\n%s", path, err, raw)
		}
		disposition, dparams, _ := mime.ParseMediaType(get("Content-Disposition"))
		leaves = append(leaves, leaf{path, disposition, dparams["filename"], get("Content-Id"), string(b)})
	}
	read("", m.Header, m.Body)
	return m.Header, leaves
}

// readOther takes a message apart with a second parser and returns its header
// keys and the decoded leaves.
func readOther(t testing.TB, raw []byte) (map[string]int, []string) {
	t.Helper()
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("go-message: %v\n%s", err, raw)
	}
	keys := map[string]int{}
	for f := e.Header.Fields(); f.Next(); {
		keys[strings.ToLower(f.Key())]++
	}
	var leaves []string
	if err := e.Walk(func(_ []int, e *message.Entity, err error) error {
		if err != nil {
			return err
		}
		if media, _, _ := e.Header.ContentType(); strings.HasPrefix(media, "multipart/") {
			return nil
		}
		b, err := io.ReadAll(e.Body)
		leaves = append(leaves, string(b))
		return err
	}); err != nil {
		t.Fatalf("go-message: %v\n%s", err, raw)
	}
	return keys, leaves
}

// checkCanonical holds law 7 against what travels.
func checkCanonical(t testing.TB, raw []byte, sevenBit bool) {
	t.Helper()
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		t.Errorf("does not end with a line")
	}
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n\x00") {
			t.Errorf("bare CR, LF or NUL in %q", line)
		}
		if len(line) > MaxLine {
			t.Errorf("line of %d octets", len(line))
		}
		if sevenBit && has8Bit(line) {
			t.Errorf("octet above 127 in %q", line)
		}
	}
}

func decodeWord(s string) string {
	d, err := (&mime.WordDecoder{}).DecodeHeader(s)
	if err != nil {
		return s
	}
	return d
}
