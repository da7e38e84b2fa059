package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// note keeps the promise of store.Audit. It is called with s.mu held.
func (s *fakeStore) note(ctx context.Context, e store.AuditEntry) {
	c := store.ChangeOf(ctx)
	e.ID, e.Time, e.Actor, e.Details = int64(len(s.audit)+1), s.now().UTC(), c.Actor, c.Details
	e.Reason = cmp.Or(c.Reason, e.Reason)
	s.audit = append(s.audit, e)
}

func (s *fakeStore) NoteChange(ctx context.Context, e store.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.note(ctx, e)
	return nil
}

func (s *fakeStore) SetCursor(context.Context, string, mail.ID) error { return s.fail }

// domainName is called with s.mu held.
func (s *fakeStore) domainName(id int64) string {
	for name, d := range s.domains {
		if d.ID == id {
			return name
		}
	}
	return ""
}

func (s *fakeStore) AuditLog(_ context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []store.AuditEntry
	for _, e := range slices.Backward(s.audit) {
		if (q.Domain == "" || q.Domain == e.Domain) && (q.Kind == "" || q.Kind == e.Kind) && (q.Before == 0 || e.ID < q.Before) &&
			!e.Time.Before(q.Since) && (q.Until.IsZero() || e.Time.Before(q.Until)) && len(list) < cmp.Or(q.Limit, 100) {
			list = append(list, e)
		}
	}
	return list, s.fail
}

func (s *fakeStore) CountQueued(_ context.Context, domainID int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := map[mail.ID]bool{}
	for _, r := range s.rows {
		if r.DomainID == domainID {
			messages[r.Message] = true
		}
	}
	return len(messages), nil
}

func (s *fakeStore) CreateOverride(ctx context.Context, o *mail.Override, replace bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Created = s.now().UTC()
	i := slices.IndexFunc(s.overrides, func(old mail.Override) bool {
		return old.Target == o.Target && old.MXHost == o.MXHost && old.Active(o.Created)
	})
	var old *mail.Override
	action := store.AuditCreate
	if i >= 0 {
		if !replace {
			return fmt.Errorf("create: %w", store.ErrExists)
		}
		gone := s.overrides[i]
		old, action = &gone, store.AuditReplace
		s.overrides = slices.Delete(s.overrides, i, i+1)
	}
	s.nextOverride++
	o.ID = s.nextOverride
	s.overrides = append(s.overrides, *o)
	s.note(ctx, store.OverrideEntry(action, o, old, strconv.FormatInt(o.ID, 10)))
	return nil
}

func (s *fakeStore) OverrideByID(_ context.Context, id int64) (mail.Override, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.overrides {
		if o.ID == id {
			return o, nil
		}
	}
	return mail.Override{}, store.ErrNotFound
}

func (s *fakeStore) ListOverrides(context.Context) ([]mail.Override, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.overrides)
	slices.Reverse(list)
	return list, s.fail
}

func (s *fakeStore) DeleteOverride(ctx context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.overrides, func(o mail.Override) bool { return o.ID == id })
	if i < 0 {
		return store.ErrNotFound
	}
	o := s.overrides[i]
	s.overrides = slices.Delete(s.overrides, i, i+1)
	s.note(ctx, store.OverrideEntry(store.AuditDelete, &o, nil, strconv.FormatInt(id, 10)))
	return nil
}

func (s *fakeStore) ExpireOverrides(context.Context, time.Time) ([]mail.Override, error) {
	return nil, nil // nothing here calls it
}

func (s *fakeStore) Override(string, string, time.Time) []mail.Override { return nil }

// fakeCert knows one client certificate.
func fakeCert(name string) error {
	if name != "bank" {
		return fmt.Errorf("there is no client certificate %q", name)
	}
	return nil
}
