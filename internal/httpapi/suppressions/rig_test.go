package suppressions

import (
	"context"
	"crypto/sha256"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/suppression"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// A rig is the surface on a real store and a real room, with a worker if it runs.
type rig struct {
	ended   endings
	store   *sqlite.Store
	room    *suppression.Room
	surface *Surface
	handler http.Handler
	domains map[string]int64
}

// Keys are named after what they may do: example.com is "own", example.org is "other".
func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.DiscardHandler)
	ended := make(endings, 10)
	room, err := suppression.Open(t.Context(), filepath.Join(dir, "imports"), told{s, ended}, log)
	if err != nil {
		t.Fatal(err)
	}
	rg := &rig{ended: ended, store: s, room: room, surface: New(s, room), domains: map[string]int64{}}
	for _, name := range []string{"example.com", "example.org"} {
		d := store.Domain{Name: name, State: store.DomainActive}
		if err := s.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		rg.domains[name] = d.ID
	}
	if err := s.CreateAccount(t.Context(), &store.Account{Name: "foreign"}); err != nil { // its id is 2
		t.Fatal(err)
	}
	for name, k := range map[string]store.Key{
		"admin":       {Role: store.RoleAdmin},
		"own-admin":   {Role: store.RoleAdmin, DomainID: rg.domains["example.com"]},
		"own-sending": {Role: store.RoleSending, DomainID: rg.domains["example.com"]},
		"other-admin": {Role: store.RoleAdmin, DomainID: rg.domains["example.org"]},
		"foreign":     {Role: store.RoleAdmin, AccountID: 2},
	} {
		k.Hash = sha256.Sum256([]byte(name))
		if err := s.CreateKey(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	d := door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()}, door.Deps{Keys: s, Domains: s, Log: log}, rg.surface.Routes())
	rg.handler = d.Handler()
	return rg
}

// endings has a word for every import that ended.
type endings chan struct{}

// told is a store that tells of imports that ended.
type told struct {
	*sqlite.Store
	ended endings
}

func (s told) AdvanceImport(ctx context.Context, im *store.Import, entries []store.Suppression) error {
	err := s.Store.AdvanceImport(ctx, im, entries)
	if im.State != store.ImportRunning {
		s.ended <- struct{}{}
	}
	return err
}

// work runs the room until the test ends.
func (rg *rig) work(t testing.TB) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		rg.room.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
}

func (rg *rig) do(key string, r *http.Request) *httptest.ResponseRecorder {
	if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	rg.handler.ServeHTTP(w, r)
	return w
}

func (rg *rig) call(method, path, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return rg.do("own-admin", r)
}

// The contract, one case a file. Lists of example.org hold ann@example.net from the start, so that
// nothing of it may show in the answers about example.com.
func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		rg := newRig(t)
		for l := store.Bounces; l <= store.Allowlist; l++ {
			entry := store.Suppression{Value: "other@example.net", Tags: []string{"*"}, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			if err := rg.store.PutSuppressions(t.Context(), rg.domains["example.org"], l, []store.Suppression{entry}); err != nil {
				t.Fatal(err)
			}
		}
		return rg.do
	})
}

func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range newRig(t).surface.Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}
