package webhooks

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

// hookID is what ids look like.
var hookID = regexp.MustCompile(`^[0-9a-f]{24}$`)

// A hookJSON is a webhook of an account.
type hookJSON struct {
	ID          string   `json:"webhook_id"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
	Kinds       []string `json:"event_types"`
	CreatedAt   string   `json:"created_at"`
}

func hookView(h store.Webhook) hookJSON {
	return hookJSON{h.ID, h.Description, h.URL, h.Kinds, h.CreatedAt.UTC().Format(time.RFC3339)}
}

// ids reads a comma list of ids.
func ids(p door.Params) ([]string, error) {
	var list []string
	for _, s := range p.Values["webhook_ids"] {
		for id := range strings.SplitSeq(s, ",") {
			if id = strings.TrimSpace(id); id == "" {
				continue
			}
			if !hookID.MatchString(id) {
				return nil, door.BadRequest("Invalid parameter: webhook_ids '%s' is not valid", door.Shown(id))
			}
			list = append(list, id)
		}
	}
	return list, nil
}

// listAccount lists the webhooks of the account, or those of the given ids.
func (a *API) listAccount(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	wanted, err := ids(p)
	if err != nil {
		return err
	}
	list, err := a.deps.Hooks.WebhooksOf(r.Context(), account(r), 0)
	if err != nil {
		return err
	}
	shown := []hookJSON{}
	for _, h := range list {
		if len(wanted) == 0 || slices.Contains(wanted, h.ID) {
			shown = append(shown, hookView(h))
		}
	}
	return door.Reply(w, struct {
		Webhooks []hookJSON `json:"webhooks"`
	}{shown})
}

// readHook reads the parameters of an account's webhook.
func (a *API) readHook(r *door.Request) (store.Webhook, error) {
	p, err := r.Params()
	if err != nil {
		return store.Webhook{}, err
	}
	if err := r.Reason(p); err != nil {
		return store.Webhook{}, err
	}
	h := store.Webhook{URL: p.Get("url"), Description: p.Get("description")}
	if h.URL == "" {
		return h, field("url", "is required")
	}
	if len(h.Description) > maxDescription {
		return h, field("description", "is longer than 255 octets")
	}
	for _, k := range p.Values["event_types"] {
		switch {
		case k == "":
			continue
		case !known(k):
			return h, described(http.StatusNotFound, "event_type '%s' is invalid", door.Shown(k))
		case slices.Contains(h.Kinds, k):
			return h, field("event_types", "duplicate event types: '"+k+"'")
		}
		h.Kinds = append(h.Kinds, k)
	}
	if len(h.Kinds) == 0 {
		return h, field("event_types", "is required")
	}
	ctx, cancel := r.Bounded()
	defer cancel()
	if err := a.deps.CheckURL(ctx, h.URL); err != nil {
		return h, field("url", door.Shown(h.URL)+" is not a valid url: "+err.Error())
	}
	return h, nil
}

// createAccount creates a webhook of the account. Its URL is told of the events of all domains.
func (a *API) createAccount(w http.ResponseWriter, r *door.Request) error {
	h, err := a.readHook(r)
	if err != nil {
		return err
	}
	list, err := a.deps.Hooks.ChangeWebhooks(r.Context(), account(r), 0, func(list []store.Webhook) ([]store.Webhook, error) {
		return append(list, h), admit(list, h)
	})
	if err != nil {
		return unwrap(err)
	}
	if err := a.enableURLs(r, webhook.Scope{AccountID: account(r)}, []string{h.URL}); err != nil {
		return err
	}
	return door.Reply(w, struct {
		ID string `json:"webhook_id"`
	}{list[len(list)-1].ID})
}

// find returns where the webhook of a path is in a list.
func find(list []store.Webhook, id string) int {
	return slices.IndexFunc(list, func(h store.Webhook) bool { return h.ID == id })
}

// showAccount shows a webhook of the account.
func (a *API) showAccount(w http.ResponseWriter, r *door.Request) error {
	list, err := a.deps.Hooks.WebhooksOf(r.Context(), account(r), 0)
	if err != nil {
		return err
	}
	i := find(list, r.PathValue("id"))
	if i < 0 {
		return described(http.StatusNotFound, "webhook not found")
	}
	return door.Reply(w, hookView(list[i]))
}

func noID(id string) error {
	return described(http.StatusNotFound, "webhook_id not found: %s", id)
}

// pathID reads the id of a call that changes a webhook.
func pathID(r *door.Request) (string, error) {
	id := r.PathValue("id")
	if !hookID.MatchString(id) {
		return "", field("webhook_id", "is not valid")
	}
	return id, nil
}

// updateAccount replaces the URL, the description and the event types of a webhook of the account.
// If its URL had been disabled it is told again.
func (a *API) updateAccount(w http.ResponseWriter, r *door.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	h, err := a.readHook(r)
	if err != nil {
		return err
	}
	if _, err := a.deps.Hooks.ChangeWebhooks(r.Context(), account(r), 0, func(list []store.Webhook) ([]store.Webhook, error) {
		i := find(list, id)
		if i < 0 {
			return nil, noID(id)
		}
		if err := admit(slices.Delete(slices.Clone(list), i, i+1), h); err != nil {
			return nil, err
		}
		list[i].URL, list[i].Kinds, list[i].Description = h.URL, h.Kinds, h.Description
		return list, nil
	}); err != nil {
		return unwrap(err)
	}
	if err := a.enableURLs(r, webhook.Scope{AccountID: account(r)}, []string{h.URL}); err != nil {
		return err
	}
	return door.ReplyNothing(w)
}

// removeAccount deletes a webhook of the account.
func (a *API) removeAccount(w http.ResponseWriter, r *door.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	if _, err := a.deps.Hooks.ChangeWebhooks(r.Context(), account(r), 0, func(list []store.Webhook) ([]store.Webhook, error) {
		i := find(list, id)
		if i < 0 {
			return nil, noID(id)
		}
		return slices.Delete(list, i, i+1), nil
	}); err != nil {
		return unwrap(err)
	}
	return door.ReplyNothing(w)
}

// removeAccounts deletes webhooks of the account: those of the given ids, or all. Either all that
// are named go, or none.
func (a *API) removeAccounts(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	wanted, err := ids(p)
	if err != nil {
		return err
	}
	all, err := p.Flag("all")
	if err != nil {
		return err
	}
	if len(wanted) == 0 && !all.Bool() {
		return door.BadRequest("Invalid parameter: webhook_ids or all=true is required")
	}
	if _, err := a.deps.Hooks.ChangeWebhooks(r.Context(), account(r), 0, func(list []store.Webhook) ([]store.Webhook, error) {
		if len(list) == 0 {
			return nil, described(http.StatusNotFound, "no webhooks found for account")
		}
		if all.Bool() {
			return nil, nil
		}
		for _, id := range wanted {
			if find(list, id) < 0 {
				return nil, noID(id)
			}
		}
		return slices.DeleteFunc(list, func(h store.Webhook) bool { return slices.Contains(wanted, h.ID) }), nil
	}); err != nil {
		return unwrap(err)
	}
	return door.ReplyNothing(w)
}
