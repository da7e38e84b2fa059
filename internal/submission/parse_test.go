package submission

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
)

// SEC-11
func TestMailParameters(t *testing.T) {
	for args, want := range map[string]int{
		"FROM:<a@b.test>":  0,
		"from: <a@b.test>": 0,
		"FROM:<>":          0,
		"FROM:<a@b.test> SIZE=1 BODY=8bitmime SMTPUTF8":     0,
		"FROM:<a@b.test> AUTH=<>":                           0,
		"FROM:<a@b.test> AUTH=e+3Dmc2@b.test":               0,
		"FROM:<a@b.test> REQUIRETLS":                        0,
		"FROM:<\"a>b\"@b.test>":                             553,
		"FROM:<ü@b.test> SMTPUTF8":                          0,
		"FROM:<a@ü.test> SMTPUTF8":                          0,
		"FROM:<ü@b.test>":                                   553,
		"FROM:<a@ü.test>":                                   553,
		"FROM:a@b.test":                                     501,
		"FROM:<a@b.test":                                    501,
		"FROM:<a@b.test>SIZE=1":                             501,
		"FROM:<a@b.test> SIZE=1 SIZE=1":                     501,
		"FROM:<a@b.test> SIZE":                              501,
		"FROM:<a@b.test> SIZE=":                             501,
		"FROM:<a@b.test> SIZE=-1":                           501,
		"FROM:<a@b.test> SIZE=123456789012345678901":        501,
		"FROM:<a@b.test> SIZE=99999999999999999999":         552,
		"FROM:<a@b.test> SIZE=26214401":                     552,
		"FROM:<a@b.test> BODY=BINARYMIME":                   501,
		"FROM:<a@b.test> BODY":                              501,
		"FROM:<a@b.test> SMTPUTF8=1":                        501,
		"FROM:<a@b.test> AUTH=a+0D+0Ab":                     501,
		"FROM:<a@b.test> AUTH=a+zzb":                        501,
		"FROM:<a@b.test> RET=HDRS":                          0,
		"FROM:<a@b.test> ret=full ENVID=QQ+2B3":             0,
		"FROM:<a@b.test> RET=ALL":                           501,
		"FROM:<a@b.test> RET":                               501,
		"FROM:<a@b.test> RET=FULL RET=FULL":                 501,
		"FROM:<a@b.test> ENVID=x+0D+0A":                     501,
		"FROM:<a@b.test> ENVID=x+C3+BC":                     501,
		"FROM:<a@b.test> ENVID=":                            501,
		"FROM:<a@b.test> ENVID=x=y":                         501,
		"FROM:<a@b.test> FOO":                               555,
		"TO:<a@b.test>":                                     501,
		"FROM:<a@b.test> ENVID=" + strings.Repeat("x", 101): 501,
		"FROM:<a@b.test> NOTIFY=NEVER":                      555,
		"":                                                  501,
		"FROM:<@x.test:a@b.test>":                           553,
		"FROM:<a@b>":                                        553,
		"FROM:<a@[192.0.2.1]>":                              553,
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
	for args, want := range map[string]bool{"TO:<a@b.test>": true, "to: <a@b.test> ": true, "TO:<>": false, "TO:<a@b.test> NOTIFY=NEVER": true, "TO:<a@b.test> notify=success,DELAY,Failure ORCPT=rfc822;a+2Bb@b.test": true,
		"TO:<a@b.test> NOTIFY": false, "TO:<a@b.test> NOTIFY=": false, "TO:<a@b.test> NOTIFY=NEVER,DELAY": false, "TO:<a@b.test> NOTIFY=DELAY,DELAY": false, "TO:<a@b.test> NOTIFY=ALWAYS": false,
		"TO:<a@b.test> NOTIFY=DELAY NOTIFY=DELAY": false, "TO:<a@b.test> ORCPT=rfc822;x+0A": false, "TO:<a@b.test> ORCPT=rfc822": false, "TO:<a@b.test> ORCPT=;x@b.test": false,
		"TO:<a@b.test> ORCPT=rfc822;x y@b.test": false, "TO:<a@b.test> ORCPT=rfc+20822;x": false, `TO:<a@b.test> ORCPT=utf-8;\x{FC}@b.test`: true, `TO:<a@b.test> ORCPT=utf-8;\x{0A}`: false,
		"TO:<a@b.test> ORCPT=utf-8;ü@b.test": false, "TO:<a@b.test> ORCPT=rfc822;" + strings.Repeat("x", 494): false, "TO:<a@b.test> ORCPT=rfc822;" + strings.Repeat("x", 493): true, "TO:<a@b.test><c@d.test>": false} {
		if _, err := parseRcpt(args, false); (err == nil) != want {
			t.Errorf("RCPT %s: %v", args, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"FROM:<a@b.test> SIZE=1", "FROM:<a@b.test> RET=HDRS ENVID=a+2Bb", "TO:<a@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+3Db@c.test", `TO:<a@b.test> ORCPT=utf-8;\x{FC}ü@c.test`, `FROM:<"a\"b"@c.test> AUTH=<>`, "TO:<a@b.test>", "FROM:<>", "EHLO x"} {
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
		if a, err := parseRcpt(s, true); err == nil && strings.ContainsAny(a.address.String(), "<>\r\n\x00") {
			t.Errorf("%q gives %q", s, a.address)
		} else if err == nil && a.dsn.Original != "" { // as it is handed on, it reads the same (SEC-11)
			written := mail.OriginalRecipientParameter(a.dsn.Original)
			again, err := parseRcpt("TO:<a@b.test> ORCPT="+written, false)
			if len(written) <= mail.MaxOriginalRecipient && (err != nil || again.dsn.Original != a.dsn.Original) {
				t.Errorf("%q: ORCPT=%s reads back as %q, %v", s, written, again.dsn.Original, err)
			}
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
