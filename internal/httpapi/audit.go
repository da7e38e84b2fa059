package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// An auditJSON is an entry of the audit log. Before and after are null where the
// object did not exist.
type auditJSON struct {
	ID      int64          `json:"id"`
	Time    time.Time      `json:"time"`
	Actor   string         `json:"actor"`
	Action  string         `json:"action"`
	Kind    string         `json:"kind"`
	Object  string         `json:"object"`
	Domain  string         `json:"domain,omitempty"`
	Before  store.Facts    `json:"before"`
	After   store.Facts    `json:"after"`
	Reason  string         `json:"reason"`
	Details map[string]any `json:"details,omitempty"`
}

// listAudit lists entries of the audit log, newest first.
func (a *API) listAudit(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := auditQuery(p)
	if err != nil {
		return err
	}
	entries, err := a.deps.Audit.AuditLog(r.Context(), q)
	if err != nil {
		return err
	}
	items := []auditJSON{}
	for _, e := range entries {
		items = append(items, auditJSON{
			ID: e.ID, Time: e.Time, Actor: e.Actor, Action: string(e.Action), Kind: string(e.Kind), Object: e.Object, Domain: e.Domain,
			Before: e.Before, After: e.After, Reason: e.Reason, Details: e.Details,
		})
	}
	return door.Reply(w, struct {
		Items []auditJSON `json:"items"`
	}{items})
}

// auditQuery reads which entries are asked for.
func auditQuery(p door.Params) (store.AuditQuery, error) {
	var q store.AuditQuery
	var err error
	if s := p.Get("domain"); s != "" {
		// A domain that was deleted has its entries still, so it need not exist.
		if q.Domain, err = mail.ParseDomain(s); err != nil {
			return q, door.BadRequest("'domain' parameter: %s", err)
		}
	}
	kind, err := p.OneOf("kind", string(store.AuditDomain), string(store.AuditOverride), string(store.AuditKey), string(store.AuditCredential), string(store.AuditEvidence), string(store.AuditWebhook))
	if err != nil {
		return q, err
	}
	q.Kind = store.AuditKind(kind)
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if *into, err = instant(p, name); err != nil {
			return q, err
		}
	}
	before, err := p.Number("before", 1, 0)
	if err != nil {
		return q, err
	}
	q.Before = int64(before)
	q.Limit, err = p.Number("limit", 1, 100)
	q.Limit = min(q.Limit, 1000)
	return q, err
}

// instant reads a moment or date of RFC 3339, or what events take for one; zero if absent.
func instant(p door.Params, name string) (time.Time, error) {
	s := strings.TrimSpace(p.Get(name))
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	t, err := door.ParseDate(s)
	if err != nil {
		return t, door.BadRequest("'%s' parameter must be a date (2006-01-02), a moment (2006-01-02T15:04:05Z) or seconds since 1970", name)
	}
	return t, nil
}
