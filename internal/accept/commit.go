package accept

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const (
	// commitTimeout bounds the wait for the store once a message is complete.
	commitTimeout = time.Minute
	// commitTogether is how many copies of a batch are stored at a time, so that the
	// store can put them into one group.
	commitTogether = 64
	codeTestMode   = 650
)

// message is what the store keeps of a letter.
func (j *job) message(l letter) *store.NewMessage {
	due := j.now
	if !j.opts.due.IsZero() {
		due = j.opts.due
	}
	content := l.content
	requireTLS, dsn := j.requiresTLS(), j.s.DSN.Only(l.recipients)
	m := &store.NewMessage{
		ID: l.id, DomainID: j.domain.ID, Meta: j.meta(l), Content: &content,
		Envelope: mail.Envelope{
			ReversePath: j.reversePath, TLS: j.opts.tls, Need8Bit: l.result.Need8Bit,
			NeedUTF8:   l.result.NeedUTF8 || j.reversePath.NeedsUTF8(),
			RequireTLS: requireTLS, TLSOptional: l.result.TLSOptional && !requireTLS, Report: j.s.Report,
			DSN: dsn,
		},
	}
	for _, a := range l.recipients {
		m.Events = append(m.Events, j.record(l.id, event.Accepted, a.String(), event.Data{}))
		if j.opts.testMode {
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
func (j *job) requiresTLS() bool { return j.s.RequireTLS || j.opts.requireTLS.Bool() }

// lifetime is how long the message is tried: as it asks, as its domain says, or
// the server's default.
func (j *job) lifetime() time.Duration {
	switch {
	case j.opts.within > 0:
		return j.opts.within
	case j.domain.Delivery.Lifetime > 0:
		return j.domain.Delivery.Lifetime
	}
	return j.room.cfg.Lifetime
}

func (j *job) record(id mail.ID, t event.Type, recipient string, d event.Data) event.Record {
	return event.Record{Type: t, DomainID: j.domain.ID, Message: id, Recipient: recipient, Data: d}
}

// meta is what all events of the letter share.
func (j *job) meta(l letter) event.Meta {
	m := j.commonMeta()
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
		Domain: j.domain.Name, Sender: j.reversePath.String(), Tags: j.opts.tags, Variables: j.opts.variables,
		Method: j.s.Sender.Door.String(), Authenticated: j.s.Sender.Authenticated, TestMode: j.opts.testMode,
		ScheduledFor: j.opts.due, OriginIP: j.s.Sender.OriginIP, KeyID: j.s.Sender.KeyID,
	}
}

// commit stores the messages and hands them over. What was stored stays stored
// when a later message of the same call fails; see [BatchIntake].
func (j *job) commit(ctx context.Context, messages []*store.NewMessage) error {
	// From here the sender has done its part. Its going away must not undo it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if batch, ok := j.room.intake.(BatchIntake); ok && len(messages) > 1 {
		for _, m := range messages {
			j.reserve(m)
		}
		if err := batch.AcceptAll(ctx, messages); err != nil {
			for _, m := range messages {
				j.unreserve(m)
			}
			return fmt.Errorf("store batch: %w", err)
		}
		for _, m := range messages {
			j.handOver(m)
		}
		return nil
	}
	var group errgroup.Group
	group.SetLimit(commitTogether)
	for _, m := range messages {
		group.Go(func() error {
			j.reserve(m)
			if err := j.room.intake.Accept(ctx, m); err != nil {
				j.unreserve(m)
				return fmt.Errorf("store message %s: %w", m.ID, err)
			}
			j.handOver(m)
			return nil
		})
	}
	return group.Wait()
}

// reserve decides whether the message goes to the scheduler with its content.
func (j *job) reserve(m *store.NewMessage) {
	m.Leased = j.room.scheduler != nil && len(m.Rows) > 0 && j.opts.due.IsZero() && j.room.scheduler.Reserve(m.Content.Size)
}

func (j *job) unreserve(m *store.NewMessage) {
	if m.Leased {
		j.room.scheduler.Unreserve(m.Content.Size)
		m.Leased = false
	}
}

// handOver gives a stored message to the scheduler, with its content or as a
// row to be fetched. Afterwards the message is not ours to look at.
func (j *job) handOver(m *store.NewMessage) {
	spool := j.held.take(m.ID)
	if m.Leased {
		j.room.scheduler.Offer(m, sync.OnceFunc(func() { spool.Close() }))
		return
	}
	spool.Close()
	if j.room.scheduler == nil {
		return
	}
	hops := map[string]time.Time{}
	for _, row := range m.Rows {
		hops[row.NextHop] = row.Due
	}
	for _, name := range slices.Sorted(maps.Keys(hops)) {
		j.room.scheduler.Wake(name, hops[name])
	}
}

// parameterVariables returns the user variables among the parameters of an API call.
func parameterVariables(params []compose.Field) map[string]string {
	p := optionReader{seen: map[string]string{}}
	for _, f := range params {
		switch optionKey(f.Name) {
		case "v:":
			_ = p.variable(strings.TrimPrefix(f.Name[1:], ":"), f.Value) // checked before
		case "variables":
			_ = p.variablesJSON(f)
		}
	}
	return p.o.variables
}
