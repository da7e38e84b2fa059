package webhook_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailgun/mailgun-go/v4"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

type signed struct {
	webhook.Signature
	parent *webhook.Signature
}

func signature(t testing.TB, body []byte) signed {
	t.Helper()
	var v struct {
		Signature webhook.Signature  `json:"signature"`
		Parent    *webhook.Signature `json:"parent-signature"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	return signed{v.Signature, v.Parent}
}

// OpenSSL computes the same signature.
func TestOpenSSLAgrees(t *testing.T) {
	got := webhook.Sign("key-secret", time.Unix(1740437044, 999), strings.Repeat("a", 50))
	cmd := exec.Command("openssl", "dgst", "-sha256", "-hmac", "key-secret", "-r")
	cmd.Stdin = strings.NewReader(got.Timestamp + got.Token)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl: %v: install the Debian package openssl", err)
	}
	if want, _, _ := strings.Cut(string(out), " "); got.Signature != want || got.Timestamp != "1740437044" {
		t.Errorf("%+v, want signature %s", got, want)
	}
}

// SEC-67: the Go client verifies what we sign, node's crypto does, and neither takes a forgery.
func TestOthersVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hook(1, r.domain.ID, one, "delivered")
		r.add(r.domain, of(event.Delivered)...)
		r.wait(time.Second)
		key, err := r.store.SigningKey(t.Context(), store.PrimaryAccount)
		if err != nil {
			t.Fatal(err)
		}
		calls := r.world.to(one)
		if len(calls) != 1 {
			t.Fatalf("%d calls", len(calls))
		}
		s := signature(t, calls[0].body)
		if !regexp.MustCompile(`^[0-9a-f]{50}$`).MatchString(s.Token) || s.parent != nil {
			t.Errorf("signature %+v", s)
		}
		mg := mailgun.NewMailgun("example.com", "unused")
		mg.SetWebhookSigningKey(key.Key)
		verify := func(s webhook.Signature) bool {
			ok, err := mg.VerifyWebhookSignature(mailgun.Signature{TimeStamp: s.Timestamp, Token: s.Token, Signature: s.Signature})
			return ok && err == nil
		}
		if !verify(s.Signature) {
			t.Error("mailgun-go does not verify our signature")
		}
		forged := s.Signature
		forged.Token = strings.Repeat("0", 50)
		if verify(forged) {
			t.Error("a forged token verifies")
		}

		// A new key signs at once; with overlap, the old one until its end.
		next, err := r.store.RotateSigningKey(t.Context(), store.PrimaryAccount, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		r.add(r.domain, of(event.Delivered)...)
		r.wait(time.Second)
		if !verify(signature(t, r.world.to(one)[1].body).Signature) {
			t.Error("during the overlap the old key does not sign")
		}
		r.wait(time.Hour)
		r.add(r.domain, of(event.Delivered)...)
		r.wait(time.Second)
		mg.SetWebhookSigningKey(next.Key)
		if !verify(signature(t, r.world.to(one)[2].body).Signature) {
			t.Error("after the overlap the new key does not sign")
		}
	})
}

const nodeVerify = `
const crypto = require('crypto');
const [key, text] = [process.argv[1], require('fs').readFileSync(0, 'utf8')];
const s = JSON.parse(text).signature;
const mac = crypto.createHmac('sha256', key).update(s.timestamp.concat(s.token)).digest('hex');
process.exit(typeof s.timestamp === 'string' && s.token.length === 50 && mac === s.signature ? 0 : 1);`

func TestNodeVerifies(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("no node: install the Debian package nodejs")
	}
	body, err := json.Marshal(map[string]any{"signature": webhook.Sign("key-1", time.Unix(1740437044, 0), strings.Repeat("x", 50))})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"key-1": true, "key-2": false} {
		cmd := exec.Command(node, "-e", nodeVerify, key)
		cmd.Stdin = bytes.NewReader(body)
		if err := cmd.Run(); (err == nil) != want {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// T10: what a webhook says of a delivery is what the events API says, field by field.
// SEC-69: and no secret is in it.
func TestPayloadIsTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hook(1, r.domain.ID, one, event.Hooks()...)
		yes, no, host, wait := true, false, "mx1.example.net", 300
		records := of(event.Accepted, event.Delivered, event.FailedTemporary, event.FailedPermanent)
		records[1].Data = event.Data{SendingIP: "192.0.2.10", Status: &event.Status{AttemptNo: 1, Code: 250, Message: "OK", SessionSeconds: 0.5, TLS: &yes, CertificateVerified: &no, MXHost: &host, UTF8: &yes}}
		records[2].Data = event.Data{Reason: "generic", Status: &event.Status{AttemptNo: 1, Code: 451, RetrySeconds: &wait, TLS: &yes, CertificateVerified: &yes, MXHost: &host}}
		records[3].Data = event.Data{Reason: "bounce", Status: &event.Status{AttemptNo: 2, Code: 550, TLS: &no, CertificateVerified: &no, MXHost: &host}}
		r.add(r.domain, records...)
		r.wait(time.Second)
		page, err := r.store.Events(t.Context(), store.EventQuery{DomainID: r.domain.ID, Ascending: true, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		calls := r.world.to(one)
		if len(calls) != len(page.Items) || len(calls) != 4 {
			t.Fatalf("%d calls, %d events", len(calls), len(page.Items))
		}
		key, err := r.store.SigningKey(t.Context(), store.PrimaryAccount)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			var got struct {
				Event json.RawMessage `json:"event-data"`
			}
			if err := json.Unmarshal(c.body, &got); err != nil {
				t.Fatal(err)
			}
			found := false
			for i := range page.Items {
				var want bytes.Buffer
				enc := json.NewEncoder(&want)
				enc.SetEscapeHTML(false)
				if err := enc.Encode(event.Render(&page.Items[i].Record, &page.Items[i].Meta, "https://mail.example.net")); err != nil {
					t.Fatal(err)
				}
				found = found || bytes.Equal(got.Event, bytes.TrimSpace(want.Bytes()))
			}
			if !found {
				t.Errorf("no event of the API is %s", got.Event)
			}
			checkSecrets(t, c.body, key.Key)
		}
	})
}

// checkSecrets refuses a payload that holds what must never leave: keys, passwords, hashes,
// private keys.
func checkSecrets(t testing.TB, body []byte, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if bytes.Contains(body, []byte(s)) {
			t.Errorf("the payload holds %q", s)
		}
	}
	if m := regexp.MustCompile(`(?i)key-[0-9a-f]{32}|argon2|PRIVATE KEY|"password|"secret|authorization|basic [a-z0-9+/]{8}`).Find(body); m != nil {
		t.Errorf("the payload holds %q", m)
	}
}
