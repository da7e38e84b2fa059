package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/contract"

	"github.com/sealpost/sealpost/internal/mail"
)

const mimeMessage = "From: bob@example.com\r\nTo: ann@example.net\r\nSubject: Hi\r\n\r\nHello\r\n"

// sent returns the envelope flags of the only message in the store.
func sent(t *testing.T, rg *rig) mail.TLSFlags {
	t.Helper()
	for _, m := range rg.store.messages {
		return m.Envelope.TLS
	}
	t.Fatal("no message was accepted")
	return mail.TLSFlags{}
}

// T1 to T5 for both flags, through both endpoints, in both forms: what the message
// says is kept as said, and what it does not say is left to the domain.
func TestMessageFlagsAreTriState(t *testing.T) {
	cases := []struct {
		id     string
		domain bool
		value  string // "-": absent
		want   mail.Tri
	}{
		{"T1", false, "-", mail.Unset}, {"T2", true, "-", mail.Unset},
		{"T3", false, "yes", mail.True}, {"T3", false, "true", mail.True}, {"T3", false, "True", mail.True}, {"T3", false, "YES", mail.True},
		{"T4", true, "no", mail.False}, {"T4", true, "false", mail.False}, {"T4", true, "False", mail.False},
		{"T5", true, "", mail.Unset},
	}
	for _, c := range cases {
		for _, flag := range []string{"require-tls", "skip-verification"} {
			for _, way := range []string{"messages", "messages multipart", "messages query", "messages capital", "messages.mime"} {
				t.Run(fmt.Sprintf("%s %s=%s %s", c.id, flag, c.value, way), func(t *testing.T) {
					rg := newRig(t)
					setting := url.Values{strings.ReplaceAll(flag, "-", "_"): {fmt.Sprint(c.domain)}}
					if w := rg.call("admin", "PUT", "/v3/domains/example.com/connection", setting); w.Code != http.StatusOK {
						t.Fatalf("set domain flag: %d", w.Code)
					}
					rg.sendFlag(t, way, flag, c.value)
					got := sent(t, rg)
					have, other := got.RequireTLS, got.SkipVerification
					if flag == "skip-verification" {
						have, other = other, have
					}
					if have != c.want || other != mail.Unset {
						t.Errorf("envelope has %v and the other flag %v, want %v and unset", have, other, c.want)
					}
				})
			}
		}
	}
}

func (rg *rig) sendFlag(t *testing.T, way, flag, value string) {
	t.Helper()
	fields := [][2]string{{"to", "ann@example.net"}}
	endpoint, how, _ := strings.Cut(way, " ")
	if endpoint == "messages" {
		fields = append(fields, [2]string{"from", "bob@example.com"}, [2]string{"text", "Hello"})
	} else {
		fields = append(fields, [2]string{"message", mimeMessage})
		how = "multipart"
	}
	name := "o:" + flag
	if how == "capital" {
		name = "O:" + strings.ToUpper(flag)
	}
	query := ""
	switch {
	case value == "-":
	case how == "query":
		query = "?" + url.Values{name: {value}}.Encode()
	default:
		fields = append(fields, [2]string{name, value})
	}
	path := "/v3/example.com/" + endpoint + query
	r := contract.FormRequest(t, path, how == "multipart", fields)
	if w := rg.do("admin", r); w.Code != http.StatusOK {
		t.Fatalf("status %d %s", w.Code, w.Body)
	}
}

// T8 is in the contract file domain-create, T6 and T7 in connection. This one goes on:
// whatever sequence of changes, all views agree.
func TestEveryViewShowsTheSamePair(t *testing.T) {
	rg := newRig(t)
	changes := []struct{ path, name string }{
		{"/v3/domains/example.com/connection", "require_tls"}, {"/v3/domains/example.com/connection", "skip-verification"},
		{"/v4/domains/example.com", "skip_verification"}, {"/v3/domains/example.com", "require-tls"},
	}
	for i := range 16 {
		c := changes[i%len(changes)]
		value := []string{"true", "no", "yes", "False"}[(i/3)%4]
		if w := rg.call("own-admin", "PUT", c.path, url.Values{c.name: {value}}); w.Code != http.StatusOK {
			t.Fatalf("PUT %s: %d", c.path, w.Code)
		}
		d := rg.store.domains["example.com"]
		want := fmt.Sprintf(`"require_tls":%v,"skip_verification":%v`, d.TLS.RequireTLS.Bool(), d.TLS.SkipVerification.Bool())
		for _, path := range []string{"/v3/domains/example.com/connection", "/v3/domains/example.com", "/v4/domains/example.com", "/v3/domains", "/v4/domains"} {
			if w := rg.call("own-admin", "GET", path, nil); !strings.Contains(w.Body.String(), want) {
				t.Errorf("after %s=%s, %s shows %s, want %s", c.name, value, path, w.Body, want)
			}
		}
	}
}
