package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// An export is JSON, one object a line:
//
//	{"sealpost-evidence":1,"time":…,"keys":[…],"filter":{…}}     once, at the top
//	{"day":"2026-11-25","complete":true,"checkpoint":"…"}        each day, oldest first
//	{"record":{…},"hash":"…"}                                    each record of a complete day
//	{"record":{…},"proof":["…",…]}                               or each that was asked for
//	{"end":"…"}                                                  once: a signed note about the lines above
//
// The octets of a record are the leaf of the tree. A complete day's tree is built
// again from its records, and the hash beside each tells which one was changed; from
// other days some records are shown, each with its inclusion proof (RFC 6962 section 2.1.1).
// Every day in the range has its line, so that the chain of days can be followed.
const exportVersion = 1

// A Header is the first line of an export.
type Header struct {
	Version int       `json:"sealpost-evidence"`
	Time    time.Time `json:"time"`
	// Keys are the verifier keys of the server that wrote the file, newest first. They
	// are a convenience: what they prove is that the file agrees with itself.
	Keys   []string `json:"keys"`
	Filter Filter   `json:"filter"`
}

// A dayLine begins a day.
type dayLine struct {
	Day      string `json:"day"`
	Complete bool   `json:"complete"`
	// Dropped: the records are past their retention, and only the checkpoint is kept.
	Dropped    bool   `json:"dropped,omitempty"`
	Checkpoint string `json:"checkpoint"`
}

// A recordLine is one record. Its text is put together by hand: the octets of the
// record must stay what they are, and a day may have millions.
type recordLine struct {
	Record []byte
	Hash   *tlog.Hash // of a complete day
	Proof  tlog.RecordProof
}

// append appends the line with its line end.
func (l *recordLine) append(b []byte) []byte {
	b = append(append(b, `{"record":`...), l.Record...)
	if l.Hash != nil {
		b = append(append(append(b, `,"hash":"`...), l.Hash.String()...), "\"}\n"...)
		return b
	}
	b = append(b, `,"proof":[`...)
	for i, h := range l.Proof {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), h.String()...), '"')
	}
	return append(b, "]}\n"...)
}

// parseRecordLine reads what append wrote. Only the form of the line is looked at: that
// the record is well formed follows from its hash.
func parseRecordLine(raw []byte) (l recordLine, ok bool) {
	rest, ok := bytes.CutPrefix(raw, []byte(`{"record":`))
	if !ok {
		return l, false
	}
	const hashMark, proofMark = `,"hash":"`, `,"proof":[`
	const hashTail = len(hashMark) + 44 + len("\"}\n")
	if at := len(rest) - hashTail; at > 0 && bytes.HasPrefix(rest[at:], []byte(hashMark)) {
		h, err := parseHash(string(rest[at+len(hashMark) : at+len(hashMark)+44]))
		l.Record, l.Hash = rest[:at], &h
		return l, err == nil && bytes.HasSuffix(rest, []byte("\"}\n"))
	}
	at := bytes.LastIndex(rest, []byte(proofMark))
	list, whole := bytes.CutSuffix(rest[max(at, 0):], []byte("]}\n"))
	if at <= 0 || !whole {
		return l, false
	}
	l.Record = rest[:at]
	for quoted := range bytes.SplitSeq(list[len(proofMark):], []byte(",")) {
		if len(quoted) == 0 && len(l.Proof) == 0 {
			continue // the tree has one leaf
		}
		h, err := parseHash(string(bytes.Trim(quoted, `"`)))
		if err != nil || len(l.Proof) == maxProof {
			return l, false
		}
		l.Proof = append(l.Proof, h)
	}
	return l, bytes.Equal(l.append(nil), raw)
}

// maxProof is more hashes than any inclusion proof has.
const maxProof = 64

// A Writer writes an export. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	sum   hash.Hash
	lines int64
	buf   []byte
}

// NewWriter begins an export.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Version = exportVersion
	x := &Writer{w: w, sum: sha256.New()}
	return x, x.object(h)
}

// Day begins a day. With complete, all its records follow, with [Writer.Leaf]; with
// dropped none, because they are kept no longer; else some, with [Writer.Proven].
func (x *Writer) Day(day, checkpoint string, complete, dropped bool) error {
	return x.object(dayLine{day, complete, dropped, checkpoint})
}

// Leaf writes a record of a complete day with the hash that its tree has.
func (x *Writer) Leaf(record []byte, leaf tlog.Hash) error {
	l := recordLine{Record: record, Hash: &leaf}
	x.buf = l.append(x.buf[:0])
	return x.write(x.buf)
}

// Proven writes a record with its inclusion proof.
func (x *Writer) Proven(record []byte, p tlog.RecordProof) error {
	l := recordLine{Record: record, Proof: p}
	x.buf = l.append(x.buf[:0])
	return x.write(x.buf)
}

// End writes the last line, signed.
func (x *Writer) End(signers ...note.Signer) error {
	text := endText(signers[0].Name(), x.lines, x.sum)
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return fmt.Errorf("sign the export: %w", err)
	}
	return x.object(struct {
		End string `json:"end"`
	}{string(signed)})
}

// endText is what the last line signs. It cannot be taken for a checkpoint, whose
// first line ends with a day.
func endText(name string, lines int64, sum hash.Hash) string {
	return fmt.Sprintf("%s/export\nlines %d\nsha256 %s\n", name, lines, base64.StdEncoding.EncodeToString(sum.Sum(nil)))
}

func (x *Writer) object(v any) error {
	line, err := marshalLine(v)
	if err != nil {
		return err
	}
	return x.write(line)
}

// marshalLine writes a value as one line, with its line end.
func marshalLine(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write the export: %w", err)
	}
	return []byte(b.String()), nil
}

func (x *Writer) write(line []byte) error {
	x.sum.Write(line) // never fails
	x.lines++
	_, err := x.w.Write(line)
	return err
}
