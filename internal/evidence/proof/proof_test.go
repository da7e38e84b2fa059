package proof

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/mail"
)

// The edge and tlog agree on the root and on the stored hashes, for every size.
func TestEdgeIsTheTree(t *testing.T) {
	var e Edge
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var list []tlog.Hash
		for _, i := range at {
			list = append(list, stored[i])
		}
		return list, nil
	})
	for n := range int64(300) {
		want, err := tlog.TreeHash(n, reader)
		if err != nil || e.Size() != n || n > 0 && e.Root() != want {
			t.Fatalf("size %d: root %v, want %v, %v", n, e.Root(), want, err)
		}
		again, err := ReadEdge(n, reader)
		if err != nil || again.Root() != e.Root() {
			t.Fatalf("size %d, read back: root %v, want %v, %v", n, again.Root(), e.Root(), err)
		}
		data := fmt.Appendf(nil, "record %d", n)
		grown, err := tlog.StoredHashes(n, data, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Add(tlog.RecordHash(data)); fmt.Sprint(got) != fmt.Sprint(grown) {
			t.Fatalf("size %d, read back, grows by %v, want %v", n, got, grown)
		}
		if got := e.Add(tlog.RecordHash(data)); fmt.Sprint(got) != fmt.Sprint(grown) {
			t.Fatalf("size %d grows by %v, want %v", n, got, grown)
		}
		stored = append(stored, grown...)
	}
}

// RFC 6962 section 2.1: the hash of an empty list is the hash of nothing.
func TestEmptyTree(t *testing.T) {
	var e Edge
	root := e.Root()
	if got := fmt.Sprintf("%x", root[:]); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("root %s", got)
	}
}

func sampleCheckpoint() Checkpoint {
	return Checkpoint{Origin: "mx.example.com/evidence", Day: "2026-11-25", Size: 1234, Root: tlog.RecordHash([]byte("root")), Octets: 99999,
		Time: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC), Previous: "2026-11-24", PreviousHash: tlog.RecordHash([]byte("before"))}
}

func TestCheckpointText(t *testing.T) {
	c := sampleCheckpoint()
	want := "mx.example.com/evidence/2026-11-25\n1234\n" + c.Root.String() + "\noctets 99999\ntime 2026-11-25T10:00:00Z\nprevious 2026-11-24 " +
		c.PreviousHash.String() + "\nstate open\n"
	if c.Text() != want {
		t.Errorf("got\n%s\nwant\n%s", c.Text(), want)
	}
	for _, c := range []Checkpoint{c, {Origin: "x", Day: "2026-01-01", Size: 1, Octets: 2, Time: c.Time, Sealed: true}} {
		got, err := ParseCheckpoint(c.Text())
		if err != nil || got != c {
			t.Errorf("read back: %+v, %v; want %+v", got, err, c)
		}
	}
}

// A checkpoint has one form, so that two texts never mean the same.
func TestOddCheckpointsAreRefused(t *testing.T) {
	good := sampleCheckpoint()
	text := good.Text()
	for name, odd := range map[string]string{
		"empty":               "",
		"a line more":         text + "more\n",
		"a line less":         strings.Replace(text, "state open\n", "", 1),
		"no line end":         strings.TrimSuffix(text, "\n"),
		"no origin":           strings.Replace(text, "mx.example.com/evidence/", "", 1),
		"no day":              strings.Replace(text, "/2026-11-25", "/export", 1),
		"day out of range":    strings.Replace(text, "/2026-11-25", "/2026-11-31", 1),
		"zero records":        strings.Replace(text, "\n1234\n", "\n0\n", 1),
		"leading zero":        strings.Replace(text, "\n1234\n", "\n01234\n", 1),
		"plus sign":           strings.Replace(text, "\n1234\n", "\n+1234\n", 1),
		"short hash":          strings.Replace(text, good.Root.String(), "AAAA", 1),
		"stray bits in hash":  strings.Replace(text, good.Root.String(), good.Root.String()[:42]+"/=", 1),
		"fewer octets":        strings.Replace(text, "octets 99999", "octets 1233", 1),
		"time with zone":      strings.Replace(text, "T10:00:00Z", "T11:00:00+01:00", 1),
		"previous not before": strings.Replace(text, "previous 2026-11-24", "previous 2026-11-25", 1),
		"state unknown":       strings.Replace(text, "state open", "state half", 1),
		"CRLF":                strings.ReplaceAll(text, "\n", "\r\n"),
	} {
		if odd == text {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if c, err := ParseCheckpoint(odd); err == nil {
			t.Errorf("%s was read as %+v", name, c)
		}
	}
}

// A key of another name cannot sign in this one's, also if the auditor knows both.
func TestCheckpointMustBeSignedByItsOrigin(t *testing.T) {
	c := sampleCheckpoint()
	skey, vkey, err := note.GenerateKey(rand.Reader, "other.example.com/evidence")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signer)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := Keys([]string{vkey, " " + vkey + "\n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(string(signed), keys); err == nil || !strings.Contains(err.Error(), "signed by") {
		t.Errorf("error %v", err)
	}
}

func TestFilterDays(t *testing.T) {
	at := mail.FirstID(time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC))
	for name, c := range map[string]struct {
		f        Filter
		from, to string
	}{
		"everything":             {Filter{}, "", ""},
		"range":                  {Filter{From: "2026-11-01", To: "2026-11-30"}, "2026-11-01", "2026-11-30"},
		"an event has one day":   {Filter{Event: at}, "2026-11-25", "2026-11-25"},
		"within a range":         {Filter{Event: at, From: "2026-11-01", To: "2026-11-30"}, "2026-11-25", "2026-11-25"},
		"outside of a range":     {Filter{Event: at, To: "2026-11-01"}, "2026-11-25", "2026-11-01"},
		"a message and later":    {Filter{Message: at}, "2026-11-25", ""},
		"a message, later still": {Filter{Message: at, From: "2026-11-28"}, "2026-11-28", ""},
	} {
		if from, to := c.f.Days(); from != c.from || to != c.to {
			t.Errorf("%s: from %q to %q", name, from, to)
		}
	}
}

// Files that are no exports are reported as such, and nothing more is said of them.
func TestNotAnExport(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "text": "hello\n", "other JSON": "{}\n", "an array": "[1]\n", "no keys": `{"sealpost-evidence":1}` + "\n",
		"a later version": `{"sealpost-evidence":2,"keys":[]}` + "\n", "binary": "\x00\xff\n",
	} {
		rep, err := Verify(t.Context(), strings.NewReader(text), Options{})
		if err != nil || len(rep.Problems) != 1 || rep.Problems[0].Line != 1 {
			t.Errorf("%s: %+v, %v", name, rep, err)
		}
	}
	if _, err := Verify(t.Context(), bytes.NewReader(make([]byte, maxLine+1)), Options{}); err == nil {
		t.Error("an endless line was read")
	}
}

// FuzzVerify: whatever is handed over, verification ends, does not panic, and never holds
// without a signature of the key.
func FuzzVerify(f *testing.F) {
	skey, vkey, err := note.GenerateKey(rand.Reader, "mx.example.com/evidence")
	if err != nil {
		f.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		f.Fatal(err)
	}
	var good bytes.Buffer
	w, err := NewWriter(&good, Header{Keys: []string{vkey}})
	if err != nil {
		f.Fatal(err)
	}
	if err := w.End(signer); err != nil {
		f.Fatal(err)
	}
	f.Add(good.String())
	f.Add(`{"sealpost-evidence":1,"keys":["` + vkey + `"]}` + "\n" + `{"day":"2026-11-25","complete":true,"checkpoint":"x"}` + "\n" + `{"record":{},"hash":"AA=="}` + "\n")
	f.Add(`{"sealpost-evidence":1,"keys":["` + vkey + `"]}` + "\n" + `{"record":{"v":1},"proof":[]}` + "\n" + `{"end":"x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		rep, err := Verify(t.Context(), strings.NewReader(text), Options{Keys: []string{vkey}})
		if err == nil && rep.OK() && text != good.String() {
			t.Errorf("%q holds", text)
		}
	})
}

// FuzzRecord: a record that can be read is written so that it reads back the same, on one line.
func FuzzRecord(f *testing.F) {
	f.Add("a@one.example", "250 OK")
	f.Add("\x00\n", "\xff\u2028\"}")
	f.Fuzz(func(t *testing.T, recipient, reason string) {
		r := Record{Event: 1, Message: 2, Recipient: recipient, Reason: reason, Outcome: Bounced}
		line, err := r.Encode()
		if err != nil || bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("%q, %v", line, err)
		}
		back, err := ParseRecord(line)
		if err != nil || back.Event != 1 || back.Recipient != strings.ToValidUTF8(recipient, "\uFFFD") && !strings.Contains(back.Recipient, "\uFFFD") {
			t.Fatalf("%q: %+v, %v", line, back, err)
		}
	})
}
