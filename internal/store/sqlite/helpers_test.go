package sqlite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const testDomain = 7

var someDay = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// testDir returns a data folder that does not exist yet.
func testDir(t testing.TB) string { return filepath.Join(t.TempDir(), "data") }

// openTest opens a store that is closed with the test.
func openTest(t testing.TB, o Options) *Store {
	t.Helper()
	if o.MinFree == 0 && o.usage == nil {
		o.MinFree = -1
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// newMessage returns a message to one recipient.
func newMessage(id mail.ID, octets string, due time.Time) *store.NewMessage {
	return &store.NewMessage{
		ID: id, DomainID: testDomain,
		Envelope: mail.Envelope{ReversePath: mail.Address{Local: "b", Domain: "sender.example"}},
		Meta:     event.Meta{Domain: "sender.example", MessageID: id.String() + "@sender.example", Recipients: []string{"a@one.example"}},
		Content:  &store.Content{Size: int64(len(octets)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(octets)), nil }},
		Rows: []store.Row{{Message: id, DomainID: testDomain, NextHop: "one.example",
			Recipient: mail.Address{Local: "a", Domain: "one.example"}, Due: due, Expires: due.Add(time.Hour)}},
		Events: []event.Record{{Type: event.Accepted, DomainID: testDomain, Message: id, Recipient: "a@one.example"}},
	}
}

// accept accepts a message and returns it.
func accept(t testing.TB, s *Store, octets string, leased bool) *store.NewMessage {
	t.Helper()
	m := newMessage(s.NewID(), octets, someDay)
	m.Leased = leased
	if err := s.Accept(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// outcome is the delivery of a message's row.
func outcome(m *store.NewMessage) store.Outcome {
	r := m.Rows[0]
	return store.Outcome{Message: m.ID, DomainID: m.DomainID, Rows: []store.RowOutcome{{Row: r.ID, Lease: r.Lease, Final: true,
		Event: &event.Record{Type: event.Delivered, Recipient: r.Recipient.String()}}}}
}

func settle(t testing.TB, s *Store, m *store.NewMessage) {
	t.Helper()
	lost, err := s.Settle(context.Background(), outcome(m))
	if err != nil || len(lost) > 0 {
		t.Fatalf("settle: lost %v, %v", lost, err)
	}
}

func readContent(s *Store, m *store.NewMessage) (string, error) {
	c, err := s.Content(context.Background(), m.DomainID, m.ID)
	if err != nil {
		return "", err
	}
	r, err := c.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(r)
	return b.String(), err
}

func countEvents(t testing.TB, s *Store) int {
	t.Helper()
	p, err := s.Events(context.Background(), store.EventQuery{DomainID: testDomain, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(p.Items)
}

func countRows(t testing.TB, s *Store) int {
	t.Helper()
	rows, err := s.Rows(context.Background(), store.RowQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// copyDir copies a data folder as a kill would leave it.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := testDir(t)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
