package app

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/openapi"
	"github.com/sealpost/sealpost/internal/httpapi/openapi/generate"
)

var update = flag.Bool("update", false, "rewrite the OpenAPI document and the table of routes")

// served returns the table of routes of a server with everything in it.
func served(t *testing.T) []door.Route {
	t.Helper()
	cfg, err := config.Parse("sealpost.toml", []byte("[server]\nhostname = \"mail.example.net\"\ndata_dir = \""+t.TempDir()+"\"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log.Level = config.LogError
	a, err := build(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.evidence.Close()
		if err := a.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return a.api.Table()
}

// The OpenAPI document is what the server serves: made again from the routes, the
// handlers and the contract files, which are held against the handlers, it is the same. So what is
// served is in the document, and what is in the document is served.
func TestOpenAPIDocument(t *testing.T) {
	names := map[door.Access]string{
		door.Operate: "operate", door.Administer: "administer", door.Account: "account", door.Manage: "manage", door.Look: "look", door.Send: "send", door.Public: "public",
	}
	var routes []generate.Route
	for _, r := range served(t) {
		group, handler := generate.HandlerOf(r.Handle)
		routes = append(routes, generate.Route{Method: r.Method, Pattern: r.Pattern, Access: names[r.Access], Group: group, Handler: handler})
	}
	words, err := os.ReadFile("../httpapi/openapi/words.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, missing, err := generate.Document(generate.Input{Routes: routes, Sources: "../httpapi", Words: words})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range missing {
		t.Error(m)
	}
	parsed, err := openapi3.NewLoader().LoadFromData(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if *update {
		if err := os.WriteFile("../httpapi/openapi/openapi.json", doc, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(doc, openapi.Document()) {
		t.Error("openapi.json is not what the server serves; make docs writes it")
	}
}

// SEC-65: what answers without a key, in one list.
func TestPublicRoutes(t *testing.T) {
	var public []string
	for _, r := range served(t) {
		if r.Access == door.Public {
			public = append(public, r.Method+" "+r.Pattern)
		}
	}
	slices.Sort(public)
	want := []string{
		"GET /c/{link}", "GET /o/{link}", "GET /u/{link}", // links of mail, which are signed
		"GET /v1/sealpost/openapi.json", // the same for every server of a version
		"GET /{$}",                      // for clients that probe the base URL
		"POST /u/{link}",                // one click (RFC 8058)
	}
	if !slices.Equal(public, want) {
		t.Errorf("without a key answer:\n%s", strings.Join(public, "\n"))
	}
}
