package compose

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
)

// mixed is a message of the given parts.
func mixed(parts ...string) string {
	return head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
}

// Which texts are offered for other words, in UTF-8, and how they travel when they got them. Any other
// text stays, octet by octet.
func TestTextsGetOtherWords(t *testing.T) {
	for name, c := range map[string]struct {
		message string
		given   string // media and text; empty: nothing is offered
		holds   string // of the message that travels
	}{
		"not MIME":           {head + "\r\nNAME\r\n", "text/plain NAME\r\n", "Content-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nzo=C3=AB\r\n"},
		"not MIME, 8-bit":    {head + "\r\nNAM\xcb\r\n", "", ""},
		"quoted-printable":   {mixed("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>NA=\r\nME=20"), "text/html <p>NAME ", "<p>zo=C3=AB=20"},
		"base64":             {mixed("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte("NAME"))), "text/plain NAME", "zo=C3=AB"},
		"latin-1":            {mixed("Content-Type: text/plain; charset=iso-8859-1; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\nNAME \xfc"), "text/plain NAME ü", "Content-Type: text/plain; charset=utf-8; format=flowed\r\n"},
		"broken UTF-8":       {mixed("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nNAME \xfc"), "", ""},
		"broken Shift JIS":   {mixed("Content-Type: text/plain; charset=shift_jis\r\nContent-Transfer-Encoding: 8bit\r\n\r\nNAME \x82"), "", ""},
		"unknown charset":    {mixed("Content-Type: text/plain; charset=x-none\r\n\r\nNAME"), "", ""},
		"UTF-7":              {mixed("Content-Type: text/plain; charset=utf-7\r\n\r\nNAME +AOk-"), "", ""},
		"an attachment":      {mixed("Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nNAME"), "", ""},
		"another type":       {mixed("Content-Type: application/json\r\n\r\nNAME"), "", ""},
		"a message":          {mixed("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nNAME"), "", ""},
		"signed":             {mixed("Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n\r\nNAME\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--"), "", ""},
		"signed, and beside": {mixed("Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nNAME\r\n--s--", "\r\nNAME"), "text/plain NAME", "--s\r\n\r\nNAME\r\n--s--"},
	} {
		t.Run(name, func(t *testing.T) {
			var given []string
			e := edit
			e.Text = func(media, text string) (string, error) {
				given = append(given, media+" "+text)
				return strings.ReplaceAll(text, "NAME", "zoë"), nil
			}
			m, err := Inspect(strings.NewReader(c.message), Submission)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if _, err := m.Write(&b, strings.NewReader(c.message), e); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(given, "|"); got != c.given {
				t.Errorf("offered %q, want %q", got, c.given)
			}
			if !strings.Contains(b.String(), c.holds) {
				t.Errorf("got %q\nwithout %q", b.String(), c.holds)
			}
			e.Text = nil
			var same, plain strings.Builder
			if _, err := m.Write(&plain, strings.NewReader(c.message), e); err != nil {
				t.Fatal(err)
			}
			e.Text = func(_, text string) (string, error) { return text, nil }
			if _, err := m.Write(&same, strings.NewReader(c.message), e); err != nil || same.String() != plain.String() {
				t.Errorf("the same words: %v, got %q\nwant %q", err, same.String(), plain.String())
			}
			if c.given == "" && b.String() != plain.String() {
				t.Errorf("got %q\nwant %q", b.String(), plain.String())
			}
		})
	}
}

func TestLongTextsGetNoOtherWords(t *testing.T) {
	message := head + "\r\n" + strings.Repeat("A line.\r\n", MaxViewText/9+1)
	m, err := Inspect(strings.NewReader(message), Submission)
	if err != nil {
		t.Fatal(err)
	}
	e := edit
	e.Text = func(_, _ string) (string, error) { return "x", nil }
	var b strings.Builder
	if _, err := m.Write(&b, strings.NewReader(message), e); err != nil || b.String() != message {
		t.Errorf("%v, %d octets of %d", err, b.Len(), len(message))
	}
	e.LongText = errors.New("too long")
	if _, err := m.Write(io.Discard, strings.NewReader(message), e); !errors.Is(err, e.LongText) {
		t.Errorf("got %v", err)
	}
}

// SEC-14: what a field gets for another value is checked and encoded like a parameter, and fields that
// authorise, vouch or describe are not asked about.
func TestFieldsGetOtherValues(t *testing.T) {
	message := head + "X-Name: =?utf-8?q?caf=C3=A9?= NAME\r\nReceived: from NAME by x; Mon, 23 Nov 2026 21:00:00 +0000\r\nDKIM-Signature: v=1; d=example.org; b=NAME\r\nARC-Seal: NAME\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Description: NAME\r\nX-Folded: a\r\n\tb\r\n\r\nx\r\n"
	m, err := Inspect(strings.NewReader(message), Submission)
	if err != nil {
		t.Fatal(err)
	}
	write := func(value string) (string, map[string]string, error) {
		asked := map[string]string{}
		e := edit
		e.Value = func(name, old string) string {
			asked[name] = old
			return strings.ReplaceAll(old, "NAME", value)
		}
		var b strings.Builder
		_, err := m.Write(&b, strings.NewReader(message), e)
		return b.String(), asked, err
	}
	got, asked, err := write("zoë")
	if want := strings.Replace(message, "=?utf-8?q?caf=C3=A9?= NAME", "=?utf-8?b?Y2Fmw6kgem/Dqw==?=", 1); err != nil || got != want {
		t.Errorf("%v, got %q\nwant %q", err, got, want)
	}
	if asked["X-Name"] != "café NAME" {
		t.Errorf("asked with %q", asked["X-Name"])
	}
	for _, name := range []string{"From", "Message-ID", "Date", "Received", "DKIM-Signature", "ARC-Seal", "MIME-Version", "Content-Type", "Content-Description"} {
		if _, ok := asked[name]; ok {
			t.Errorf("asked about %s", name)
		}
	}
	for _, value := range []string{"a\r\nBcc: b@example.org", "a\nb", "a\rb", "a\x00b", "a\x1bb"} {
		var fe *FieldError
		if got, _, err := write(value); !errors.As(err, &fe) {
			t.Errorf("%q: %v, %q", value, err, got)
		}
	}
}
