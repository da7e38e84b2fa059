package openapi

import (
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// The document is served without a key, and a wrong one does not keep it from anybody.
func TestServed(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.CreateKey(t.Context(), &store.Key{Role: store.RoleSending, Hash: sha256.Sum256([]byte("sending"))}); err != nil {
		t.Fatal(err)
	}
	h := door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()},
		door.Deps{Keys: s, Domains: s, Log: slog.New(slog.DiscardHandler)}, Surface{}.Routes()).Handler()
	for _, key := range []string{"", "sending", "wrong"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/sealpost/openapi.json", nil)
		if key != "" {
			r.SetBasicAuth("api", key)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json; charset=utf-8" ||
			w.Header().Get("Content-Length") != strconv.Itoa(len(Document())) || w.Body.String() != string(Document()) {
			t.Errorf("with key %q: status %d, %s, %d octets", key, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
	}
}

// The document is a valid one, whose operations can be told apart, and small enough to be served.
func TestDocument(t *testing.T) {
	if !json.Valid(Document()) || len(Document()) > 700<<10 {
		t.Fatalf("%d octets, which may not be JSON", len(Document()))
	}
	doc, err := openapi3.NewLoader().LoadFromData(Document())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	ids := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if at := method + " " + path; op.Summary == "" || ids[op.OperationID] != "" {
				t.Errorf("%s: summary %q, id %q as of %s", at, op.Summary, op.OperationID, ids[op.OperationID])
			} else {
				ids[op.OperationID] = at
			}
		}
	}
	if len(ids) < 200 {
		t.Errorf("there are %d calls only", len(ids))
	}
}
