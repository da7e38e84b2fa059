package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/mailgun/mailgun-go/v4"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// A hookServer is a user's server: it keeps what it is told, by the id of the event.
type hookServer struct {
	mu     sync.Mutex
	events map[string]any
	signed []mailgun.Signature
}

func (h *hookServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var v struct {
		Signature mailgun.Signature `json:"signature"`
		Event     map[string]any    `json:"event-data"`
	}
	if err != nil || json.Unmarshal(body, &v) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id, _ := v.Event["id"].(string)
	h.events[id] = v.Event
	h.signed = append(h.signed, v.Signature)
}

func (h *hookServer) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

// T10: what webhooks are told of a delivery, above all about TLS, is what the events API
// says, for a receiver with a good certificate, one with a bad one, and one without TLS. A client
// of the API verifies the signatures.
func TestWebhooksAreTheEvents(t *testing.T) {
	t.Parallel()
	hooks := &hookServer{events: map[string]any{}}
	web := httptest.NewServer(hooks)
	t.Cleanup(web.Close)
	w := newWorld(t)
	settings := string(w.settings("\n[webhooks]\nallow_private = [\"127.0.0.0/8\"]"))
	// Links in events are those of the public address, wherever they are asked for.
	rg := w.startWith(t, []byte(strings.Replace(settings, "[http]\n", "[http]\npublic_url = \"https://mail.server.test\"\n", 1)))
	rg.open(t, plainDomain)
	for _, kind := range []string{"accepted", "delivered", "permanent_fail"} {
		rg.call(t, "POST", "/v3/domains/"+plainDomain+"/webhooks", url.Values{"id": {kind}, "url": {web.URL}})
	}
	for _, to := range []*receiver{
		w.receive(t, "valid", smtptest.Valid, smtptest.Behaviour{}),
		w.receive(t, "self-signed", smtptest.SelfSigned, smtptest.Behaviour{}),
		w.receive(t, "plain", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered}),
	} {
		rg.mustSubmit(t, plainDomain, "messages", form{{name: "from", value: "bob@" + plainDomain}, {name: "to", value: to.address()}, {name: "subject", value: "a < b & c"}, {name: "text", value: "hello"}})
	}
	rg.settle(t)
	await(t, "webhooks", func() bool { return hooks.count() == 6 })
	answer := rg.call(t, "GET", "/v3/"+plainDomain+"/events", nil)
	items, _ := answer["items"].([]any)
	if len(items) != 6 {
		t.Fatalf("%d events", len(items))
	}
	seen := map[any]int{}
	for _, item := range items {
		e := item.(map[string]any)
		if told := hooks.events[e["id"].(string)]; !reflect.DeepEqual(told, item) {
			t.Errorf("a webhook was told %v, the API says %v", told, item)
		}
		if status, ok := e["delivery-status"].(map[string]any); ok {
			seen[[2]any{status["tls"], status["certificate-verified"]}]++
		}
	}
	if seen[[2]any{true, true}] != 1 || len(seen) < 2 {
		t.Errorf("deliveries by TLS and certificate: %v", seen)
	}
	key, _ := rg.call(t, "GET", "/v5/accounts/http_signing_key", nil)["http_signing_key"].(string)
	mg := mailgun.NewMailgun(plainDomain, "unused")
	mg.SetWebhookSigningKey(key)
	for _, s := range hooks.signed {
		if ok, err := mg.VerifyWebhookSignature(s); !ok || err != nil {
			t.Errorf("signature %+v: %v, %v", s, ok, err)
		}
	}
}
