package accept

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Every control field means what its parameter means, in any letter case: what can be read
// of it, and what is refused.
func TestControlFieldsMeanWhatParametersMean(t *testing.T) {
	tomorrow := time.Now().Add(20 * time.Hour).UTC().Format(time.RFC1123Z)
	flags := []string{"yes", "no", "TRUE", "False", "", "maybe"}
	tracking := append(flags, "htmlonly", "HTMLonly")
	for field, c := range map[string]struct {
		param  string
		values []string
	}{
		"X-Mailgun-Tag":                           {"o:tag", []string{"one", "Zwölf", strings.Repeat("x", 129), ""}},
		"X-Mailgun-Dkim":                          {"o:dkim", flags},
		"X-Mailgun-Secondary-DKIM":                {"o:secondary-dkim", []string{"example.org/k1", "", "x"}},
		"X-Mailgun-Secondary-DKIM-Public":         {"o:secondary-dkim-public", []string{"example.org/k1"}},
		"X-Mailgun-Deliver-By":                    {"o:deliverytime", []string{tomorrow, "Tue, 04 Feb 2025 22:44:03 GMT", "soon", "Fri, 04 Feb 2050 22:44:03 +0000"}},
		"X-Mailgun-Deliver-Within":                {"o:deliver-within", []string{"1h30m", "90m", "25h", "x"}},
		"X-Mailgun-Drop-Message":                  {"o:testmode", flags},
		"X-Mailgun-Track":                         {"o:tracking", tracking},
		"X-Mailgun-Track-Clicks":                  {"o:tracking-clicks", tracking},
		"X-Mailgun-Track-Opens":                   {"o:tracking-opens", flags},
		"X-Mailgun-Track-Pixel-Location-Top":      {"o:tracking-pixel-location-top", tracking},
		"X-Mailgun-Require-TLS":                   {"o:require-tls", flags},
		"X-Mailgun-Skip-Verification":             {"o:skip-verification", flags},
		"X-Mailgun-Sending-Ip":                    {"o:sending-ip", []string{"192.0.2.1", "x"}},
		"X-Mailgun-Sending-Ip-Pool":               {"o:sending-ip-pool", []string{"60140bc1fee3e84dec5abeeb"}},
		"X-Mailgun-Recipient-Variables":           {"recipient-variables", []string{`{"ann@example.org": {"a": 1}}`, "{"}},
		"X-Mailgun-Template-Name":                 {"template", []string{"welcome"}},
		"X-Mailgun-Template-Version":              {"t:version", []string{"v2"}},
		"X-Mailgun-Template-Variables":            {"t:variables", []string{`{"a": "b"}`, "{"}},
		"X-Mailgun-Delivery-Time-Optimize-Period": {"o:deliverytime-optimize-period", []string{"24h", "72h", "x"}},
		"X-Mailgun-Time-Zone-Localize":            {"o:time-zone-localize", []string{"09:00", "02:30pm", "25:00"}},
		"X-Mailgun-Suppress-Headers":              {"o:suppress-headers", []string{"all", "X-Mailgun-Sid, x-mailgun-tag"}},
	} {
		if controlKey(field) != c.param {
			t.Errorf("%s stands for %q, want %s", field, controlKey(field), c.param)
		}
		for _, value := range c.values {
			now := time.Now()
			want, wantErr := parseOptions(fields(c.param, value), nil, now, defaultHorizon)
			for _, name := range []string{field, strings.ToLower(field), strings.ToUpper(field)} {
				got, err := parseOptions(nil, fields(name, value), now, defaultHorizon)
				if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
					t.Errorf("%s: %q gives %+v, %v; want %+v, %v", name, value, got, err, want, wantErr)
				}
			}
		}
	}
}

// domain,selector is what old programs write.
func TestSecondaryDKIMWithAComma(t *testing.T) {
	for _, field := range []string{"X-Mailgun-Secondary-DKIM", "X-Mailgun-Secondary-DKIM-Public"} {
		want, wantErr := parseOptions(nil, fields(field, "example.org/k1"), time.Now(), defaultHorizon)
		got, err := parseOptions(nil, fields(field, "example.org,k1"), time.Now(), defaultHorizon)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(err, wantErr) {
			t.Errorf("%s: %+v, %v; want %+v, %v", field, got, err, want, wantErr)
		}
	}
}

// Fields that may be repeated are, others may be if they agree.
func TestRepeatedControlFields(t *testing.T) {
	o, err := parseOptions(nil, fields("X-Mailgun-Tag", "a", "x-mailgun-tag", "b", "X-Mailgun-Variables", `{"x": 1, "y": 2}`, "X-MAILGUN-VARIABLES", `{"y": 3}`, "X-Mailgun-Track", "yes", "X-Mailgun-Track", "yes"), time.Now(), defaultHorizon)
	if err != nil || strings.Join(o.tags, ",") != "a,b" || !reflect.DeepEqual(o.variables, map[string]string{"x": "1", "y": "3"}) {
		t.Errorf("%q %v, %v", o.tags, o.variables, err)
	}
	if _, err := parseOptions(nil, fields("X-Mailgun-Require-TLS", "yes", "X-Mailgun-Require-TLS", "no"), time.Now(), defaultHorizon); err == nil {
		t.Error("two values for one flag")
	}
}

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
