package realmta

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A Message is one recipient's copy, as the server stored it.
type Message struct {
	// ReversePath is the sender of the envelope; empty for the null reverse-path.
	ReversePath string
	// Recipient is the recipient of the envelope.
	Recipient string
	// Data is the message from the server's own Received field on, with LF as line end.
	Data []byte
}

// Received returns the topmost Received field, unfolded: the server's own words about
// the session, such as "with ESMTPS" or "with UTF8SMTPS" for a message that came through STARTTLS.
func (m Message) Received() string {
	var field []string
	for line := range strings.Lines(string(m.Data)) {
		folded := line[0] == ' ' || line[0] == '\t'
		switch {
		case len(field) == 0 && strings.HasPrefix(line, "Received:"), len(field) > 0 && folded:
			field = append(field, strings.TrimSpace(line))
		case len(field) > 0 || strings.TrimSpace(line) == "":
			return strings.Join(field, " ")
		}
	}
	return strings.Join(field, " ")
}

// Messages returns the messages stored until now, the oldest first.
func (s *Server) Messages() ([]Message, error) {
	folder := filepath.Join(s.mailbox, "new")
	entries, err := os.ReadDir(folder)
	if os.IsNotExist(err) { // the server makes the maildir with its first message
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	type stored struct {
		Message
		at time.Time
	}
	var all []stored
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, stored{parseStored(data), info.ModTime()})
	}
	slices.SortStableFunc(all, func(a, b stored) int { return a.at.Compare(b.at) })
	messages := make([]Message, len(all))
	for i, m := range all {
		messages[i] = m.Message
	}
	return messages, nil
}

// Wait returns the stored messages as soon as there are n, and fails the test
// when that takes too long.
func (s *Server) Wait(t testing.TB, n int) []Message {
	t.Helper()
	messages, err := s.wait(t.Context(), n)
	if err != nil {
		t.Fatalf("realmta: wait for %d messages: %v", n, err)
	}
	return messages
}

func (s *Server) wait(ctx context.Context, n int) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, arrivalTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		messages, err := s.Messages()
		if err != nil || len(messages) >= n {
			return messages, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d are there: %w", len(messages), ctx.Err())
		}
	}
}

// parseStored takes the fields off the front that final delivery adds: Return-Path
// (RFC 5321 section 4.4), and Delivered-To (Postfix) or Envelope-To (Exim).
func parseStored(data []byte) Message {
	m := Message{Data: data}
	for {
		line, rest, _ := bytes.Cut(m.Data, []byte("\n"))
		name, value, found := strings.Cut(string(line), ":")
		if !found {
			return m
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "return-path":
			m.ReversePath = strings.Trim(value, "<>")
		case "delivered-to", "envelope-to":
			m.Recipient = value
		case "x-original-to":
		default:
			return m
		}
		m.Data = rest
	}
}
