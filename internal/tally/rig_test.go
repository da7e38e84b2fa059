package tally_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
	"github.com/sealpost/sealpost/internal/tally"
)

func openStore(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir, MinFree: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test may have closed it
	return s
}

func newRoom(s *sqlite.Store) *tally.Room {
	return tally.New(tally.Roles{Journal: s, Numbers: s, Domains: s}, 30*24*time.Hour, slog.New(slog.DiscardHandler))
}

// countAll counts until the end of the log.
func countAll(t testing.TB, r *tally.Room) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// newMessage is a message of a domain with an event of every given kind.
func newMessage(s *sqlite.Store, domain int64, tags []string, recipient string, kinds ...event.Type) *store.NewMessage {
	id := s.NewID()
	m := &store.NewMessage{
		ID: id, DomainID: domain, Meta: event.Meta{Domain: "example.com", MessageID: fmt.Sprint(id), Tags: tags, Recipients: []string{recipient}},
		Content: &store.Content{Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }},
	}
	for _, k := range kinds {
		m.Events = append(m.Events, newEvent(domain, id, recipient, k))
	}
	return m
}

func newEvent(domain int64, message mail.ID, recipient string, k event.Type) event.Record {
	r := event.Record{Type: k, DomainID: domain, Message: message, Recipient: recipient}
	switch k {
	case event.Delivered, event.FailedTemporary, event.FailedPermanent:
		r.Data = event.Data{Reason: "generic", SendingIP: "192.0.2.1", Status: &event.Status{AttemptNo: 1}}
	case event.Opened, event.Clicked:
		r.Data.Visit = &event.Visit{Client: event.ClientInfo{DeviceType: "mobile"}}
	}
	return r
}
