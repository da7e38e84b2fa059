package domains

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/dkimkeys"
	"github.com/sealpost/sealpost/internal/httpapi/apitest"
	"github.com/sealpost/sealpost/internal/store"
)

func pkcs1(t testing.TB, bits int) (*rsa.PrivateKey, string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
}

// upload sends a key as a file.
func upload(rg *rig, selector, text string) *httptest.ResponseRecorder {
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	_ = mw.WriteField("signing_domain", apitest.Own)
	_ = mw.WriteField("selector", selector)
	part, _ := mw.CreateFormFile("pem", "key.pem")
	_, _ = part.Write([]byte(text))
	_ = mw.Close()
	r := httptest.NewRequest("POST", "/v1/dkim/keys", &body)
	r.Header.Set("Content-Type", mw.FormDataContentType())
	return rg.Do("admin", r)
}

// A key is imported as a field and as a file, and what is published is its public half.
func TestImport(t *testing.T) {
	rg := newRig(t)
	k, text := pkcs1(t, 2048)
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	want := "k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	status, body := rg.Call("admin", "POST", "/v1/dkim/keys", "signing_domain", apitest.Own, "selector", "field", "pem", text)
	if status != http.StatusOK {
		t.Fatalf("as a field: %d %s", status, body)
	}
	has(t, body, want)
	w := upload(rg, "file", text)
	if w.Code != http.StatusOK {
		t.Fatalf("as a file: %d %s", w.Code, w.Body)
	}
	has(t, w.Body.String(), want)
	if w := upload(rg, "long", strings.Repeat("x", dkimkeys.MaxPEM+1)); w.Code != http.StatusBadRequest {
		t.Errorf("too long: %d", w.Code)
	}
}

// Private keys never leave, by any call that tells about them.
func TestPrivateKeysStay(t *testing.T) {
	rg := newRig(t)
	_, text := pkcs1(t, 2048)
	if w := upload(rg, "mine", text); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	d, err := rg.Store.Domain(t.Context(), apitest.Own)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(d.DKIM[1].PrivatePEM, "\n")[3] // a line in the middle of it
	for _, call := range [][2]string{
		{"GET", "/v3/domains"}, {"GET", "/v3/domains/example.com"}, {"PUT", "/v3/domains/example.com"}, {"PUT", "/v3/domains/example.com/verify"},
		{"GET", "/v1/dkim/keys"}, {"GET", "/v4/domains/example.com/keys"}, {"PUT", "/v4/domains/example.com/keys/mine/activate"},
		{"POST", "/v1/dkim_management/domains/example.com/rotate"}, {"PUT", "/v1/dkim_management/domains/example.com/rotation?rotation_enabled=true"},
		{"PUT", "/v3/domains/example.com/dkim_authority?self=true"}, {"PUT", "/v3/domains/example.com/dkim_selector?dkim_selector=new"},
	} {
		status, body := rg.Call("admin", call[0], call[1])
		if status != http.StatusOK {
			t.Errorf("%v: %d %s", call, status, body)
		}
		if strings.Contains(body, secret) || strings.Contains(body, "PRIVATE") {
			t.Errorf("%v tells the private key", call)
		}
	}
	log, err := rg.Store.AuditLog(t.Context(), store.AuditQuery{})
	if err != nil || len(log) == 0 {
		t.Fatal(err)
	}
	for _, e := range log {
		for _, facts := range []store.Facts{e.Before, e.After} {
			for name, value := range facts {
				if strings.Contains(value, "PRIVATE") || strings.Contains(value, secret) {
					t.Errorf("the audit log has it in %s", name)
				}
			}
		}
	}
}

// A rotation by hand: the old key signs until the new one's record is seen by verify.
func TestRotateByHand(t *testing.T) {
	rg := newRig(t)
	signs := func() string {
		t.Helper()
		d, err := rg.Store.Domain(t.Context(), apitest.Own)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, k := range d.SigningKeys() {
			list = append(list, k.Selector)
		}
		return strings.Join(list, " ")
	}
	call := func(method, path string) {
		t.Helper()
		if status, body := rg.Call("admin", method, path); status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, body)
		}
	}
	call("PUT", "/v3/domains/example.com/verify")
	call("POST", "/v1/dkim_management/domains/example.com/rotate")
	call("PUT", "/v3/domains/example.com/verify")
	if got := signs(); got != "s1" {
		t.Errorf("before its record is there: %s", got)
	}
	d, err := rg.Store.Domain(t.Context(), apitest.Own)
	if err != nil {
		t.Fatal(err)
	}
	next := d.DKIM[1]
	rg.zone.set("TXT "+next.Selector+"._domainkey.example.com", next.Public)
	call("PUT", "/v3/domains/example.com/verify")
	if got := signs(); got != next.Selector {
		t.Errorf("after that: %s", got)
	}
	_, body := rg.Call("admin", "GET", "/v4/domains/example.com/keys")
	has(t, body, `"keep_until":"`)
}

// Whatever is sent for a key: no failure of ours, and nothing is stored that cannot sign.
func FuzzCreateKey(f *testing.F) {
	_, text := pkcs1(f, 2048)
	f.Add("s2", "2048", text, "rsa")
	f.Add("s2", "1024", "", "ed25519")
	f.Add("S.2", "", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "")
	rg := newRig(f)
	f.Fuzz(func(t *testing.T, selector, bits, text, kind string) {
		if text == "" {
			kind = "ed25519" // RSA keys take too long to make
		}
		status, body := rg.Call("admin", "POST", "/v1/dkim/keys", "signing_domain", apitest.Own, "selector", selector, "bits", bits, "pem", text, "key_type", kind)
		if status >= 500 {
			t.Fatalf("%d %s", status, body)
		}
		d, err := rg.Store.Domain(t.Context(), apitest.Own)
		if err != nil {
			t.Fatal(err)
		}
		if status != http.StatusOK {
			if len(d.DKIM) != 1 {
				t.Fatalf("refused with %d and stored", status)
			}
			return
		}
		added := d.DKIM[len(d.DKIM)-1]
		if _, err := dkimkeys.Import("x", added.PrivatePEM, d.CreatedAt); err != nil || strings.Contains(body, "PRIVATE") {
			t.Fatalf("stored %q: %v", added.Selector, err)
		}
		if status, body := rg.Call("admin", "DELETE", "/v1/dkim/keys", "signing_domain", apitest.Own, "selector", added.Selector); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	})
}
