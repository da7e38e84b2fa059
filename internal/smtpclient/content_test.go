package smtpclient

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"
)

// encode writes m in pieces of the given size.
func encode(m []byte, stuff bool, piece int) ([]byte, error) {
	var out bytes.Buffer
	d := contentWriter{w: bufio.NewWriterSize(&out, 64), stuff: stuff}
	for len(m) > 0 {
		n := min(piece, len(m))
		if _, err := d.Write(m[:n]); err != nil {
			d.w.Flush()
			return out.Bytes(), err
		}
		m = m[n:]
	}
	err := d.end()
	d.w.Flush()
	return out.Bytes(), err
}

// decode is the receiving side of RFC 5321 section 4.5.2, written differently.
func decode(b []byte) (m []byte, ok bool) {
	lines := strings.SplitAfter(string(b), "\r\n")
	if n := len(lines); n < 2 || lines[n-1] != "" || lines[n-2] != ".\r\n" {
		return nil, false
	}
	for _, line := range lines[:len(lines)-2] {
		if line == ".\r\n" {
			return nil, false
		}
		m = append(m, strings.TrimPrefix(line, ".")...)
	}
	return m, true
}

func TestContentWriter(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..\r\n.a\r\na.\r\n", "...\r\n..a\r\na.\r\n.\r\n"},
		{"\r\n\r\n", "\r\n\r\n.\r\n"},
		{"a\r\n.\r\nMAIL FROM:<x@y>\r\n", "a\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n"},
	}
	for _, tt := range tests {
		for piece := 1; piece <= len(tt.in)+1; piece++ {
			got, err := encode([]byte(tt.in), true, piece)
			if err != nil || string(got) != tt.want {
				t.Errorf("%q in pieces of %d: got %q, %v, want %q", tt.in, piece, got, err, tt.want)
			}
			got, err = encode([]byte(tt.in), false, piece)
			if err != nil || string(got) != tt.in {
				t.Errorf("%q unstuffed in pieces of %d: got %q, %v", tt.in, piece, got, err)
			}
		}
	}
}

// SEC-02: every way to end a message that some server knows, in any pieces.
func TestContentWriterRefusesSmuggling(t *testing.T) {
	ends := []string{"\r", "\n", "\r\r", "\n\n", "\n\r", "\r\r\n", "\r\n\n", "\r\n\r", "\x00", "\x00\r\n", "\r\x00\n", "\r\n\x00"}
	for _, before := range append(ends, "\r\n") {
		for _, after := range append(ends, "\r\n") {
			if before == "\r\n" && after == "\r\n" {
				continue
			}
			in := "text" + before + "." + after + "MAIL FROM:<x@y>\r\n"
			for piece := 1; piece <= len(in); piece++ {
				out, err := encode([]byte(in), true, piece)
				if !errors.Is(err, ErrContent) {
					t.Fatalf("%q in pieces of %d: got %v", in, piece, err)
				}
				if strings.HasSuffix(string(out), "\n.\r\n") || bytes.Contains(out, []byte("MAIL")) {
					t.Errorf("%q in pieces of %d: wrote %q", in, piece, out)
				}
			}
		}
	}
	for _, in := range []string{"a", "a\r", "a\r\nb"} {
		if _, err := encode([]byte(in), true, 10); !errors.Is(err, ErrContent) {
			t.Errorf("%q without a line end: got %v", in, err)
		}
	}
}

func TestContentWriterHoldsTheEndBack(t *testing.T) {
	var out bytes.Buffer
	d := contentWriter{w: bufio.NewWriter(&out)}
	for _, piece := range []string{"a\r\n", "b\r", "\n", "\r\n"} {
		if _, err := d.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		d.w.Flush()
		if s := out.String(); strings.HasSuffix(s, "\n") && s == "a\r\nb\r\n\r\n" {
			t.Errorf("after %q all is out: %q", piece, s)
		}
	}
	if err := d.release(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("c\r")); err != nil {
		t.Fatal(err)
	}
	if err := d.release(); err != nil { // a chunk may end between CR and LF
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	d.w.Flush()
	if got, want := out.String(), "a\r\nb\r\n\r\nc\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// SEC-02: decode(encode(m)) == m, and exactly one CRLF.CRLF, at the end.
func FuzzContentWriter(f *testing.F) {
	for _, s := range []string{"", "a\r\n", ".\r\n", "a\r\n.\r\nb\r\n", "a\n.\r\n", "a\r.\r", "\x00", "..\r\n..\r\n", "\r\n.\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, m []byte, piece uint8) {
		clean := strings.NewReplacer("\r\n", "").Replace(string(m))
		canonical := !strings.ContainsAny(clean, "\r\n\x00") && (len(m) == 0 || bytes.HasSuffix(m, []byte("\r\n")))
		out, err := encode(m, true, int(piece)+1)
		if (err == nil) != canonical {
			t.Fatalf("%q: error %v, canonical %v", m, err, canonical)
		}
		if plain, perr := encode(m, false, int(piece)+1); (perr == nil) != canonical || canonical && !bytes.Equal(plain, m) {
			t.Fatalf("unstuffed %q became %q, %v", m, plain, perr)
		}
		wire := append([]byte("\r\n"), out...) // the end of the DATA line
		ends := bytes.Count(wire, []byte("\r\n.\r\n"))
		if err != nil {
			if ends != 0 {
				t.Fatalf("%q was refused and ended anyway: %q", m, out)
			}
			return
		}
		if got, ok := decode(out); !ok || !bytes.Equal(got, m) {
			t.Fatalf("%q came back as %q", m, got)
		}
		if ends != 1 || !bytes.HasSuffix(wire, []byte("\r\n.\r\n")) {
			t.Fatalf("%q: %d ends in %q", m, ends, out)
		}
	})
}
