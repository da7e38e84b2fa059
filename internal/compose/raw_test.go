package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

const head = "From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: Hi\r\nDate: Mon, 23 Nov 2026 20:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n"

var edit = Edit{MessageID: "new@example.com", Date: time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)}

// pass sends a message through Inspect and Write.
func pass(t testing.TB, message string, door Door, e Edit) (string, *Raw, Result) {
	t.Helper()
	m, err := Inspect(strings.NewReader(message), door)
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	var b strings.Builder
	r, err := m.Write(&b, strings.NewReader(message), e)
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	if r.Size != int64(b.Len()) || m.Size != int64(len(message)) {
		t.Errorf("sizes %d, %d; want %d, %d", r.Size, m.Size, b.Len(), len(message))
	}
	checkCanonical(t, []byte(b.String()), !r.Need8Bit && !r.NeedUTF8)
	return b.String(), m, r
}

func refusal(t testing.TB, message string, door Door) *Refusal {
	t.Helper()
	_, err := Inspect(strings.NewReader(message), door)
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatalf("error is no refusal: %v", err)
	}
	return r
}

// A message that may travel as it is does, octet by octet.
func TestMessagesStayAsTheyAre(t *testing.T) {
	for name, body := range map[string]string{
		"no body": "\r\n", "text": "\r\nHello\r\n", "folded, odd case, odd space": "x-oDD:no space\r\nX-Fold: a\r\n\t b\r\n  c\r\nX-Empty:\r\n\r\nx\r\n",
		"multipart":              "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n\r\n--b--\r\nepilogue\r\n",
		"unfinished":             "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n",
		"nested boundary prefix": "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n--b--\r\n",
		"message in message":     "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n--b--\r\n",
		"dots":                   "\r\n.\r\n..\r\n.x\r\n",
		"foreign signature":      "DKIM-Signature: v=1; d=example.org; b=x\r\n\r\nx\r\n",
		"delimiter in header":    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n--b\r\n\r\n--b--\r\n",
	} {
		for _, r := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			message := head + body
			m, err := Inspect(r(strings.NewReader(message)), Submission)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var b strings.Builder
			res, err := m.Write(&b, r(strings.NewReader(message)), edit)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if b.String() != message || res.Need8Bit || res.NeedUTF8 || res.MessageID != "1@example.com" || res.Subject != "Hi" {
				t.Errorf("%s: got %q\nwant %q, %+v", name, b.String(), message, res)
			}
		}
	}
}

// SEC-01: every pair and triple of CR, LF and NUL around a dot. Nothing but
// CRLF is a line end at the submission door.
func TestLineEnds(t *testing.T) {
	symbols := []string{"\r", "\n", "\x00", "\r\n"}
	var ends []string
	for _, a := range symbols {
		ends = append(ends, a)
		for _, b := range symbols {
			ends = append(ends, a+b)
			for _, c := range symbols {
				ends = append(ends, a+b+c)
			}
		}
	}
	for _, before := range ends {
		for _, after := range ends {
			text := "x" + before + "." + after + "MAIL FROM:<a@b.example>\r\n"
			clean := strings.ReplaceAll(text, "\r\n", "")
			wantOK := !strings.ContainsAny(clean, "\r\n\x00")
			if r := refusal(t, head+"\r\n"+text, Submission); (r == nil) != wantOK || r != nil && r.Enhanced != "5.6.0" {
				t.Errorf("%q.%q: %v", before, after, r)
			}
			if r := refusal(t, head+"\r\n"+text, API); (r == nil) != wantOK {
				t.Errorf("%q.%q at the API: %v", before, after, r)
			}
			if strings.ContainsAny(before+after, "\n\x00") || before == "" {
				continue
			}
			if r := refusal(t, strings.ReplaceAll(head, "Hi", "a"+before+"b"), API); r == nil {
				t.Errorf("%q in a header is accepted", before)
			}
		}
	}
}

func TestLFMessagesAtTheAPI(t *testing.T) {
	want := head + "X-Fold: a\r\n b\r\n\r\nHello\r\n\r\n.\r\n"
	got, _, _ := pass(t, strings.ReplaceAll(want, "\r\n", "\n"), API, edit)
	if got != want {
		t.Errorf("got %q", got)
	}
	if got, _, _ := pass(t, strings.TrimSuffix(want, "\r\n"), API, edit); got != want {
		t.Errorf("without the last line end: got %q", got)
	}
	if got, _, _ := pass(t, "From: a@b.example", API, edit); !strings.HasPrefix(got, "From: a@b.example\r\n") {
		t.Errorf("one line: got %q", got)
	}
	for _, text := range []string{head + "\r\nx\ny\r\n", "From: a@b.example\nTo: c@d.example\r\n\r\n"} {
		if refusal(t, text, API) == nil {
			t.Errorf("%q: mixed line ends are accepted", text)
		}
	}
}

// SEC-16, SEC-19: what two programs read differently is refused at the door.
func TestInspectRefuses(t *testing.T) {
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	for name, c := range map[string]struct{ message, enhanced string }{
		"empty": {"", "5.6.0"}, "blank line first": {"\r\n" + head + "\r\n", "5.6.0"}, "no From": {"To: a@b.example\r\n\r\n", "5.6.0"},
		"two From": {head + "From: x@y.example\r\n\r\n", "5.6.0"}, "two From, letter case": {head + "fRoM: x@y.example\r\n\r\n", "5.6.0"},
		"two addresses in From": {"From: a@b.example, c@d.example\r\nSender: a@b.example\r\n\r\n", "5.6.0"}, "group in From": {"From: x: a@b.example;\r\n\r\n", "5.6.0"},
		"encoded word in the address": {"From: <=?utf-8?q?a?=@b.example>\r\n\r\n", "5.6.0"}, "empty From": {"From:\r\n\r\n", "5.6.0"},
		"From folded into two": {"From: a@b.example\r\n , c@d.example\r\n\r\n", "5.6.0"},
		"two Subject":          {head + "Subject: x\r\n\r\n", "5.6.0"}, "two To": {head + "to: x@y.example\r\n\r\n", "5.6.0"}, "two Content-Type": {head + "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n", "5.6.0"},
		"space before the colon": {head + "X-A : x\r\n\r\n", "5.6.0"}, "no colon": {head + "nonsense\r\n\r\n", "5.6.0"}, "mbox line": {"From ann Mon\r\n" + head + "\r\n", "5.6.0"},
		"name not ASCII": {head + "X-Ä: x\r\n\r\n", "5.6.0"}, "folded first line": {" x\r\n" + head + "\r\n", "5.6.0"}, "empty name": {head + ": x\r\n\r\n", "5.6.0"},
		"control character": {head + "X-A: \x1b\r\n\r\n", "5.6.0"}, "header not UTF-8": {head + "X-A: \xff\r\n\r\n", "5.6.0"},
		"101 Received": {many(101, "Received: x\r\n") + head + "\r\n", "5.4.6"}, "1001 fields": {head + many(996, "X-A: x\r\n") + "\r\n", "5.6.0"},
		"field too large": {head + "X-A: " + many(MaxField, "x") + "\r\n\r\n", "5.6.0"}, "folded field too large": {head + "X-A: x\r\n" + many(MaxField/10+1, " 4567890\r\n") + "\r\n", "5.6.0"},
		"header too large": {head + many(5, "X-A: "+many(60000/10, "234567 \r\n 0")+"\r\n") + "\r\n", "5.6.0"}, "no end of line": {head + many(1<<20, "x"), "5.6.0"},
		"header line that cannot be folded":        {head + "References: " + many(1000, "x") + "\r\n\r\n", "5.6.0"},
		"long line, not MIME":                      {head + "\r\n" + many(999, "x") + "\r\n", "5.6.0"},
		"long line, signed":                        {head + "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + many(999, "x") + "\r\n--b--\r\n", "5.6.0"},
		"long line in the header of a signed part": {head + "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nX-A: " + many(1000, "x") + "\r\n\r\nx\r\n--b--\r\n", "5.6.0"},
		"long line beside signed parts of a part":  {head + "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + many(999, "x") + "\r\n--c--\r\n--b--\r\n", "5.6.0"},
		"long line, unknown encoding":              {head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uue\r\n\r\n" + many(999, "x") + "\r\n", "5.6.0"},
		"part header not UTF-8":                    {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; filename=\"\xff\"\r\n\r\n--b--\r\n", "5.6.0"},
		"part header too large":                    {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + many(5000, "X-A: "+many(60, "x")+"\r\n") + "\r\n--b--\r\n", "5.6.0"},
	} {
		for _, door := range []Door{Submission, API} {
			if r := refusal(t, c.message, door); r == nil || r.Enhanced != c.enhanced {
				t.Errorf("%s: got %v", name, r)
			}
		}
	}
	cause := errors.New("connection lost")
	if _, err := Inspect(io.MultiReader(strings.NewReader(head), failing{cause}), Submission); !errors.Is(err, cause) {
		t.Errorf("reader's error: %v", err)
	}
}

func TestLimitsAreReached(t *testing.T) {
	for name, message := range map[string]string{
		"100 Received": strings.Repeat("Received: x\r\n", 100) + head + "\r\n", "1000 fields": head + strings.Repeat("X-A: x\r\n", 995) + "\r\n",
		"998 octets": head + "\r\n" + strings.Repeat("x", 998) + "\r\n", "20 deep": head + nested(20), "1000 parts": head + parts(999),
	} {
		if r := refusal(t, message, Submission); r != nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.String() + "\r\nx\r\n"
}

func parts(n int) string {
	return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", n) + "--b--\r\n"
}

// SEC-19: bombs end at the limits, without recursion and without memory.
func TestBombs(t *testing.T) {
	const size = 3 << 20
	fill := func(start, unit string) io.Reader {
		whole := int64(size / len(unit) * len(unit))
		return io.MultiReader(strings.NewReader(head+start), io.LimitReader(&repeat{unit: unit}, whole))
	}
	for name, c := range map[string]struct {
		r      io.Reader
		refuse bool
	}{
		"nested multiparts":           {strings.NewReader(head + nested(10000)), true},
		"one multipart within itself": {fill("", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"), true},
		"nested messages":             {fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", "Content-Type: message/rfc822\r\n\r\n"), true},
		"empty parts":                 {fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\n"), true},
		"parts without anything":      {fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n"), true},
		"almost delimiters":           {fill(nested(20), "--b1x\r\n"), false},
		"dashes":                      {fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n", "--\r\n"), false},
		"empty lines":                 {fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n", "\r\n"), false},
		"preamble without end":        {fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "x\r\n"), false},
		"one line of base64":          {fill("Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n", "QUJD"), false},
		"one line of octets":          {fill("Content-Type: image/png\r\n\r\n", "\xff"), false},
		"quoted-printable of blanks":  {fill("Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", " "), false},
		"soft breaks":                 {fill("Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", "=\r\n"), false},
		"parameters":                  {strings.NewReader(head + "Content-Type: text/plain; " + strings.Repeat("\r\n a*0*=x; ", 5000) + "x\r\n\r\n"), false},
		"continuations":               {strings.NewReader(head + "Content-Type: text/plain" + continuations(4000) + "\r\n\r\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			counted := &countingReader{r: c.r}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Inspect(counted, Submission)
			runtime.ReadMemStats(&after)
			var r *Refusal
			if errors.As(err, &r) != c.refuse || err != nil && r == nil {
				t.Errorf("got %v", err)
			}
			if c.refuse && counted.n > 1<<20 {
				t.Errorf("read %d octets before the limit", counted.n)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
				t.Errorf("allocated %d octets", grown)
			}
		})
	}
}

func continuations(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ";\r\n n*%d*=x", i)
	}
	return b.String()
}

type repeat struct {
	unit string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.unit[r.at]
		r.at = (r.at + 1) % len(r.unit)
	}
	return len(p), nil
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// SEC-24: control fields speak to us and do not travel, nor does Bcc.
func TestControlFields(t *testing.T) {
	got, m, r := pass(t, "X-Mailgun-Tag: one\r\nBcc: secret@example.org\r\nReturn-Path: <x@y.example>\r\nRESENT-BCC: secret@example.org\r\n"+head+
		"x-mailgun-require-tls:\r\n yes\r\nX-Mailgun-Tag: =?utf-8?q?zw=C3=B6lf?=\r\nX-Mailgun-Variables: {\"a\":\r\n \"ü\"}\r\nX-Mailgun-Recipient-Variables: {\"ä\":1}\r\nX-Mailgun-Unknown: x\r\n\r\nx\r\n", Submission, edit)
	want := []Field{{"X-Mailgun-Tag", "one"}, {"x-mailgun-require-tls", "yes"}, {"X-Mailgun-Tag", "zwölf"}, {"X-Mailgun-Variables", `{"a": "ü"}`}, {"X-Mailgun-Recipient-Variables", `{"ä":1}`}, {"X-Mailgun-Unknown", "x"}}
	if fmt.Sprint(m.Control) != fmt.Sprint(want) {
		t.Errorf("got %q\nwant %q", m.Control, want)
	}
	if wantText := head + "X-Mailgun-Variables: {\"a\": \"\\u00fc\"}\r\n\r\nx\r\n"; got != wantText || r.NeedUTF8 {
		t.Errorf("got %q\nwant %q", got, wantText)
	}
}

func TestEdits(t *testing.T) {
	got, _, r := pass(t, "DKIM-Signature: v=1; d=Example.COM; b=x\r\nDKIM-Signature: v=1;\r\n d=example.org; b=y\r\nReply-To: old@example.com\r\nX-Drop: x\r\n"+head+"Cc: c@example.org\r\nX-Keep: x\r\n\r\nx\r\n", API, Edit{
		SigningDomain: "example.com", To: []mail.Mailbox{box("Zoë", "z@example.net")}, Remove: []string{"x-drop"},
		Headers: []Field{{"Reply-To", "new@example.com"}, {"X-New", "ü"}, {"From", "evil@example.org"}, {"Bcc", "evil@example.org"}, {"Subject", "New"}, {"Received", "x"}},
		Add:     []Field{{"X-Mailgun-Sid", "abc"}, {"X-Mailgun-Variables", `{"a":1}`}},
	})
	want := "DKIM-Signature: v=1;\r\n d=example.org; b=y\r\nFrom: Ann <ann@example.com>\r\nDate: Mon, 23 Nov 2026 20:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nX-Keep: x\r\n" +
		"X-New: =?utf-8?b?w7w=?=\r\nSubject: New\r\nReply-To: new@example.com\r\nTo: =?utf-8?q?Zo=C3=AB?= <z@example.net>\r\nX-Mailgun-Sid: abc\r\nX-Mailgun-Variables: {\"a\": 1}\r\n\r\nx\r\n"
	if got != want || r.Subject != "New" || r.To != "Zoë <z@example.net>" {
		t.Errorf("got %q\nwant %q, %+v", got, want, r)
	}
	m, _ := Inspect(strings.NewReader(head+"\r\n"), API)
	var fe *FieldError
	for _, e := range []Edit{{Headers: []Field{{"X-A", "a\r\nBcc: x"}}}, {Headers: []Field{{"X-Ü", "a"}}}, {Add: []Field{{"X-Mailgun-Tag", "a\nb"}}}} {
		if _, err := m.Write(io.Discard, strings.NewReader(head+"\r\n"), e); !errors.As(err, &fe) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func TestMissingFieldsAreAdded(t *testing.T) {
	got, m, r := pass(t, "From: a@b.example\r\nMessage-Id: nonsense\r\nContent-Type: text/plain\r\n\r\nx\r\n", Submission, edit)
	want := "From: a@b.example\r\nContent-Type: text/plain\r\nMessage-ID: <new@example.com>\r\nDate: Mon, 23 Nov 2026 21:00:00 +0000\r\nMIME-Version: 1.0\r\n\r\nx\r\n"
	if got != want || m.MessageID != "" || r.MessageID != "new@example.com" {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestSuspiciousFromIsWrittenAnew(t *testing.T) {
	got, m, _ := pass(t, "From: \"a, b\" <a@b.example> (c@d.example)\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n", Submission, edit)
	if want := "From: \"a, b\" <a@b.example>\r\n"; !strings.HasPrefix(got, want) || m.From.Address.String() != "a@b.example" {
		t.Errorf("got %q", got)
	}
}

// A header in plain UTF-8 is encoded where that is possible.
func TestHeadersInUTF8(t *testing.T) {
	got, _, r := pass(t, "From: Jürgen <a@b.example>\r\nTo: \"Zoë, Z\" <z@b.example>, x@b.example\r\nSubject: Grüße\r\nContent-Type: text/plain; charset=utf-8; name=\"ü.txt\"\r\n\r\nx\r\n", Submission, edit)
	std, leaves := readStd(t, []byte(got))
	if r.NeedUTF8 || decodeWord(std.Get("From")) != "Jürgen <a@b.example>" || decodeWord(std.Get("Subject")) != "Grüße" || r.To != "Zoë, Z <z@b.example>, x@b.example" || len(leaves) != 1 {
		t.Errorf("got %q, %+v", got, r)
	}
	for _, field := range []string{"To: jürgen@b.example", "References: <ü@b.example>", "List-Unsubscribe: <https://ü.example>"} {
		if _, _, r := pass(t, "From: a@b.example\r\n"+field+"\r\n\r\n", Submission, edit); !r.NeedUTF8 {
			t.Errorf("%s: no need of SMTPUTF8", field)
		}
	}
}

func TestLongHeaderLinesAreFolded(t *testing.T) {
	list := strings.Repeat("someone@example.net,", 100) + "x@example.net"
	got, _, _ := pass(t, "From: a@b.example\r\nTo: "+list+"\r\nSubject: "+strings.Repeat("x", 1500)+"\r\nX-Long: "+strings.Repeat("word ", 500)+"\r\nReferences: "+strings.Repeat("<a@b.example> ", 100)+"\r\n\r\n", Submission, edit)
	std, _ := readStd(t, []byte(got))
	if to, err := std.AddressList("To"); err != nil || len(to) != 101 {
		t.Errorf("%d addresses, %v", len(to), err)
	}
	if s := decodeWord(std.Get("Subject")); s != strings.Repeat("x", 1500) {
		t.Errorf("Subject reads %q", s)
	}
}

// SEC-17: what a 7-bit server cannot take is encoded before it is signed.
func TestReencoding(t *testing.T) {
	long := strings.Repeat("0123456789", 150)
	mime := head + "MIME-Version: 1.0\r\n"
	for name, c := range map[string]struct {
		message  string
		bodies   []string
		need8Bit bool
	}{
		"8-bit text":                  {mime + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße, wie geht es dir heute?\r\n", []string{"Grüße, wie geht es dir heute?\r\n"}, false},
		"much 8-bit text":             {mime + "Content-Type: text/plain; charset=utf-8\r\n\r\n日本語\r\n", []string{"日本語\r\n"}, false},
		"long line":                   {mime + "Content-Type: text/html\r\n\r\n<p>" + long + "\r\n", []string{"<p>" + long + "\r\n"}, false},
		"binary":                      {mime + "Content-Type: image/png\r\nContent-Transfer-Encoding: BINARY\r\n\r\n\x89\xff\x01\r\n", []string{"\x89\xff\x01\r\n"}, false},
		"base64 on one line":          {mime + "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("QUJD", 400) + "\r\n", []string{strings.Repeat("ABC", 400)}, false},
		"quoted-printable with 8-bit": {mime + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=\r\nße und noch mehr Text\r\n", []string{"Grüße und noch mehr Text\r\n"}, false},
		"not MIME":                    {head + "\r\nGrüße\r\n", []string{"Grüße\r\n"}, true},
		"unknown encoding":            {mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-new\r\n\r\nGrüße\r\n", []string{"Grüße\r\n"}, true},
		"broken multipart":            {mime + "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nGrüße\r\n--b--\r\n", nil, true},
		"leaves of a multipart": {mime + "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nVorwort für dich\r\n--b  \r\n\r\nplain\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nX-Ü: x\r\nContent-Description: Grüße\r\n\r\nGrüße und so weiter\r\n--b\r\nContent-Type: image/png; name=\"ü.png\"\r\n\r\n\xff\xfe\r\n--b--\r\nNachwort für dich\r\n",
			[]string{"plain", "Grüße und so weiter", "\xff\xfe"}, false},
		"message in message": {mime + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: Grüße\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße und so weiter\r\n--b--\r\n", nil, false},
		"signed": {mime + "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n",
			[]string{"Grüße", "x"}, true},
		"signed beside plain": {mime + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\nVorwört\r\n--c  \r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n--c--\r\nNachwört\r\n--b\r\n\r\nx\r\n--b--\r\n--a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße aus einem schönen Land\r\n--a--\r\n",
			[]string{"Grüße", "x", "Grüße aus einem schönen Land"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "leaves of a multipart" {
				c.message = strings.Replace(c.message, "X-Ü: x\r\n", "", 1)
			}
			got, m, r := pass(t, c.message, Submission, edit)
			if r.Need8Bit != c.need8Bit || r.NeedUTF8 {
				t.Errorf("facts: %+v", r)
			}
			if c.bodies != nil {
				_, leaves := readStd(t, []byte(got))
				if len(leaves) != len(c.bodies) {
					t.Fatalf("%d leaves in\n%s", len(leaves), got)
				}
				for i, l := range leaves {
					if l.body != c.bodies[i] && l.body != c.bodies[i]+"\r\n" {
						t.Errorf("leaf %d reads %q, want %q", i, l.body, c.bodies[i])
					}
				}
			}
			if i := strings.Index(c.message, "\r\nContent-Type: multipart/signed"); i >= 0 {
				end := strings.Index(c.message, "\r\n--b--")
				if start := strings.Index(c.message, "--b\r\n"); !strings.Contains(got, c.message[start:end]) {
					t.Errorf("signed octets changed:\n%s", got)
				}
			}
			again, m2, r2 := pass(t, got, Submission, edit)
			if again != got || r2.Need8Bit != r.Need8Bit {
				t.Errorf("a second pass changes it:\n%s\n%s", got, again)
			}
			if len(m2.Attachments) != len(m.Attachments) {
				t.Errorf("attachments %v became %v", m.Attachments, m2.Attachments)
			}
		})
	}
}

func TestSummaryAgreesWithView(t *testing.T) {
	message := head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n--=20\r\nAnn\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n" +
		"--b\r\nContent-Type: application/pdf; name==?utf-8?q?=C3=BC.pdf?=\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <c1@x>\r\n\r\nQUJD\r\nRA==\r\n" +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n--c--\r\nend\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.txt\r\n\r\nfile\r\n--b--\r\n"
	_, m, r := pass(t, message, Submission, edit)
	v, err := ReadView(iotest.OneByteReader(strings.NewReader(message)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Attachment{{"", "application/pdf", "c1@x", 4}, {"", "message/rfc822", "", 0}, {"ü.txt", "text/plain", "", 4}}
	inner := message[strings.Index(message, "Subject: inner"):strings.Index(message, "\r\n--b\r\nContent-Type: text/plain\r\n")]
	want[1].Size = int64(len(inner))
	if fmt.Sprint(m.Attachments) != fmt.Sprint(want) || fmt.Sprint(v.Attachments) != fmt.Sprint(want) || fmt.Sprint(r.Attachments) != fmt.Sprint(want) {
		t.Errorf("got %v and %v\nwant %v", m.Attachments, v.Attachments, want)
	}
	if v.BodyPlain != "Grüße\r\n-- \r\nAnn" || v.BodyHTML != "<p>" || v.StrippedText != "Grüße" || v.StrippedSignature != "Ann" || v.Header("SUBJECT") != "Hi" {
		t.Errorf("view: %+v", v)
	}
	for n, content := range []string{"ABCD", inner, "file"} {
		var b bytes.Buffer
		err := ExtractAttachment(strings.NewReader(message), n, func(a Attachment) (io.Writer, error) {
			if a.ContentType != want[n].ContentType {
				t.Errorf("%d is %+v", n, a)
			}
			return &b, nil
		})
		if err != nil || b.String() != content {
			t.Errorf("%d: %v, %q", n, err, b.String())
		}
	}
	if err := ExtractAttachment(strings.NewReader(message), 3, nil); !errors.Is(err, ErrNoAttachment) {
		t.Errorf("no such attachment: %v", err)
	}
}

func TestViewIsBounded(t *testing.T) {
	line := strings.Repeat("x", 62) + "\r\n"
	v, err := ReadView(io.MultiReader(strings.NewReader(head+"\r\n"), io.LimitReader(&repeat{unit: line}, 2*MaxViewText)))
	if err != nil || !v.Truncated || len(v.BodyPlain) != MaxViewText {
		t.Errorf("%v, %d octets", err, len(v.BodyPlain))
	}
}

func TestStripQuotes(t *testing.T) {
	for in, want := range map[string]string{
		"Yes.\r\n\r\nOn Monday, Bob wrote:\r\n\r\n> Really?\r\n> Yes?\r\n": "Yes.", "> a\nno\n> b\nmaybe": "no\nmaybe", "": "", "x\n-- \nAnn\n": "x", "a:\n\nb\n> c": "a:\n\nb",
	} {
		if got, _ := stripQuotes(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// What Compose writes passes both doors and comes out as it went in.
func TestComposedMessagesPass(t *testing.T) {
	d := draft()
	d.HTML, d.Text, d.Files, d.Inline = "<p>"+strings.Repeat("日本", 1000), "Grüße", []File{file("ü.pdf", "application/pdf", "\x00\xff")}, []File{file("x.png", "image/png", "x")}
	raw, want := compose(t, d)
	got, m, r := pass(t, string(raw), Submission, edit)
	if got != string(raw) || m.From.String() != d.From.String() || fmt.Sprint(r.Summary) != fmt.Sprint(want.Summary) {
		t.Errorf("got %+v\nwant %+v\n%s", r.Summary, want.Summary, got)
	}
}

// FuzzRaw: whatever passes Inspect can be written; what is written is canonical,
// passes again, and stays as it is from then on.
func FuzzRaw(f *testing.F) {
	for _, s := range []string{
		head + "\r\nx\r\n", head + nested(3), head + parts(3), head + "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xff\r\n--b--\r\n",
		head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=\r\n=B6\xc3\xb6 \r\n", "From: =?utf-8?q?=C3=A4?= <a@b.example>\nSubject: \xc3\xa4\n\n\xc3\xa4",
		head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n\xff\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: \xc3\xa4\r\n\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\xff=\r\n--b--\r\n",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, message string, api bool) {
		door := Submission
		if api {
			door = API
		}
		m, err := Inspect(strings.NewReader(message), door)
		if err != nil {
			return
		}
		var b bytes.Buffer
		r, err := m.Write(&b, strings.NewReader(message), edit)
		if err != nil {
			t.Fatalf("write: %v", err)
		}
		checkCanonical(t, b.Bytes(), !r.Need8Bit && !r.NeedUTF8)
		m2, err := Inspect(bytes.NewReader(b.Bytes()), Submission)
		if err != nil {
			t.Fatalf("what was written is refused: %v\n%q", err, b.Bytes())
		}
		var b2 bytes.Buffer
		r2, err := m2.Write(&b2, bytes.NewReader(b.Bytes()), Edit{})
		if err != nil || r2.Need8Bit != r.Need8Bit || r2.NeedUTF8 != r.NeedUTF8 || r2.MessageID != r.MessageID || m2.From != m.From {
			t.Fatalf("second pass: %v, %+v, %+v", err, r, r2)
		}
		if !bytes.Equal(b.Bytes(), b2.Bytes()) {
			t.Fatalf("second pass changed\n%q\nto\n%q", b.Bytes(), b2.Bytes())
		}
		if _, err := ReadView(bytes.NewReader(b.Bytes())); err != nil {
			t.Fatalf("view: %v", err)
		}
	})
}

// FuzzDraft: no text makes a header field or breaks what travels.
func FuzzDraft(f *testing.F) {
	f.Add("Subject", "text", "X-A", "value", "name.txt", "text/plain")
	f.Add("a\r\nBcc: x", "\xff\r.\n", "Reply-To", "a@b.example", "\u202e/ü", "a/b; c=\"\r\n\"")
	f.Add("=?utf-8?q?=0A?=", "日本", "List-Id", "ü <x>", strings.Repeat("ä", 200), "text/x; charset=\"a b\"")
	f.Fuzz(func(t *testing.T, subject, text, name, value, fileName, contentType string) {
		d := draft()
		d.Subject, d.Text, d.HTML, d.Headers = subject, text, text, []Field{{name, value}}
		d.Files = []File{file(fileName, contentType, text)}
		var b bytes.Buffer
		r, err := Compose(&b, d)
		if err != nil {
			var fe *FieldError
			if !errors.As(err, &fe) {
				t.Fatal(err)
			}
			return
		}
		checkCanonical(t, b.Bytes(), !r.NeedUTF8)
		m, err := Inspect(bytes.NewReader(b.Bytes()), Submission)
		if err != nil {
			t.Fatalf("what was written is refused: %v\n%q", err, b.Bytes())
		}
		want := 8
		if Reserved(name) {
			want--
		}
		if text != "" && len(m.fields) != want { // else the file is the root and brings its fields
			t.Fatalf("%d fields: %q", len(m.fields), b.Bytes())
		}
		if fmt.Sprint(m.Attachments) != fmt.Sprint(r.Attachments) {
			t.Fatalf("attachments %+v, %+v", m.Attachments, r.Attachments)
		}
		if _, leaves := readStd(t, b.Bytes()); leaves[len(leaves)-1].body != text {
			t.Fatalf("file reads %q, want %q", leaves[len(leaves)-1].body, text)
		}
	})
}

func BenchmarkInspectAndWrite(b *testing.B) {
	d := draft()
	d.Files = []File{{Name: "x", Open: func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(pattern{}, 4<<20)), nil }}}
	var raw bytes.Buffer
	if _, err := Compose(&raw, d); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(raw.Len()))
	for b.Loop() {
		m, err := Inspect(bytes.NewReader(raw.Bytes()), Submission)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Write(io.Discard, bytes.NewReader(raw.Bytes()), edit); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	d := draft()
	d.HTML = strings.Repeat("<p>Grüße aus Köln</p>\n", 500)
	for b.Loop() {
		if _, err := Compose(io.Discard, d); err != nil {
			b.Fatal(err)
		}
	}
}
