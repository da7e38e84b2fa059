package tracking

import (
	"context"
	"crypto/sha256"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	links "github.com/sealpost/sealpost/internal/tracking"
	"github.com/sealpost/sealpost/internal/tracking/visit"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// suppressions remember who unsubscribed.
type suppressions struct {
	mu   sync.Mutex
	list []string
	err  error
}

func (s *suppressions) AddUnsubscribe(_ context.Context, domainID int64, address, tag string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if entry := address + " " + tag; domainID == 1 && !slices.Contains(s.list, entry) {
		s.list = append(s.list, entry)
	}
	return nil
}

// A rig is the surface on a real store. Its links are always the same: the key is, and the message.
type rig struct {
	store        *sqlite.Store
	keys         *links.Keyring
	suppressions *suppressions
	handler      http.Handler
	surface      *Surface
	message      mail.ID
	log          *strings.Builder
}

// messageID is of a message of a fixed moment.
var messageID = mail.FirstID(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) + 1

func newRig(t testing.TB) *rig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.AddLinkKey(t.Context(), &store.LinkKey{Secret: []byte("0123456789abcdef0123456789abcdef")}); err != nil {
		t.Fatal(err)
	}
	keys, err := links.OpenKeyring(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int64{}
	for _, name := range []string{"example.com", "example.org"} {
		d := store.Domain{Name: name, State: store.DomainActive}
		if err := s.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		ids[name] = d.ID
	}
	for name, k := range map[string]store.Key{
		"admin": {Role: store.RoleAdmin}, "own-admin": {Role: store.RoleAdmin, DomainID: ids["example.com"]},
		"other-admin": {Role: store.RoleAdmin, DomainID: ids["example.org"]}, "own-sending": {Role: store.RoleSending, DomainID: ids["example.com"]},
	} {
		k.Hash = sha256.Sum256([]byte(name))
		if err := s.CreateKey(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	rg := &rig{store: s, keys: keys, suppressions: &suppressions{}, message: messageID, log: &strings.Builder{}}
	log := slog.New(slog.NewTextHandler(rg.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	hosts := links.NewHosts("https://mail.example.net")
	visitor := visit.New(keys, hosts, visit.Roles{Domains: s, Messages: s, Events: s, Recorder: s, Suppressions: rg.suppressions}, log)
	rg.surface = New(s, visitor, func(ctx context.Context) error { return keys.Rotate(ctx, s) })
	d := door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()}, door.Deps{Keys: s, Domains: s, Log: log}, rg.surface.Routes())
	rg.handler = d.Handler()
	rg.accept(t)
	return rg
}

// accept puts the message into the store.
func (rg *rig) accept(t testing.TB) {
	t.Helper()
	m := &store.NewMessage{
		ID: rg.message, DomainID: 1, Meta: event.Meta{Domain: "example.com", MessageID: "m1@example.com", Recipients: []string{"Ann@example.net"}, Tags: []string{"news"}},
		Content: &store.Content{Size: 2, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hi")), nil }},
		Events:  []event.Record{{Type: event.Accepted, DomainID: 1, Message: rg.message, Recipient: "Ann@example.net"}},
	}
	if err := rg.store.Accept(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (rg *rig) do(key string, r *http.Request) *httptest.ResponseRecorder {
	if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	rg.handler.ServeHTTP(w, r)
	return w
}

// visit follows a link as somebody would.
func (rg *rig) visit(t testing.TB, method, path string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "https://mail.example.net"+path, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return rg.do("", r)
}

// happened lists the events of the message but its acceptance.
func (rg *rig) happened(t testing.TB) []store.EventItem {
	t.Helper()
	page, err := rg.store.Events(t.Context(), store.EventQuery{DomainID: 1, Message: rg.message, Ascending: true, Limit: 1000,
		Types: []event.Type{event.Opened, event.Clicked, event.Unsubscribed}})
	if err != nil {
		t.Fatal(err)
	}
	return page.Items
}

func (rg *rig) path(l links.Link) string {
	l.DomainID, l.Message = 1, rg.message
	return map[links.Kind]string{links.Open: links.OpenPath, links.Click: links.ClickPath, links.Unsubscribe: links.UnsubscribePath,
		links.UnsubscribeTags: links.UnsubscribePath}[l.Kind] + rg.keys.Seal(l)
}

// The contract, one case a file. Links in it were made with the key and the message of newRig.
func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		return func(key string, r *http.Request) *httptest.ResponseRecorder {
			r.Host = "mail.example.net"
			return rg.do(key, r)
		}
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range newRig(t).surface.Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}

// SEC-60, SEC-65: who may call what, and that nothing else answers without a key.
func TestRoutesAndRoles(t *testing.T) {
	rg := newRig(t)
	var public []string
	for _, rt := range rg.surface.Routes() {
		if rt.Access == door.Public {
			public = append(public, rt.Method+" "+rt.Pattern)
			continue
		}
		for _, key := range []string{"", "wrong", "admin", "own-admin", "other-admin", "own-sending"} {
			path := strings.Replace(rt.Pattern, "{domain}", "example.com", 1)
			w := rg.do(key, httptest.NewRequestWithContext(t.Context(), rt.Method, path, nil))
			allowed := key == "admin" || key == "own-admin" && rt.Access == door.Manage
			if refused := w.Code == 401 || w.Code == 404; refused == allowed {
				t.Errorf("%s %s with key %q: status %d", rt.Method, rt.Pattern, key, w.Code)
			}
		}
	}
	if got := strings.Join(public, ", "); got != "GET /o/{link}, GET /c/{link}, GET /u/{link}, POST /u/{link}" {
		t.Errorf("public routes are %s", got)
	}
}

// visitForm sends a form with the admin's key and returns the status.
func (rg *rig) visitForm(t testing.TB, path, form string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "PUT", path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return rg.do("admin", r).Code
}
