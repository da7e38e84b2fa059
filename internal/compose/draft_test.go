package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

func box(name, addr string) mail.Mailbox {
	a, err := mail.ParseAddress(addr)
	if err != nil {
		panic(err)
	}
	return mail.Mailbox{Name: name, Address: a}
}

func file(name, contentType, content string) File {
	return File{Name: name, ContentType: contentType, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

func draft() Draft {
	return Draft{
		From:      box("Ann", "ann@example.com"),
		To:        []mail.Mailbox{box("Bob", "bob@example.net")},
		Subject:   "Hello",
		Text:      "Hello Bob\n",
		MessageID: "20261123.1@example.com",
		Date:      time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC),
	}
}

func compose(t testing.TB, d Draft) ([]byte, Result) {
	t.Helper()
	var b bytes.Buffer
	r, err := Compose(&b, d)
	if err != nil {
		t.Fatal(err)
	}
	if r.Size != int64(b.Len()) {
		t.Errorf("size %d, wrote %d", r.Size, b.Len())
	}
	checkCanonical(t, b.Bytes(), !r.NeedUTF8)
	return b.Bytes(), r
}

func TestStructure(t *testing.T) {
	pdf, png := file("a.pdf", "application/pdf", "%PDF\x00\xff"), file("logo.png", "image/png", "\x89PNG\r\n")
	for name, c := range map[string]struct {
		edit func(*Draft)
		want []string
	}{
		"text alone": {func(*Draft) {}, []string{"text/plain"}},
		"html alone": {func(d *Draft) { d.Text, d.HTML = "", "<p>x</p>" }, []string{"text/html"}},
		"nothing":    {func(d *Draft) { d.Text = "" }, []string{"text/plain"}},
		"all texts, AMP before HTML": {func(d *Draft) { d.HTML, d.AMP = "<p>", "<amp>" },
			[]string{"multipart/alternative > text/plain", "multipart/alternative > text/x-amp-html", "multipart/alternative > text/html"}},
		"text and attachment": {func(d *Draft) { d.Files = []File{pdf} },
			[]string{"multipart/mixed > text/plain", "multipart/mixed > application/pdf"}},
		"html and inline": {func(d *Draft) { d.Text, d.HTML, d.Inline = "", "<img src=cid:logo.png>", []File{png} },
			[]string{"multipart/related > text/html", "multipart/related > image/png"}},
		"everything": {func(d *Draft) { d.HTML, d.Inline, d.Files = "<p>", []File{png}, []File{pdf, pdf} }, []string{
			"multipart/mixed > multipart/related > multipart/alternative > text/plain",
			"multipart/mixed > multipart/related > multipart/alternative > text/html",
			"multipart/mixed > multipart/related > image/png", "multipart/mixed > application/pdf", "multipart/mixed > application/pdf"}},
		"attachment alone": {func(d *Draft) { d.Text, d.Files = "", []File{pdf} }, []string{"application/pdf"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := draft()
			c.edit(&d)
			raw, r := compose(t, d)
			h, leaves := readStd(t, raw)
			var got []string
			files := 0
			for _, l := range leaves {
				got = append(got, l.path)
				switch {
				case strings.HasSuffix(l.path, "pdf"):
					files++
					if l.body != "%PDF\x00\xff" || l.name != "a.pdf" || l.disposition != "attachment" {
						t.Errorf("attachment reads %+v", l)
					}
				case strings.HasSuffix(l.path, "png"):
					files++
					if l.body != "\x89PNG\r\n" || l.contentID != "<logo.png>" || l.disposition != "inline" {
						t.Errorf("inline reads %+v", l)
					}
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
			if len(r.Attachments) != files {
				t.Errorf("summary has %d attachments", len(r.Attachments))
			}
			for _, a := range r.Attachments {
				if a.Size != 6 {
					t.Errorf("attachment %+v", a)
				}
			}
			for _, name := range []string{"From", "To", "Subject", "Date", "Message-Id", "Mime-Version", "Content-Type"} {
				if len(h[name]) != 1 {
					t.Errorf("%d %s fields", len(h[name]), name)
				}
			}
			_, other := readOther(t, raw)
			if len(other) != len(leaves) {
				t.Fatalf("go-message sees %d leaves, mime/multipart %d", len(other), len(leaves))
			}
			v, err := ReadView(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(d.Text, "\n", "\r\n"); strings.TrimSpace(v.BodyPlain) != strings.TrimSpace(want) || strings.TrimSpace(v.BodyHTML) != d.HTML {
				t.Errorf("view reads %q, %q", v.BodyPlain, v.BodyHTML)
			}
			if fmt.Sprint(v.Attachments) != fmt.Sprint(r.Attachments) {
				t.Errorf("view has %v, summary %v", v.Attachments, r.Attachments)
			}
		})
	}
}

func TestTextsSurvive(t *testing.T) {
	for name, text := range map[string]string{
		"plain": "a\r\nb\r\n", "LF": "a\nb", "CR": "a\rb\r", "long line": strings.Repeat("x", 5000), "long words": strings.Repeat("word ", 3000),
		"trailing space": "a \nb\t\n", "dots": ".\n..\n.x\n", "From": "From me\nto you", "equals": "a=b=3D=\n=\n", "umlauts": "Grüße aus Köln, " + strings.Repeat("lang und ", 30),
		"japanese": strings.Repeat("日本語。", 500), "emoji": strings.Repeat("👩‍👩‍👧‍👦", 200), "NUL": "a\x00b", "controls": "\x01\x02\x1b[0m\x7f", "C1": "a\u0085b\u2028c",
		"boundary-like": "--=_x\n--\n----\n", "invalid": "a\xffb", "empty lines": "\n\n\n", "smuggle": "a\r\n.\r\nMAIL FROM:<x@y>\r\n\n.\n\r.\r",
	} {
		t.Run(name, func(t *testing.T) {
			d := draft()
			d.Text, d.HTML = text, text
			raw, _ := compose(t, d)
			_, leaves := readStd(t, raw)
			want := strings.ToValidUTF8(text, "\uFFFD")
			want = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(want)
			for _, l := range leaves {
				if l.body != want {
					t.Errorf("%s: got %q\nwant %q", l.path, l.body, want)
				}
			}
			_, other := readOther(t, raw)
			for _, body := range other {
				if body != want {
					t.Errorf("go-message: got %q\nwant %q", body, want)
				}
			}
			for line := range strings.SplitSeq(string(raw), "\r\n") {
				if len(line) > 78 {
					t.Errorf("line of %d octets: %q", len(line), line)
				}
			}
			d.HTML = "" // the root is a leaf then
			if raw, _ = compose(t, d); !strings.Contains(string(raw), "7bit") {
				if _, leaves = readStd(t, raw); strings.TrimRight(leaves[0].body, "\r\n") != strings.TrimRight(want, "\r\n") {
					t.Errorf("root: got %q\nwant %q", leaves[0].body, want)
				}
			}
		})
	}
}

// SEC-23: file names arrive as they were sent, but for what could mislead.
func TestFileNames(t *testing.T) {
	for in, want := range map[string]string{
		"a.pdf": "a.pdf", "my file.pdf": "my file.pdf", `quo"te\.pdf`: ".pdf", `q"t.pdf`: `q"t.pdf`, "Rechnung März.pdf": "Rechnung März.pdf", "請求書.pdf": "請求書.pdf",
		"../../etc/passwd": "passwd", `C:\temp\x.txt`: "x.txt", "/": "attachment", "": "attachment", "x\u202efdp.exe": "x_fdp.exe",
		strings.Repeat("ä", 300) + ".pdf": strings.Repeat("ä", 125) + ".pdf", "a;b=c.pdf": "a;b=c.pdf", "%0d%0aBcc: x": "%0d%0aBcc: x", "naïve*0*=utf-8''x": "naïve*0*=utf-8''x",
		"👩‍👩‍👧‍👦.png": "👩‍👩‍👧‍👦.png", "'utf-8'x.png": "'utf-8'x.png", "a b  c": "a b  c", "con": "con",
	} {
		d := draft()
		d.Files = []File{file(in, "application/pdf", "x")}
		raw, r := compose(t, d)
		_, leaves := readStd(t, raw)
		if got := leaves[1].name; got != want || r.Attachments[0].Name != want {
			t.Errorf("%q: got %q, summary %q, want %q\n%s", in, got, r.Attachments[0].Name, want, raw)
		}
		v, err := ReadView(bytes.NewReader(raw))
		if err != nil || v.Attachments[0].Name != want {
			t.Errorf("%q: view has %+v, %v", in, v.Attachments, err)
		}
	}
}

func TestContentTypes(t *testing.T) {
	for in, want := range map[string]string{
		"": "application/octet-stream", "nonsense": "application/octet-stream", "Text/Calendar; method=REQUEST; charset=utf-8": "text/calendar",
		"message/rfc822": "application/octet-stream", "multipart/mixed; boundary=x": "application/octet-stream", "text/plain; a=1; a=2": "application/octet-stream",
		"image/png; name=\"evil.exe\"": "image/png", "text/plain; charset=\"" + strings.Repeat("x", 900) + "\"": "text/plain",
	} {
		d := draft()
		d.Files = []File{file("x", in, "x")}
		raw, r := compose(t, d)
		if got := r.Attachments[0].ContentType; got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if strings.Contains(string(raw), "evil.exe") {
			t.Errorf("%q: its name parameter travels", in)
		}
		readStd(t, raw)
	}
}

func TestInlineReferences(t *testing.T) {
	for name, want := range map[string]string{"logo.png": "<logo.png>", "my logo.png": "<my%20logo.png>", "lögo.png": "<l%C3%B6go.png>", "a>b.png": "<a%3Eb.png>"} {
		d := draft()
		d.HTML, d.Inline = "<img>", []File{file(name, "image/png", "x")}
		raw, _ := compose(t, d)
		_, leaves := readStd(t, raw)
		if got := leaves[len(leaves)-1].contentID; got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestHeaderText(t *testing.T) {
	for name, subject := range map[string]string{
		"plain": "Hello", "long": strings.Repeat("word ", 100) + "end", "unfoldable": strings.Repeat("x", 3000), "umlaut": "Grüße", "emoji": strings.Repeat("👩‍👩‍👧‍👦 party ", 20) + "end",
		"quotes": `"quoted" (not a comment) <x>`, "literal =?": "=?utf-8?q?", "percent": "%0d%0aBcc: x", "two spaces": "a  b   c", "equals": "=0D=0ABcc: x", "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			d := draft()
			d.Subject = subject
			raw, r := compose(t, d)
			h, _ := readStd(t, raw)
			if got := decodeWord(h.Get("Subject")); got != subject {
				t.Errorf("got %q\nwant %q", got, subject)
			}
			if r.Subject != subject {
				t.Errorf("summary: %q", r.Subject)
			}
			head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
			for line := range strings.SplitSeq(head, "\r\n") {
				if len(line) > 78 || strings.TrimSpace(line) == "" || strings.Contains(line, "=?utf-8?") && len(line) > 76 {
					t.Errorf("line of %d octets: %q", len(line), line)
				}
			}
		})
	}
	d := draft()
	d.Subject = "=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?_x?="
	if _, r := compose(t, d); r.Subject != "Grüße x" {
		t.Errorf("encoded by the sender: %q", r.Subject)
	}
}

func TestCustomHeaders(t *testing.T) {
	d := draft()
	d.Headers = []Field{
		{"List-Unsubscribe", "<https://example.com/u?a=?b&c=ü>, <mailto:u@example.com>"}, {"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"},
		{"reply-to", "Änn <r@example.com>"}, {"Reply-To", "s@example.com"}, {"X-Näme-Free", ""}, {"X-Text", "Grüße"}, {"X-Long", strings.Repeat("x", 2000)},
		{"References", "<1@a.example> <2@a.example>"}, {"List-Id", "Bücher <b.example.com>"}, {"TLS-Required", "No"},
	}
	d.Headers[4].Name = "X-Name"
	d.Tags, d.Sid, d.Variables = []string{"a", "b"}, "WyI", `{"a":"1,2: ü 👋","b":["x",2],"c":"`+strings.Repeat("w ", 600)+`"}`
	raw, r := compose(t, d)
	h, _ := readStd(t, raw)
	for name, want := range map[string]string{
		"List-Unsubscribe": "<https://example.com/u?a=?b&c=%C3%BC>, <mailto:u@example.com>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"Reply-To": "=?utf-8?q?=C3=84nn?= <r@example.com>, s@example.com", "X-Text": "=?utf-8?b?R3LDvMOfZQ==?=", "References": "<1@a.example> <2@a.example>",
		"List-Id": "=?utf-8?q?B=C3=BCcher?= <b.example.com>", "X-Mailgun-Sid": "WyI", "X-Mailgun-Tag": "a", "X-Name": "",
		"X-Mailgun-Variables": `{"a": "1,2: \u00fc \ud83d\udc4b", "b": ["x", 2], "c": "` + strings.Repeat("w ", 600) + `"}`,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if decodeWord(h.Get("X-Long")) != strings.Repeat("x", 2000) || len(h["X-Mailgun-Tag"]) != 2 || len(h["Reply-To"]) != 1 || !r.TLSOptional {
		t.Errorf("header reads %v, %+v", h, r)
	}
}

// SEC-24: the fields that are ours cannot be set from outside.
func TestReservedHeadersAreIgnored(t *testing.T) {
	d := draft()
	plain, _ := compose(t, d)
	want, _ := readStd(t, plain)
	for _, name := range []string{"DKIM-Signature", "dkim-signature", "Return-Path", "Received", "Bcc", "Resent-Bcc", "Content-Type", "Content-Transfer-Encoding", "content-disposition",
		"MIME-Version", "From", "To", "Cc", "Subject", "Date", "Message-Id", "ARC-Seal", "X-Mailgun-Sid", "X-Mailgun-Require-TLS", "Authentication-Results"} {
		d.Headers = append(d.Headers, Field{name, "evil"})
	}
	raw, _ := compose(t, d)
	got, _ := readStd(t, raw)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// SEC-14: no text makes a header field, whatever it is put into.
func TestNoTextBecomesAHeader(t *testing.T) {
	fields := map[string]func(d *Draft, s string){
		"from name": func(d *Draft, s string) { d.From.Name = s }, "to name": func(d *Draft, s string) { d.To[0].Name = s }, "cc name": func(d *Draft, s string) { d.Cc = []mail.Mailbox{box(s, "c@example.com")} },
		"subject": func(d *Draft, s string) { d.Subject = s }, "h: value": func(d *Draft, s string) { d.Headers = []Field{{"X-A", s}} }, "h: name": func(d *Draft, s string) { d.Headers = []Field{{s, "v"}} },
		"h: name end": func(d *Draft, s string) { d.Headers = []Field{{"X-A" + s, "v"}} }, "List-Id": func(d *Draft, s string) { d.Headers = []Field{{"List-Id", s + "<x.example>"}} },
		"List-Unsubscribe": func(d *Draft, s string) { d.Headers = []Field{{"List-Unsubscribe", "<" + s + ">"}} }, "Reply-To": func(d *Draft, s string) { d.Headers = []Field{{"Reply-To", `"` + s + `" <r@example.com>`}} },
		"References": func(d *Draft, s string) { d.Headers = []Field{{"References", s}} }, "tag": func(d *Draft, s string) { d.Tags = []string{s} }, "sid": func(d *Draft, s string) { d.Sid = s },
		"variables": func(d *Draft, s string) { d.Variables = `{"a":"` + s + `"}` }, "message id": func(d *Draft, s string) { d.MessageID = "a" + s + "@example.com" },
		"file name": func(d *Draft, s string) { d.Files = []File{file(s, "text/plain", "x")} }, "file type": func(d *Draft, s string) { d.Files = []File{file("x", "text/plain; charset="+s, "x")} },
		"inline name": func(d *Draft, s string) { d.Inline = []File{file(s, "image/png", "x")} }, "inline type": func(d *Draft, s string) { d.Inline = []File{file("x", s, "x")} },
		"text": func(d *Draft, s string) { d.Text = s }, "html": func(d *Draft, s string) { d.HTML = s },
	}
	for field, set := range fields {
		for _, sep := range []string{"\r", "\n", "\r\n", "\x00", "\x1b", "\x7f", "\u0085", "\u2028", "\u2029", "%0d%0a", "=0D=0A", "=?utf-8?q?=0D=0A?=", "=?utf-8?b?DQpCY2M6IHg=?=", "\r\n\r\n", "\"\r\n ", "\xff", "\v", "\t", "=?utf-8?q?a=0D=0ABcc:_x?=", "\r\n.\r\n"} {
			s := "a" + sep + "Bcc: evil@example.org"
			d := draft()
			d.HTML = "<p>"
			plain := d
			set(&d, s)
			var b bytes.Buffer
			_, err := Compose(&b, d)
			if err != nil {
				var fe *FieldError
				if !errors.As(err, &fe) || fe.Field == "" {
					t.Errorf("%s, %q: error without a field: %v", field, sep, err)
				}
				if b.Len() > 0 {
					t.Errorf("%s, %q: wrote before the error", field, sep)
				}
				if cerr := d.Check(); cerr == nil || cerr.Error() != err.Error() {
					t.Errorf("%s, %q: Check says %v", field, sep, cerr)
				}
				continue
			}
			if strings.ContainsAny(sep, "\r\n\x00\x1b\x7f\v") && !strings.HasSuffix(field, "name") && field != "text" && field != "html" {
				t.Errorf("%s, %q: accepted", field, sep)
			}
			checkCanonical(t, b.Bytes(), true)
			var p bytes.Buffer
			if _, err := Compose(&p, plain); err != nil {
				t.Fatal(err)
			}
			allowed := map[string]bool{"cc": true, "x-a": true, "list-id": true, "list-unsubscribe": true, "reply-to": true, "references": true, "x-mailgun-tag": true, "x-mailgun-sid": true, "x-mailgun-variables": true, "mime-version": true, "content-type": true, "content-transfer-encoding": true}
			want, _ := readOther(t, p.Bytes())
			got, _ := readOther(t, b.Bytes())
			std, leaves := readStd(t, b.Bytes())
			n := 0
			for name, count := range got {
				n += count
				if count != 1 || want[name] == 0 && !allowed[name] {
					t.Errorf("%s, %q: %d fields %s", field, sep, count, name)
				}
			}
			if len(std) != n {
				t.Errorf("%s, %q: parsers see %d and %d fields", field, sep, len(std), n)
			}
			for name := range std {
				if strings.Contains(strings.ToLower(name), "bcc") {
					t.Errorf("%s, %q: field %s", field, sep, name)
				}
			}
			if len(leaves) > 4 {
				t.Errorf("%s, %q: %d leaves", field, sep, len(leaves))
			}
			if from, err := netmail.ParseAddress(std.Get("From")); err != nil || from.Address != "ann@example.com" {
				t.Errorf("%s, %q: From reads %v, %v", field, sep, from, err)
			}
		}
	}
}

func TestHeaderNames(t *testing.T) {
	for name, want := range map[string]string{
		"X-Ü": "Header name must be pure ASCII: X-Ü", "": "h: parameter is not a valid header name", "X A": "h:X A parameter is not a valid header name",
		"X:A": "h:X:A parameter is not a valid header name", strings.Repeat("x", 77): "h:" + strings.Repeat("x", 77) + " parameter is not a valid header name",
		"X-Ü\r\n": "Header name must be pure ASCII: X-Ü",
	} {
		d := draft()
		d.Headers = []Field{{name, "v"}}
		if err := d.Check(); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}

func TestDraftRefuses(t *testing.T) {
	for name, edit := range map[string]func(*Draft){
		"no from": func(d *Draft) { d.From = mail.Mailbox{} }, "no message id": func(d *Draft) { d.MessageID = "" },
		"Sender twice":            func(d *Draft) { d.Headers = []Field{{"Sender", "a@example.com"}, {"sender", "b@example.com"}} },
		"Reply-To without domain": func(d *Draft) { d.Headers = []Field{{"Reply-To", "nobody"}} },
		"field too large":         func(d *Draft) { d.Headers = []Field{{"X-A", strings.Repeat("a ", MaxField)}} },
		"list word too long":      func(d *Draft) { d.Headers = []Field{{"List-Unsubscribe", "<" + strings.Repeat("a", 1000) + ">"}} },
		"too many fields": func(d *Draft) {
			for range MaxFields {
				d.Headers = append(d.Headers, Field{"X-A", "a"})
			}
		},
		"header too large": func(d *Draft) {
			for range 10 {
				d.Headers = append(d.Headers, Field{"X-A", strings.Repeat("a ", 20000)})
			}
		},
	} {
		d := draft()
		edit(&d)
		var fe *FieldError
		if err := d.Check(); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManyRecipientsFitTheHeader(t *testing.T) {
	d := draft()
	d.To = nil
	for i := range 1000 {
		d.To = append(d.To, box(fmt.Sprintf("Recipient, Number %d ä", i), fmt.Sprintf("recipient-%d@a-rather-long-domain-name.example", i)))
	}
	raw, _ := compose(t, d)
	h, _ := readStd(t, raw)
	if list, err := h.AddressList("To"); err != nil || len(list) != 1000 {
		t.Errorf("%d addresses, %v", len(list), err)
	}
}

func TestNeedUTF8(t *testing.T) {
	d := draft()
	d.To[0] = box("Jürgen", "jürgen@bücher.example")
	raw, r := compose(t, d)
	if !r.NeedUTF8 || r.Need8Bit {
		t.Errorf("got %+v", r)
	}
	readOther(t, raw)
	d.To[0] = box("Jürgen", "juergen@bücher.example")
	if _, r := compose(t, d); r.NeedUTF8 {
		t.Error("a domain and a name need no SMTPUTF8")
	}
}

// What a big attachment costs in memory does not grow with it.
func TestMemoryStaysFlat(t *testing.T) {
	const size = 24 << 20
	d := draft()
	d.Files = []File{{Name: "big", Size: size, Open: func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(pattern{}, size)), nil }}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := Compose(io.Discard, d)
	runtime.ReadMemStats(&after)
	if err != nil || r.Size < size*4/3 || r.Attachments[0].Size != size {
		t.Fatal(r, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("allocated %d octets", grown)
	}
}

type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

func TestFileErrors(t *testing.T) {
	cause := errors.New("disk gone")
	for name, f := range map[string]File{
		"open":  {Name: "x", Open: func() (io.ReadCloser, error) { return nil, cause }},
		"read":  {Name: "x", Open: func() (io.ReadCloser, error) { return io.NopCloser(failing{cause}), nil }},
		"short": {Name: "x", Size: 3, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("xx")), nil }},
	} {
		d := draft()
		d.Files = []File{f}
		var fe *FieldError
		if _, err := Compose(io.Discard, d); err == nil || errors.As(err, &fe) || name != "short" && !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Compose(failing{cause}, draft()); !errors.Is(err, cause) {
		t.Errorf("writer: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestParseMessageID(t *testing.T) {
	for in, want := range map[string]string{"<a@b>": "a@b", "a@b": "a@b", " <a.b@c> ": "a.b@c", "<%recipient.id@x>": "%recipient.id@x"} {
		if got, err := ParseMessageID(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "<>", "a", "@", "a@", "@b", "<a@b", "a@b>", "a@b@c", "a b@c", "a\r\n@b", "<a@b> <c@d>", "ä@b", "<<a@b>>", strings.Repeat("a", 255) + "@b"} {
		if got, err := ParseMessageID(in); err == nil {
			t.Errorf("%q: got %q", in, got)
		}
	}
}
