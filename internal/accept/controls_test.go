package accept

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

// No control field travels but X-Mailgun-Variables, however it is written and folded, and
// recipient variables reach every recipient of the envelope.
func TestControlFieldsBySMTP(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	room := testRoom(t, f, nil)
	s := smtp("X-Mailgun-Tag: news\r\nX-MAILGUN-RECIPIENT-VARIABLES:\r\n {\"ann@example.org\":\r\n\t{\"id\": 1},\r\n \"bob@example.net\": {\"id\": 2}}\r\nx-mailgun-variables: {\"my\":\r\n 1}\r\nX-Mailgun-Nonsense: x\r\nX-Mailgun-Track-Opens: no\r\n")
	s.Recipients = []mail.Address{{Local: "ann", Domain: "example.org"}, {Local: "bob", Domain: "example.net"}}
	if _, err := room.Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	messages, _ := f.messages()
	if len(messages) != 2 {
		t.Fatalf("%d messages, want one for each recipient", len(messages))
	}
	for _, m := range messages {
		content := strings.ToLower(string(f.contents[m.ID]))
		for _, never := range []string{"recipient-variables", "nonsense", "track-opens"} {
			if strings.Contains(content, never) {
				t.Errorf("%s travels:\n%s", never, content)
			}
		}
		if !strings.Contains(content, "x-mailgun-variables: {\"my\":") || !strings.Contains(content, "x-mailgun-tag: news") {
			t.Errorf("got\n%s", content)
		}
	}
}

// multipart/mailgun-variables is taken apart before anything else is looked at.
func TestWrappedVariables(t *testing.T) {
	f := newFakeStore(t, domain("mg.example.com"))
	room := testRoom(t, f, nil)
	s := smtp("")
	json := base64.StdEncoding.EncodeToString([]byte(`{"ann@example.org": {"name": "Ann"}, "bob@example.net": {"name": "Bob"}}`))
	s.Recipients = []mail.Address{{Local: "ann", Domain: "example.org"}, {Local: "bob", Domain: "example.net"}}
	s.Raw = strings.NewReader("Content-Type: multipart/mailgun-variables; boundary=b\r\nX-Mailgun-Tag: outer\r\n\r\n--b\r\nContent-Type: application/json\r\nContent-Transfer-Encoding: base64\r\n\r\n" + json +
		"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: news@mg.example.com\r\nTo: %recipient%\r\nSubject: Hi %recipient.name%\r\nX-Mailgun-Tag: inner\r\n\r\nDear %recipient.name%\r\n\r\n--b--\r\n")
	if _, err := room.Accept(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	messages, _ := f.messages()
	if len(messages) != 2 {
		t.Fatalf("%d messages", len(messages))
	}
	for i, name := range []string{"Ann", "Bob"} {
		content := string(f.contents[messages[i].ID])
		if !strings.Contains(content, "Subject: Hi "+name+"\r\n") || !strings.Contains(content, "\r\nDear "+name+"\r\n") || strings.Contains(content, "mailgun-variables") {
			t.Errorf("got\n%s", content)
		}
		if got := strings.Join(messages[i].Meta.Tags, ","); got != "outer,inner" {
			t.Errorf("tags %s", got)
		}
	}
	s.Raw = strings.NewReader("Content-Type: multipart/mailgun-variables; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n")
	_, err := room.Accept(t.Context(), s)
	wantError(t, err, 400, 554, "")
}
