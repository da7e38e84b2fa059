package smtpclient

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/mail"
)

func parse(s string) (mail.Reply, error) {
	return readReply(bufio.NewReaderSize(strings.NewReader(s), readBuffer), nil)
}

func TestReadReply(t *testing.T) {
	tests := []struct {
		name, in string
		want     mail.Reply
	}{
		{"one line", "250 OK\r\n", mail.Reply{Code: 250, Text: "OK"}},
		{"code alone", "250\r\n", mail.Reply{Code: 250}},
		{"LF alone ends a line", "250 OK\n", mail.Reply{Code: 250, Text: "OK"}},
		{"several lines", "550-no\r\n550 way\r\n", mail.Reply{Code: 550, Text: "no\nway"}},
		{"enhanced code on each line", "550-5.1.1 no\r\n550 5.1.1 way\r\n", mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "no\nway"}},
		{"enhanced code alone", "250 2.0.0\r\n", mail.Reply{Code: 250, Enhanced: "2.0.0"}},
		{"enhanced code of three digits each", "550 5.123.999 x\r\n", mail.Reply{Code: 550, Enhanced: "5.123.999", Text: "x"}},
		// SEC-37
		{"enhanced code of another class is text", "250 5.1.1 no\r\n", mail.Reply{Code: 250, Text: "5.1.1 no"}},
		{"enhanced code too long is text", "550 5.1.1234 no\r\n", mail.Reply{Code: 550, Text: "5.1.1234 no"}},
		{"version number is text", "550 5.1 no\r\n", mail.Reply{Code: 550, Text: "5.1 no"}},
		{"second digit out of the RFC", "571 refused\r\n", mail.Reply{Code: 571, Text: "refused"}},
		{"escapes and NUL", "550 \x1b[2Jred\x00\r\n", mail.Reply{Code: 550, Text: "\ufffd[2Jred\ufffd"}},
		{"CR within a line", "550 a\rb\r\n", mail.Reply{Code: 550, Text: "a\ufffdb"}},
		{"invalid UTF-8", "550 caf\xe9\r\n", mail.Reply{Code: 550, Text: "caf\ufffd"}},
		{"UTF-8", "550 café\r\n", mail.Reply{Code: 550, Text: "café"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// SEC-27, SEC-30
func TestReadReplyRefuses(t *testing.T) {
	long := strings.Repeat("x", MaxReplyLine)
	tests := []struct{ name, in string }{
		{"code 000", "000 x\r\n"}, {"code 199", "199 x\r\n"}, {"code 600", "600 x\r\n"}, {"code 999", "999 x\r\n"},
		{"two digits", "25 x\r\n"}, {"four digits", "2500 x\r\n"}, {"letters", "abc x\r\n"}, {"empty line", "\r\n"},
		{"no separator", "250OK\r\n"}, {"sign", "+25 x\r\n"},
		{"other code in the middle", "250-a\r\n550-b\r\n250 c\r\n"}, {"other code at the end", "250-a\r\n550 b\r\n"},
		{"line too long", "250 " + long + "\r\n"}, {"line without end", strings.Repeat("2", 100000)},
		{"too many lines", strings.Repeat("250-a\r\n", MaxReplyLines) + "250 b\r\n"},
		{"too many octets", strings.Repeat("250-"+long[:2000]+"\r\n", 40) + "250 b\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parse(tt.in); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %+v, %v, want a protocol error", got, err)
			}
		})
	}
	for _, cut := range []string{"2", "250", "250 OK", "250-a\r\n", "250-a\r\n250 b"} {
		if _, err := parse(cut); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %v, want unexpected EOF", cut, err)
		}
	}
	if _, err := parse(""); err != io.EOF {
		t.Errorf("nothing: got %v, want EOF", err)
	}
}

func TestReadReplyAtTheLimits(t *testing.T) {
	line := "250 " + strings.Repeat("x", MaxReplyLine-6) + "\r\n"
	if _, err := parse(line); err != nil {
		t.Errorf("line of %d octets: %v", len(line), err)
	}
	if _, err := parse(strings.Repeat("250-a\r\n", MaxReplyLines-1) + "250 b\r\n"); err != nil {
		t.Errorf("%d lines: %v", MaxReplyLines, err)
	}
}

func TestReplyTextIsCut(t *testing.T) {
	for _, fill := range []string{"x", "é", "\xff", "\x1b", "日"} {
		for _, lead := range []string{"", "a", "ab"} {
			line := lead + strings.Repeat(fill, 1900/len(fill))
			got, err := parse("550-" + line + "\r\n550-" + line + "\r\n550 " + line + "\r\n")
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Text) > MaxReplyText || !utf8.ValidString(got.Text) || !strings.HasSuffix(got.Text, cutMark) {
				t.Errorf("filled with %q: %d octets, ends in %q", fill, len(got.Text), got.Text[len(got.Text)-10:])
			}
			if len(got.Text) < MaxReplyText-2*utf8.UTFMax {
				t.Errorf("filled with %q: only %d octets kept", fill, len(got.Text))
			}
		}
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"250 OK\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 no\r\n", "250-a\r\n251 b\r\n", "421\n", "\xff\x00\r\n", "220-\x1b[0m\r\n220 \r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(strings.NewReader(string(in)), readBuffer)
		lines := 0
		got, err := readReply(r, func(n int, _ []byte) {
			if n != lines {
				t.Fatalf("line %d after %d", n, lines)
			}
			lines++
		})
		if err != nil {
			return
		}
		if got.Code < 200 || got.Code > 599 || !strings.HasPrefix(string(in), fmt.Sprint(got.Code)) {
			t.Errorf("code %d from %q", got.Code, in)
		}
		if len(got.Text) > MaxReplyText || !utf8.ValidString(got.Text) {
			t.Errorf("text %q", got.Text)
		}
		if i := strings.IndexFunc(got.Text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); i >= 0 {
			t.Errorf("control character in %q", got.Text)
		}
		if got.Enhanced != "" && got.Enhanced[0] != '0'+byte(got.Code/100) {
			t.Errorf("enhanced code %q with %d", got.Enhanced, got.Code)
		}
	})
}

func TestCapabilities(t *testing.T) {
	read := func(lines ...string) (c Capabilities) {
		for _, line := range lines {
			c.add([]byte(line))
		}
		return c
	}
	c := read("PIPELINING", "size 1000", "starttls", "AUTH PLAIN", "AUTH=LOGIN", "mx.chunking.example", "X-CHUNKING yes", "CHUNKINGX", " SMTPUTF8", "8BITMIME \t")
	for _, word := range []string{"PIPELINING", "pipelining", "SIZE", "STARTTLS", "AUTH", "8BITMIME", "X-CHUNKING"} {
		if !c.Has(word) {
			t.Errorf("%s: not there", word)
		}
	}
	for _, word := range []string{"CHUNKING", "SMTPUTF8", "AUTH=LOGIN", "", "MX.CHUNKING.EXAMPLE"} {
		if c.Has(word) {
			t.Errorf("%s: there", word)
		}
	}
	// SEC-34
	for params, want := range map[string]int64{"": 0, "0": 0, "1000": 1000, "18446744073709551616": 0, "-5": 0, "9223372036854775807": 1<<63 - 1, "1 2": 0, "x": 0} {
		if got := read("SIZE " + params).Size(); got != want {
			t.Errorf("SIZE %s: got %d, want %d", params, got, want)
		}
	}
	var many Capabilities
	for i := range 1000 {
		many.add(fmt.Appendf(nil, "X%d", i))
	}
	if len(many.words) != MaxCapabilities { // SEC-27
		t.Errorf("kept %d", len(many.words))
	}
}

func FuzzCapabilities(f *testing.F) {
	f.Add([]byte("SIZE 100"))
	f.Add([]byte("starttls"))
	f.Add([]byte("mx.starttls.example"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var c Capabilities
		c.add(line)
		if c.Size() < 0 {
			t.Errorf("negative size from %q", line)
		}
		if c.Has("STARTTLS") {
			word, _, _ := strings.Cut(strings.TrimRight(string(line), " \t"), " ")
			if !strings.EqualFold(word, "STARTTLS") {
				t.Errorf("STARTTLS from %q", line)
			}
		}
	})
}
