package accept

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// commitTimeout bounds the wait for the store once a message is complete.
	commitTimeout = time.Minute
	codeTestMode  = 650
)

// message is what the store keeps of a letter.
func (j *job) message(l *letter) *store.NewMessage {
	due := j.now
	if !l.due.IsZero() {
		due = l.due
	}
	content := l.content
	j.arena.Shared(&content, l.runs)
	requireTLS, dsn := j.requiresTLS(), j.s.DSN.Only(l.recipients)
	m := &store.NewMessage{
		ID: l.id, DomainID: j.domain.ID, Meta: j.meta(l), Content: &content,
		Envelope: mail.Envelope{
			ReversePath: j.reversePath, TLS: j.opts.TLS, Need8Bit: l.result.Need8Bit,
			NeedUTF8:   l.result.NeedUTF8 || j.reversePath.NeedsUTF8(),
			RequireTLS: requireTLS, TLSOptional: l.result.TLSOptional && !requireTLS, Report: j.s.Report,
			Sources: j.sources,
			DSN:     dsn,
		},
	}
	for _, a := range l.recipients {
		m.Events = append(m.Events, j.record(l.id, event.Accepted, a.String(), event.Data{}))
		if j.opts.TestMode {
			status := &event.Status{AttemptNo: 1, Code: codeTestMode}
			m.Events = append(m.Events, j.record(l.id, event.Delivered, a.String(), event.Data{Status: status}))
			continue
		}
		m.Rows = append(m.Rows, store.Row{
			Message: l.id, DomainID: j.domain.ID, NextHop: a.Domain, Recipient: a, Due: due, Expires: due.Add(j.lifetime()),
		})
	}
	return m
}

// requiresTLS tells whether the message is marked with REQUIRETLS. Whoever asks for it
// gets it: an option that says no takes nothing back from a client that said it in
// its envelope. Beside the marking a field TLS-Required: No counts for nothing; it may
// travel, and does (RFC 8689 section 4.1).
func (j *job) requiresTLS() bool { return j.s.RequireTLS || j.opts.RequireTLS.Bool() }

// lifetime is how long the message is tried: as it asks, as its domain says, or
// the server's default.
func (j *job) lifetime() time.Duration {
	switch {
	case j.opts.Within > 0:
		return j.opts.Within
	case j.domain.Delivery.Lifetime > 0:
		return j.domain.Delivery.Lifetime
	}
	return j.room.cfg.Lifetime
}

func (j *job) record(id mail.ID, t event.Type, recipient string, d event.Data) event.Record {
	return event.Record{Type: t, DomainID: j.domain.ID, Message: id, Recipient: recipient, Data: d}
}

// meta is what all events of the letter share.
func (j *job) meta(l *letter) event.Meta {
	m := j.commonMeta()
	m.ScheduledFor = l.due
	m.MessageID = l.result.MessageID
	m.From, m.To, m.Subject = l.result.From, l.result.To, l.result.Subject
	m.Size = l.content.Size
	for _, a := range l.recipients {
		m.Recipients = append(m.Recipients, a.String())
		m.Notify = m.Notify || j.s.DSN.Notify(a)&^mail.NotifyNever != 0
	}
	for _, a := range l.result.Attachments {
		m.Attachments = append(m.Attachments, event.Attachment{Filename: a.Name, ContentType: a.ContentType, Size: a.Size})
	}
	if l.variables != nil {
		m.Variables = l.variables
	}
	return m
}

// commonMeta is the part that does not depend on the content.
func (j *job) commonMeta() event.Meta {
	return event.Meta{
		Domain: j.domain.Name, Sender: j.reversePath.String(), Tags: j.opts.Tags, Variables: j.opts.Variables,
		Method: j.s.Sender.Door.String(), Authenticated: j.s.Sender.Authenticated, TestMode: j.opts.TestMode,
		OriginIP: j.s.Sender.OriginIP, KeyID: j.s.Sender.KeyID, Template: j.template(), MailingList: j.mailingList(),
	}
}

// commit stores the messages, all or none, and hands them over.
func (j *job) commit(ctx context.Context, messages []*store.NewMessage) error {
	// From here the sender has done its part. Its going away must not undo it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	for _, m := range messages {
		j.reserve(m)
	}
	if err := j.store(ctx, messages); err != nil {
		for _, m := range messages {
			j.unreserve(m)
		}
		return fmt.Errorf("store: %w", err)
	}
	j.arena.Share(len(messages))
	unfetched := waiting(messages)
	for _, m := range messages {
		j.handOver(m)
	}
	j.wake(unfetched)
	return nil
}

func (j *job) store(ctx context.Context, messages []*store.NewMessage) error {
	if len(messages) == 1 {
		return j.room.intake.Accept(ctx, messages[0])
	}
	return j.room.intake.AcceptAll(ctx, messages)
}

// reserve decides whether the message goes to the scheduler with its content.
func (j *job) reserve(m *store.NewMessage) {
	m.Leased = j.room.scheduler != nil && len(m.Rows) > 0 && m.Meta.ScheduledFor.IsZero() && j.room.scheduler.Reserve(m.Content.Size)
}

func (j *job) unreserve(m *store.NewMessage) {
	if m.Leased {
		j.room.scheduler.Unreserve(m.Content.Size)
		m.Leased = false
	}
}

// handOver gives a stored message to the scheduler with its content, if there is room for it. Afterwards
// the message is not ours to look at.
func (j *job) handOver(m *store.NewMessage) {
	if m.Leased {
		j.room.scheduler.Offer(m, sync.OnceFunc(j.arena.Release))
	} else {
		j.arena.Release()
	}
}

// wake tells the scheduler of rows that it has to fetch.
func (j *job) wake(rows map[string]time.Time) {
	if j.room.scheduler == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		j.room.scheduler.Wake(name, rows[name])
	}
}

// waiting returns the next hops of messages that the scheduler does not get with their content, and when they are
// due first.
func waiting(messages []*store.NewMessage) map[string]time.Time {
	hops := map[string]time.Time{}
	for _, m := range messages {
		if m.Leased {
			continue
		}
		for _, row := range m.Rows {
			if due, ok := hops[row.NextHop]; !ok || row.Due.Before(due) {
				hops[row.NextHop] = row.Due
			}
		}
	}
	return hops
}
