package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/envelopes"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A rowJSON is one recipient's copy that waits.
type rowJSON struct {
	ID        string    `json:"id"`
	Message   string    `json:"message"`
	Domain    string    `json:"domain"`
	NextHop   string    `json:"next_hop"`
	Recipient string    `json:"recipient"`
	Due       time.Time `json:"due"`
	Expires   time.Time `json:"expires"`
	Attempt   int       `json:"attempt"`
	Held      bool      `json:"held"`
	Leased    bool      `json:"leased"`
	LastReply string    `json:"last_reply"`
}

func (a *API) rowView(ctx context.Context, r store.Row) rowJSON {
	v := rowJSON{
		ID: r.ID.String(), Message: r.Message.String(), NextHop: r.NextHop, Recipient: r.Recipient.String(),
		Due: r.Due.UTC(), Expires: r.Expires.UTC(), Attempt: r.Attempt, Held: r.Held, Leased: r.Lease != 0, LastReply: r.LastReply,
	}
	if d, err := a.deps.Domains.DomainByID(ctx, r.DomainID); err == nil { // a name that is gone is shown as none
		v.Domain = d.Name
	}
	return v
}

// rowQuery reads which rows a call is about. found is false if its domain does
// not exist.
func (a *API) rowQuery(r *door.Request, p door.Params) (q store.RowQuery, err error) {
	for name, id := range map[string]*mail.ID{"row": &q.Row, "message": &q.Message, "after": &q.After} {
		s := p.Get(name)
		if s == "" {
			continue
		}
		if *id, err = mail.ParseID(s); err != nil {
			return q, door.BadRequest("'%s' parameter: %s", name, err)
		}
	}
	if s := p.Get("domain"); s != "" {
		d, err := a.door.FindDomain(r.Context(), s)
		if err != nil {
			return q, door.Missing(err, door.NotFound("Domain not found"))
		}
		q.DomainID = d.ID
	}
	if s := p.Get("next_hop"); s != "" {
		if q.NextHop, err = mail.ParseDomain(s); err != nil {
			return q, door.BadRequest("'next_hop' parameter: %s", err)
		}
	}
	q.MessageID, q.Tag = envelopes.MessageID(p.Get("message_id")), strings.TrimSpace(p.Get("tag"))
	if s := p.Get("recipient"); s != "" {
		address, err := mail.ParseAddress(s)
		if err != nil {
			return q, door.BadRequest("'recipient' parameter: %s", err)
		}
		q.Recipient = address.String()
	}
	q.Limit, err = p.Number("limit", 1, 100)
	q.Limit = min(q.Limit, 1000)
	return q, err
}

// listQueue lists recipients that wait in the queue.
func (a *API) listQueue(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := a.rowQuery(r, p)
	if err != nil {
		return err
	}
	rows, err := a.deps.Queue.List(r.Context(), q)
	if err != nil {
		return err
	}
	items := []rowJSON{}
	for _, row := range rows {
		items = append(items, a.rowView(r.Context(), row))
	}
	return door.Reply(w, struct {
		Items []rowJSON `json:"items"`
	}{items})
}

// listNextHops lists the recipient domains with mail waiting.
func (a *API) listNextHops(w http.ResponseWriter, r *door.Request) error {
	hops, err := a.deps.NextHops.NextHops(r.Context())
	if err != nil {
		return err
	}
	type item struct {
		Name string    `json:"name"`
		Rows int       `json:"rows"`
		Due  time.Time `json:"due,omitzero"`
	}
	items := []item{}
	for _, h := range hops {
		items = append(items, item{h.Name, h.Rows, h.Due.UTC()})
	}
	return door.Reply(w, struct {
		Items []item `json:"items"`
	}{items})
}

// explainQueue tells of each waiting recipient why its mail is not on its way, and when it will be.
func (a *API) explainQueue(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := a.rowQuery(r, p)
	if err != nil {
		return err
	}
	explanations, err := a.deps.Explain(r.Context(), q)
	if err != nil {
		return err
	}
	type item struct {
		rowJSON
		State    string    `json:"state"`
		Next     time.Time `json:"next,omitzero"`
		Sentence string    `json:"sentence"`
	}
	items := []item{}
	for _, e := range explanations {
		items = append(items, item{a.rowView(r.Context(), e.Row), e.State, e.Next.UTC(), e.Sentence})
	}
	return door.Reply(w, struct {
		Items []item `json:"items"`
	}{items})
}

// changeQueue retries, holds, releases, cancels or reschedules waiting mail. What it is about must
// be said, all of the queue as well: all=yes.
func (a *API) changeQueue(w http.ResponseWriter, r *door.Request) error {
	verbs := map[string]func(context.Context, store.RowQuery) (int, error){
		"retry": a.deps.Queue.Retry, "hold": a.deps.Queue.Hold, "release": a.deps.Queue.Release, "cancel": a.deps.Queue.Cancel,
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	verb, ok := verbs[r.PathValue("action")]
	switch {
	case r.PathValue("action") == "reschedule":
		due, err := envelopes.Due(p.Get("time"), "time", a.cfg.Horizon)
		if err != nil {
			return err
		}
		verb = func(ctx context.Context, q store.RowQuery) (int, error) { return a.deps.Queue.Reschedule(ctx, q, due) }
	case !ok:
		return door.NotFound("Not Found")
	}
	q, err := a.rowQuery(r, p)
	if err != nil {
		return err
	}
	q.Limit, q.After = 0, 0
	all, err := p.Flag("all")
	if err != nil {
		return err
	}
	if (q == store.RowQuery{}) != all.Bool() {
		return door.BadRequest("say which rows: row, message, message_id, tag, domain, next_hop or recipient, or all=yes without any of them")
	}
	n, err := verb(r.Context(), q)
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Count int `json:"count"`
	}{n})
}

// probe tries how mail to a domain would be secured, without sending any.
func (a *API) probe(w http.ResponseWriter, r *door.Request) error {
	name, err := mail.ParseDomain(r.PathValue("name"))
	if err != nil {
		return door.BadRequest("not a domain that could receive mail: %s", err)
	}
	if a.deps.Prober == nil {
		return &door.Problem{Status: http.StatusServiceUnavailable, Message: "this server cannot probe"}
	}
	result, err := a.deps.Prober.Probe(r.Context(), name)
	if err != nil {
		return err
	}
	return door.Reply(w, result)
}

// showVersion tells the version of the server.
func (a *API) showVersion(w http.ResponseWriter, _ *door.Request) error {
	return door.Reply(w, struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}{"sealpost", a.cfg.Version})
}

// showHealth answers ok when the store does.
func (a *API) showHealth(w http.ResponseWriter, r *door.Request) error {
	if _, err := a.deps.Domains.ListDomains(r.Context()); err != nil {
		return err
	}
	return door.Reply(w, struct {
		Status string `json:"status"`
	}{"ok"})
}
