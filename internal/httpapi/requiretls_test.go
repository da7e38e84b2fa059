package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/mail"
)

// o:requiretls is as strict as o:require-tls, and another thing.
func TestRequireTLSMarking(t *testing.T) {
	for _, way := range []string{"messages", "messages multipart", "messages query", "messages capital", "messages.mime"} {
		for value, want := range map[string]bool{"yes": true, "true": true, "TRUE": true, "no": false, "false": false, "": false} {
			t.Run(fmt.Sprintf("%s %q", way, value), func(t *testing.T) {
				rg := newRig(t)
				rg.sendFlag(t, way, "requiretls", value)
				got := rg.onlyEnvelope(t)
				if got.RequireTLS != want || got.TLSOptional || got.TLS != (mail.TLSFlags{}) {
					t.Errorf("envelope %+v, want REQUIRETLS %v and nothing else", got, want)
				}
			})
		}
	}
}

func (rg *rig) onlyEnvelope(t *testing.T) mail.Envelope {
	t.Helper()
	if len(rg.store.messages) != 1 {
		t.Fatalf("%d messages were accepted, want 1", len(rg.store.messages))
	}
	for _, m := range rg.store.messages {
		return m.Envelope
	}
	panic("unreachable")
}

func TestUnreadableMarkingsAre400(t *testing.T) {
	for _, p := range []url.Values{
		{"o:requiretls": {"1"}}, {"o:requiretls": {"strict"}}, {"o:requiretls": {"yes", "no"}}, {"o:tls-required": {"yes"}}, {"o:tls-required": {"true"}},
	} {
		rg := newRig(t)
		p["from"], p["to"], p["text"] = []string{"bob@example.com"}, []string{"ann@example.net"}, []string{"Hello"}
		w := rg.call("sending", "POST", "/v3/example.com/messages", p)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "o:") || len(rg.store.messages) != 0 {
			t.Errorf("%v: %d %s", p, w.Code, w.Body)
		}
	}
}

// What a message was told about TLS holds also when it is sent once more: nobody who
// resends "TLS or not at all" means "or in plaintext".
func TestResendingKeepsWhatTheMessageSaidAboutTLS(t *testing.T) {
	for name, c := range map[string]struct {
		options url.Values
		want    mail.Envelope
	}{
		"nothing":           {nil, mail.Envelope{}},
		"REQUIRETLS":        {url.Values{"o:requiretls": {"yes"}}, mail.Envelope{RequireTLS: true}},
		"TLS-Required: No":  {url.Values{"o:tls-required": {"no"}}, mail.Envelope{TLSOptional: true}},
		"both":              {url.Values{"o:tls-required": {"no"}, "o:requiretls": {"yes"}}, mail.Envelope{RequireTLS: true}},
		"require-tls":       {url.Values{"o:require-tls": {"yes"}}, mail.Envelope{TLS: mail.TLSFlags{RequireTLS: mail.True}}},
		"not require-tls":   {url.Values{"o:require-tls": {"no"}}, mail.Envelope{TLS: mail.TLSFlags{RequireTLS: mail.False}}},
		"skip-verification": {url.Values{"o:skip-verification": {"yes"}}, mail.Envelope{TLS: mail.TLSFlags{SkipVerification: mail.True}}},
	} {
		t.Run(name, func(t *testing.T) {
			rg := newRig(t)
			form := url.Values{"from": {"bob@example.com"}, "to": {"ann@example.net"}, "text": {"Hello"}}
			for k, v := range c.options {
				form[k] = v
			}
			if w := rg.call("admin", "POST", "/v3/example.com/messages", form); w.Code != http.StatusOK {
				t.Fatalf("send: %d %s", w.Code, w.Body)
			}
			var first mail.ID
			for first = range rg.store.messages {
			}
			if w := rg.call("admin", "POST", "/v3/domains/example.com/messages/"+first.String(), url.Values{"to": {"eve@example.net"}}); w.Code != http.StatusOK {
				t.Fatalf("resend: %d %s", w.Code, w.Body)
			}
			for id, m := range rg.store.messages {
				got := mail.Envelope{TLS: m.Envelope.TLS, RequireTLS: m.Envelope.RequireTLS, TLSOptional: m.Envelope.TLSOptional}
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("message %v, resent %v: %+v, want %+v", id, id != first, got, c.want)
				}
			}
			if len(rg.store.messages) != 2 {
				t.Errorf("%d messages", len(rg.store.messages))
			}
		})
	}
}
