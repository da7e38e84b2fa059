package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/webhook"
)

// A call is one POST that a target got.
type call struct {
	at   time.Time
	url  string
	body []byte
}

// id is the id of the event in a call.
func (c call) id() string { return c.event()["id"].(string) }

func (c call) event() map[string]any {
	var v struct {
		Event map[string]any `json:"event-data"`
	}
	if err := json.Unmarshal(c.body, &v); err != nil {
		panic(err)
	}
	return v.Event
}

// A world is what the room calls: every URL answers as told, 200 where nothing is.
type world struct {
	mu    sync.Mutex
	calls []call
	moods map[string]func(ctx context.Context, n int) (outhttp.Answer, error) // n counts the calls of the URL from 1
	count map[string]int
}

func newWorld() *world {
	return &world{moods: map[string]func(context.Context, int) (outhttp.Answer, error){}, count: map[string]int{}}
}

func (w *world) Post(ctx context.Context, url, contentType string, body []byte) (outhttp.Answer, error) {
	if contentType != "application/json" {
		return outhttp.Answer{}, fmt.Errorf("content type %q", contentType)
	}
	w.mu.Lock()
	w.calls = append(w.calls, call{time.Now(), url, body})
	w.count[url]++
	n, mood := w.count[url], w.moods[url]
	w.mu.Unlock()
	if mood == nil {
		return outhttp.Answer{Status: 200}, nil
	}
	return mood(ctx, n)
}

func (w *world) set(url string, mood func(context.Context, int) (outhttp.Answer, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moods[url] = mood
}

// answers makes the URL answer with these statuses, the last one for ever.
func (w *world) answers(url string, statuses ...int) {
	w.set(url, func(_ context.Context, n int) (outhttp.Answer, error) {
		return outhttp.Answer{Status: statuses[min(n, len(statuses))-1], Text: "said so"}, nil
	})
}

// hang is a mood: the connection is taken, and nothing is ever said.
func hang(ctx context.Context, _ int) (outhttp.Answer, error) {
	<-ctx.Done()
	return outhttp.Answer{}, ctx.Err()
}

func (w *world) to(url string) []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.calls), func(c call) bool { return c.url != url })
}

// ids returns the events that a URL was told of, in the order of the first call of each.
func (w *world) ids(url string) []string {
	var ids []string
	seen := map[string]bool{}
	for _, c := range w.to(url) {
		if id := c.id(); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// A rig is a room over a real store, calling a world.
type rig struct {
	*testing.T
	store  *sqlite.Store
	room   *webhook.Room
	world  *world
	domain store.Domain
	cfg    webhook.Config
	stop   context.CancelFunc
	ended  chan struct{}
}

func newRig(t *testing.T, change ...func(*webhook.Config)) *rig {
	t.Helper()
	r := &rig{T: t, store: openStore(t, t.TempDir()), world: newWorld(), cfg: webhook.Config{BaseURL: "https://mail.example.net"}}
	for _, c := range change {
		c(&r.cfg)
	}
	r.domain = r.newDomain("example.com", store.PrimaryAccount)
	r.start()
	t.Cleanup(func() {
		r.halt()
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func openStore(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir, MinFree: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *rig) newDomain(name string, account int64) store.Domain {
	r.Helper()
	d := store.Domain{Name: name, AccountID: account, State: store.DomainActive}
	if err := r.store.CreateDomain(r.Context(), &d); err != nil {
		r.Fatal(err)
	}
	return d
}

// newAccount makes a sub-account and returns its id.
func (r *rig) newAccount() int64 {
	r.Helper()
	a := store.Account{Name: "sub"}
	if err := r.store.CreateAccount(r.Context(), &a); err != nil {
		r.Fatal(err)
	}
	return a.ID
}

// start runs a room until halt.
func (r *rig) start() {
	s := r.store
	r.room = webhook.New(r.cfg, webhook.Roles{Journal: follow.NewTail(s), Events: s, Cursors: s, Domains: s, Hooks: s, Deliveries: s}, r.world, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.ended = stop, make(chan struct{})
	go func() { defer close(r.ended); r.room.Run(ctx) }()
}

func (r *rig) halt() {
	r.stop()
	<-r.ended
}

// hook makes a webhook of a domain, or with domain 0 of the account.
func (r *rig) hook(account, domain int64, url string, kinds ...string) {
	r.Helper()
	_, err := r.store.ChangeWebhooks(context.Background(), account, domain, func(list []store.Webhook) ([]store.Webhook, error) {
		return append(list, store.Webhook{URL: url, Kinds: kinds}), nil
	})
	if err != nil {
		r.Fatal(err)
	}
}

// add stores a message of the domain with events, and returns their ids.
func (r *rig) add(d store.Domain, records ...event.Record) []string {
	r.Helper()
	return add(r, r.store, d, records...)
}

func add(t testing.TB, s *sqlite.Store, d store.Domain, records ...event.Record) []string {
	t.Helper()
	id := s.NewID()
	m := &store.NewMessage{
		ID: id, DomainID: d.ID, Meta: event.Meta{Domain: d.Name, MessageID: fmt.Sprint(id) + "@" + d.Name, Subject: "Hi", Sender: "bob@" + d.Name, Recipients: []string{"ann@example.net"}},
		Content: &store.Content{Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }},
	}
	for _, e := range records {
		e.DomainID, e.Message = d.ID, id
		if e.Recipient == "" {
			e.Recipient = "ann@example.net"
		}
		m.Events = append(m.Events, e)
	}
	if err := s.Accept(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range m.Events {
		ids = append(ids, e.ID.String())
	}
	return ids
}

func of(types ...event.Type) []event.Record {
	var list []event.Record
	for _, t := range types {
		list = append(list, event.Record{Type: t})
	}
	return list
}

// settle lets virtual time pass.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) target(url string) webhook.Target {
	r.Helper()
	list, err := r.room.Targets(context.Background(), webhook.Scope{URL: url})
	if err != nil || len(list) != 1 {
		r.Fatalf("targets %v, %v", list, err)
	}
	return list[0]
}

func parseID(t testing.TB, s string) mail.ID {
	t.Helper()
	id, err := mail.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
