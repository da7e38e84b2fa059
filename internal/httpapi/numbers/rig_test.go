package numbers_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/numbers"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tally"
)

// A rig is the calls with a real store behind them. Its keys say what they may do: "admin" is of the
// primary account, "own-admin" of example.com alone, "sub" of another account, which has
// sub.example, and "sending" may send.
type rig struct {
	store   *sqlite.Store
	handler http.Handler
	domains map[string]store.Domain
	upTo    mail.ID
}

func newRig(t testing.TB, limit int) *rig {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: filepath.Join(t.TempDir(), "data"), MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rg := &rig{store: s, domains: map[string]store.Domain{}}
	sub := store.Account{Name: "sub"}
	if err := s.CreateAccount(t.Context(), &sub); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"example.com", "example.org", "sub.example"} {
		d := store.Domain{Name: name, State: store.DomainActive}
		if name == "sub.example" {
			d.AccountID = sub.ID
		}
		if err := s.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
		rg.domains[name] = d
	}
	for _, k := range []store.Key{
		{Description: "admin", Role: store.RoleAdmin}, {Description: "own-admin", Role: store.RoleAdmin, DomainID: rg.domains["example.com"].ID},
		{Description: "sub", Role: store.RoleAdmin, AccountID: sub.ID}, {Description: "sending", Role: store.RoleSending},
	} {
		k.Hash = sha256.Sum256([]byte(k.Description))
		if err := s.CreateKey(t.Context(), &k); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	rg.handler = door.New(door.Config{PublicURL: "https://mail.example.net", SpoolDir: t.TempDir()}, door.Deps{Keys: s, Domains: s, Log: log}, numbers.New(s, s, numbers.Config{MaxRequests: limit}).Routes()).Handler()
	return rg
}

// happen counts one event of a domain at a moment.
func (rg *rig) happen(t testing.TB, at time.Time, domain, recipient string, tags []string, typ event.Type, data event.Data) {
	t.Helper()
	rg.upTo++
	item := store.EventItem{
		Record: event.Record{ID: rg.upTo, Time: at, Type: typ, DomainID: rg.domains[domain].ID, Message: 77, Recipient: recipient, Data: data},
		Meta:   event.Meta{Tags: tags},
	}
	if err := rg.store.AddCounts(t.Context(), tally.Tally([]store.EventItem{item}, rg.upTo)); err != nil {
		t.Fatal(err)
	}
}

// monday is when the mail of newStory was sent.
var monday = time.Date(2025, 2, 24, 9, 30, 0, 0, time.UTC)

// newStory returns a rig where some mail was sent: of example.com on Monday, with opens and clicks on
// Tuesday, and a little of the others.
func newStory(t testing.TB) *rig { return newLimitedStory(t, 0) }

func newLimitedStory(t testing.TB, limit int) *rig {
	t.Helper()
	rg := newRig(t, limit)
	status := func(code int) *event.Status { return &event.Status{AttemptNo: 1, Code: code} }
	ip := "192.0.2.10"
	for i, rcpt := range []string{"ann@gmail.com", "bo@gmail.com", "cy@example.net"} {
		tags := [][]string{{"News", "promo"}, {"news"}, nil}[i]
		rg.happen(t, monday, "example.com", rcpt, tags, event.Accepted, event.Data{})
		rg.happen(t, monday.Add(time.Minute), "example.com", rcpt, tags, event.Delivered, event.Data{SendingIP: ip, Status: status(250)})
	}
	rg.happen(t, monday, "example.com", "di@example.net", []string{"news"}, event.Accepted, event.Data{})
	rg.happen(t, monday, "example.com", "di@example.net", []string{"news"}, event.FailedTemporary, event.Data{Reason: "espblock", SendingIP: ip, Status: status(421)})
	rg.happen(t, monday.Add(time.Hour), "example.com", "di@example.net", []string{"news"}, event.FailedPermanent, event.Data{Reason: "bounce", SendingIP: ip, Status: &event.Status{AttemptNo: 2, Code: 550, BounceType: "hard"}})
	rg.happen(t, monday, "example.com", "ed@example.net", nil, event.FailedPermanent, event.Data{Reason: "suppress-bounce", Status: status(605)})
	visit := event.Data{Visit: &event.Visit{Client: event.ClientInfo{DeviceType: "mobile"}}}
	for range 2 {
		rg.happen(t, monday.Add(25*time.Hour), "example.com", "ann@gmail.com", []string{"News", "promo"}, event.Opened, visit)
	}
	rg.happen(t, monday.Add(25*time.Hour), "example.com", "ann@gmail.com", []string{"News", "promo"}, event.Clicked, visit)
	rg.happen(t, monday.Add(26*time.Hour), "example.com", "bo@gmail.com", []string{"news"}, event.Unsubscribed, visit)
	rg.happen(t, monday.Add(27*time.Hour), "example.com", "bo@gmail.com", []string{"news"}, event.Complained, event.Data{})
	rg.happen(t, monday.Add(2*time.Hour), "example.org", "fo@example.net", []string{"news"}, event.Accepted, event.Data{})
	rg.happen(t, monday.Add(2*time.Hour), "sub.example", "gi@example.net", []string{"sub"}, event.Accepted, event.Data{})
	return rg
}

func (rg *rig) do(key string, r *http.Request) *httptest.ResponseRecorder {
	if key != "" {
		r.SetBasicAuth("api", key)
	}
	w := httptest.NewRecorder()
	rg.handler.ServeHTTP(w, r)
	return w
}

// post sends JSON.
func (rg *rig) post(key, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return rg.do(key, r)
}
