package submission

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/accept"
)

// SEC-11
func TestMailParameters(t *testing.T) {
	for args, want := range map[string]int{
		"FROM:<a@b.test>":  0,
		"from: <a@b.test>": 0,
		"FROM:<>":          0,
		"FROM:<a@b.test> SIZE=1 BODY=8bitmime SMTPUTF8": 0,
		"FROM:<a@b.test> AUTH=<>":                       0,
		"FROM:<a@b.test> AUTH=e+3Dmc2@b.test":           0,
		"FROM:<a@b.test> REQUIRETLS":                    0,
		"FROM:<\"a>b\"@b.test>":                         553,
		"FROM:<ü@b.test> SMTPUTF8":                      0,
		"FROM:<a@ü.test> SMTPUTF8":                      0,
		"FROM:<ü@b.test>":                               553,
		"FROM:<a@ü.test>":                               553,
		"FROM:a@b.test":                                 501,
		"FROM:<a@b.test":                                501,
		"FROM:<a@b.test>SIZE=1":                         501,
		"FROM:<a@b.test> SIZE=1 SIZE=1":                 501,
		"FROM:<a@b.test> SIZE":                          501,
		"FROM:<a@b.test> SIZE=":                         501,
		"FROM:<a@b.test> SIZE=-1":                       501,
		"FROM:<a@b.test> SIZE=123456789012345678901":    501,
		"FROM:<a@b.test> SIZE=99999999999999999999":     552,
		"FROM:<a@b.test> SIZE=26214401":                 552,
		"FROM:<a@b.test> BODY=BINARYMIME":               501,
		"FROM:<a@b.test> BODY":                          501,
		"FROM:<a@b.test> SMTPUTF8=1":                    501,
		"FROM:<a@b.test> AUTH=a+0D+0Ab":                 501,
		"FROM:<a@b.test> AUTH=a+zzb":                    501,
		"FROM:<a@b.test> RET=HDRS":                      555,
		"FROM:<a@b.test> ENVID=x+0D+0A":                 555,
		"FROM:<a@b.test> FOO":                           555,
		"TO:<a@b.test>":                                 501,
		"":                                              501,
		"FROM:<@x.test:a@b.test>":                       553,
		"FROM:<a@b>":                                    553,
		"FROM:<a@[192.0.2.1]>":                          553,
	} {
		_, err := parseMail(args, accept.MaxSize, true)
		got := 0
		if r, ok := err.(*refusal); ok {
			got = r.reply.code
		} else if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("MAIL %s: %v, want %d", args, err, want)
		}
	}
	if _, err := parseMail("FROM:<a@b.test> REQUIRETLS", accept.MaxSize, false); err == nil {
		t.Error("REQUIRETLS in the clear")
	}
	for args, want := range map[string]bool{"TO:<a@b.test>": true, "to: <a@b.test> ": true, "TO:<>": false, "TO:<a@b.test> NOTIFY=NEVER": false, "TO:<a@b.test> ORCPT=rfc822;x+0A": false, "TO:<a@b.test><c@d.test>": false} {
		if _, err := parseRcpt(args, false); (err == nil) != want {
			t.Errorf("RCPT %s: %v", args, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"FROM:<a@b.test> SIZE=1", `FROM:<"a\"b"@c.test> AUTH=<>`, "TO:<a@b.test>", "FROM:<>", "EHLO x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parseCommand(s)
		if a, err := parseMail(s, accept.MaxSize, true); err == nil {
			again, err := parseMail("FROM:<"+a.path.String()+"> SMTPUTF8", accept.MaxSize, true)
			if err != nil || again.path != a.path {
				t.Errorf("%q: %v reads back as %v, %v", s, a.path, again.path, err)
			}
			if a.size < 0 || a.size > accept.MaxSize {
				t.Errorf("%q: size %d", s, a.size)
			}
		} else if _, ok := err.(*refusal); !ok {
			t.Errorf("%q: %v is no reply", s, err)
		}
		if a, err := parseRcpt(s, true); err == nil && strings.ContainsAny(a.String(), "<>\r\n\x00") {
			t.Errorf("%q gives %q", s, a)
		}
	})
}

func FuzzDecodePlain(f *testing.F) {
	f.Add("AGFwcEBleGFtcGxlLmNvbQBzZWNyZXQ=")
	f.Add("=")
	f.Fuzz(func(t *testing.T, s string) {
		login, password, err := decodePlain(s)
		if err == nil && (login == "" || strings.Contains(login+password, "\x00")) {
			t.Errorf("%q: %q, %q", s, login, password)
		}
	})
}

// FuzzData compares the reader with one that looks at the whole input at once.
func FuzzData(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\nrest", ".\r\n", "..\r\n.\r\n", "a\n.\r\n", "a\r\n.\n", "\x00", strings.Repeat("x", 40) + "\r\r\n.\r\n", strings.Repeat("y", 15) + "\r\n.\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		want, wantErr := readAtOnce(in)
		br := bufio.NewReaderSize(bytes.NewReader(in), 16)
		got, err := io.ReadAll(newDataReader(br, 1<<20))
		// Where the input ends early either error will do: nothing is accepted.
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q, %v", in, got, err, want, wantErr)
		}
		if err == nil && bytes.Contains(bytes.ReplaceAll(got, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("%q gave a bare LF", in)
		}
	})
}

func readAtOnce(in []byte) ([]byte, error) {
	var out []byte
	for rest := in; ; {
		end := bytes.Index(rest, []byte("\r\n"))
		line := rest
		if end >= 0 {
			line = rest[:end]
		}
		if i := bytes.IndexAny(line, "\r\n\x00"); i >= 0 {
			// A CR that is the very last octet may yet become a line end.
			if !(end < 0 && line[i] == '\r' && i == len(line)-1) {
				return nil, errLineEnd
			}
		}
		if end < 0 {
			return nil, errDataEOF
		}
		if bytes.Equal(line, []byte(".")) {
			return out, nil
		}
		out = append(append(out, bytes.TrimPrefix(line, []byte("."))...), "\r\n"...)
		rest = rest[end+2:]
	}
}
