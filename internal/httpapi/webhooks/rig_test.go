package webhooks_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/httpapi/contract"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/webhooks"
	"github.com/sealpost/sealpost/internal/netguard"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/webhook"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// subAccount is an account besides the primary one.
const subAccount = 2

// A rig is the calls over a real store, a running room, and a web server which all
// hosts below example.com are, except those that lookup knows otherwise.
type rig struct {
	store   *sqlite.Store
	room    *webhook.Room
	api     *webhooks.API
	handler http.Handler
}

// lookup is the DNS of the rig.
func lookup(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "no.example.com":
		return nil, nil
	case "broken.example.com":
		return nil, errors.New("the resolver does not answer")
	case "inside.example.com":
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
}

// serve is the web server: what it answers depends on the path.
func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/fail":
		http.Error(w, "database <b>is</b> down\nsorry", http.StatusInternalServerError)
	case "/redirect":
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	case "/reset":
		panic(http.ErrAbortHandler)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), MinFree: -1, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	rg := &rig{store: s}
	if err := s.CreateAccount(t.Context(), &store.Account{Name: "sub"}); err != nil { // the second one
		t.Fatal(err)
	}
	for name, account := range map[string]int64{"example.com": store.PrimaryAccount, "example.org": store.PrimaryAccount, "sub.example": subAccount} {
		if err := s.CreateDomain(t.Context(), &store.Domain{Name: name, AccountID: account, State: store.DomainActive}); err != nil {
			t.Fatal(err)
		}
	}
	for name, k := range map[string]store.Key{
		"admin": {Role: store.RoleAdmin}, "sending": {Role: store.RoleSending}, "sub-admin": {Role: store.RoleAdmin, AccountID: subAccount},
		"own-admin": {Role: store.RoleAdmin, DomainID: rg.domain(t, "example.com").ID}, "other-admin": {Role: store.RoleAdmin, DomainID: rg.domain(t, "example.org").ID},
	} {
		k.Hash, k.Description = sha256.Sum256([]byte(name)), name
		if err := s.CreateKey(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	web := httptest.NewServer(http.HandlerFunc(serve))
	web.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelInfo)
	client := outhttp.NewClient(outhttp.Config{UserAgent: "Sealpost", IdlePerHost: 2, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); !strings.HasSuffix(host, ".example.com") {
			return nil, fmt.Errorf("%s was called", address)
		}
		return new(net.Dialer).DialContext(ctx, network, web.Listener.Addr().String())
	}})
	rg.room = webhook.New(webhook.Config{BaseURL: "https://mail.example.net"},
		webhook.Roles{Journal: follow.NewTail(s), Events: s, Cursors: s, Domains: s, Hooks: s, Deliveries: s}, client, log)
	dialer := outhttp.Dialer{Lookup: lookup}
	rg.api = webhooks.New(webhooks.Deps{Hooks: s, Domains: s, Room: rg.room, CheckURL: func(ctx context.Context, url string) error {
		return dialer.Check(ctx, url, netguard.Policy{}.Check)
	}})
	rg.handler = door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()}, door.Deps{Keys: s, Domains: s, Log: log}, rg.api.Routes()).Handler()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); rg.room.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return rg
}

func (rg *rig) domain(t *testing.T, name string) store.Domain {
	t.Helper()
	d, err := rg.store.Domain(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (rg *rig) call(key string, r *http.Request) *httptest.ResponseRecorder {
	if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	rg.handler.ServeHTTP(w, r)
	return w
}

// add stores a message of the domain that was delivered, and returns the event's id.
func (rg *rig) add(t *testing.T, domain string) string {
	t.Helper()
	d := rg.domain(t, domain)
	id := rg.store.NewID()
	m := &store.NewMessage{
		ID: id, DomainID: d.ID, Meta: event.Meta{Domain: d.Name, MessageID: id.String() + "@" + d.Name},
		Content: &store.Content{Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }},
		Events:  []event.Record{{Type: event.Delivered, DomainID: d.ID, Message: id, Recipient: "ann@example.net"}},
	}
	if err := rg.store.Accept(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m.Events[0].ID.String()
}

// The contract, one case a file.
func TestContract(t *testing.T) {
	contract.Run(t, "testdata/contract", *update, func(t *testing.T) contract.Caller {
		return newRig(t).call
	})
}

// Every route is in the contract.
func TestContractCoversEveryRoute(t *testing.T) {
	var routes []string
	for _, rt := range webhooks.New(webhooks.Deps{}).Routes() {
		routes = append(routes, rt.Method+" "+rt.Pattern)
	}
	contract.Covers(t, "testdata/contract", routes)
}
