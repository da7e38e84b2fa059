// Package accounts has the calls about accounts: the sub-accounts of the primary one, the
// addresses from which an account's keys may be used, and what this server has to say about users.
package accounts

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// maxName is the length of an account's name in characters.
const maxName = 128

// A Queue gives waiting mail up. The queue room satisfies it.
type Queue interface {
	Cancel(ctx context.Context, q store.RowQuery) (int, error)
}

// Deps are the rooms behind the calls. All are required.
type Deps struct {
	Accounts store.Accounts
	Domains  store.Domains
	Pools    store.Pools
	Queue    Queue
}

// Calls answers the calls of this package. It is safe for concurrent use.
type Calls struct{ deps Deps }

// New returns the calls.
func New(deps Deps) *Calls { return &Calls{deps} }

// Routes lists the calls. Sub-accounts have none of their own, so that calls about them are for the
// primary account; the one that acts for a sub-account to delete it is checked by itself.
func (c *Calls) Routes() []door.Route {
	table := []door.Route{
		door.On("DELETE", "/v5/accounts/subaccounts", door.Administer, c.delete),
		door.On("PUT", "/v5/accounts/subaccounts/{id}/features", door.Operate, c.updateFeatures),
		door.On("GET", "/v5/accounts/subaccounts/ip_pools/all", door.Operate, c.listHandedPools),
		door.On("PUT", "/v5/accounts/subaccounts/{id}/ip_pool", door.Operate, c.handPool),
		door.On("DELETE", "/v5/accounts/subaccounts/{id}/ip_pool", door.Operate, c.takePool),

		door.On("GET", "/v2/ip_whitelist", door.Administer, c.listAllowed),
		door.On("POST", "/v2/ip_whitelist", door.Administer, c.allow),
		door.On("PUT", "/v2/ip_whitelist", door.Administer, c.describeAllowed),
		door.On("DELETE", "/v2/ip_whitelist", door.Administer, c.disallow),

		door.On("GET", "/v5/users", door.Account, c.listUsers),
		door.On("GET", "/v5/users/me", door.Account, c.noUser),
		door.On("GET", "/v5/users/{id}", door.Account, c.noUser),
	}
	for _, v := range []string{"/v5/accounts/subaccounts", "/v3/accounts/subaccounts"} { // one set of handlers under both
		table = append(table,
			door.On("GET", v, door.Operate, c.list),
			door.On("POST", v, door.Operate, c.create),
			door.On("GET", v+"/{id}", door.Operate, c.show),
			door.On("POST", v+"/{id}/enable", door.Operate, c.enable),
			door.On("POST", v+"/{id}/disable", door.Operate, c.disable),
		)
	}
	return append(table, leftOut()...)
}

var (
	errNoAccount = door.NotFound("Not Found")
	errNoPool    = door.NotFound("pool not found")
)

// An accountJSON is a sub-account as clients know it.
type accountJSON struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Status    string       `json:"status"`
	CreatedAt string       `json:"created_at"`
	UpdatedAt string       `json:"updated_at"`
	Features  featuresJSON `json:"features"`
}

func view(a *store.Account) accountJSON {
	v := accountJSON{ID: a.Ref, Name: a.Name, Status: "open", CreatedAt: door.GMT(a.CreatedAt), UpdatedAt: door.GMT(a.UpdatedAt), Features: features(a)}
	if a.Disabled {
		v.Status = "disabled"
	}
	return v
}

func reply(w http.ResponseWriter, a *store.Account) error {
	return door.Reply(w, struct {
		Subaccount accountJSON `json:"subaccount"`
	}{view(a)})
}

// list lists sub-accounts, oldest first unless they are asked for by name.
func (c *Calls) list(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, skip, err := p.Range(10, 1000)
	if err != nil {
		return err
	}
	order, err := p.OneOf("sort", "asc", "desc")
	if err != nil {
		return err
	}
	enabled, err := p.Flag("enabled")
	if err != nil {
		return err
	}
	closed, err := p.Flag("closed")
	if err != nil {
		return err
	}
	all, err := c.deps.Accounts.ListAccounts(r.Context())
	if err != nil {
		return err
	}
	filter := strings.ToLower(p.Get("filter"))
	all = slices.DeleteFunc(all, func(a store.Account) bool {
		// A closed one is gone: nothing of it is kept.
		return a.ID == store.PrimaryAccount || closed == mail.True || enabled != mail.Unset && a.Disabled == enabled.Bool() ||
			!strings.Contains(strings.ToLower(a.Name), filter)
	})
	if order != "" {
		slices.SortStableFunc(all, func(a, b store.Account) int {
			n := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
			if order == "desc" {
				return -n
			}
			return n
		})
	}
	items := []accountJSON{}
	for _, a := range door.Slice(all, skip, limit) {
		items = append(items, view(&a))
	}
	return door.Reply(w, struct {
		Subaccounts []accountJSON `json:"subaccounts"`
		Total       int           `json:"total"`
	}{items, len(all)})
}

// create creates a sub-account.
func (c *Calls) create(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	name := strings.TrimSpace(p.Get("name"))
	switch {
	case name == "":
		return door.BadRequest("name parameter is missing")
	case utf8.RuneCountInString(name) > maxName, !utf8.ValidString(name), strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return door.BadRequest("'name' parameter must be text on one line, at most %d characters", maxName)
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	a := store.Account{Name: name}
	if err := c.deps.Accounts.CreateAccount(r.Context(), &a); err != nil {
		return err
	}
	return reply(w, &a)
}

// find returns the sub-account that the path names.
func (c *Calls) find(r *door.Request) (store.Account, error) {
	a, err := c.deps.Accounts.AccountByRef(r.Context(), r.PathValue("id"))
	if err == nil && a.ID == store.PrimaryAccount {
		err = store.ErrNotFound
	}
	return a, door.Missing(err, errNoAccount)
}

// show shows a sub-account.
func (c *Calls) show(w http.ResponseWriter, r *door.Request) error {
	a, err := c.find(r)
	if err != nil {
		return err
	}
	return reply(w, &a)
}

// enable enables a sub-account that was disabled.
func (c *Calls) enable(w http.ResponseWriter, r *door.Request) error {
	return c.setDisabled(w, r, false, "subaccount is already enabled")
}

// disable disables a sub-account: its domains send nothing until it is enabled again.
func (c *Calls) disable(w http.ResponseWriter, r *door.Request) error {
	return c.setDisabled(w, r, true, "subaccount is already disabled")
}

func (c *Calls) setDisabled(w http.ResponseWriter, r *door.Request, disabled bool, already string) error {
	a, err := c.find(r)
	if err != nil {
		return err
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	return c.update(w, r, a.ID, func(a *store.Account) error {
		if a.Disabled == disabled {
			return door.BadRequest("%s", already)
		}
		a.Disabled = disabled
		return nil
	})
}

func (c *Calls) update(w http.ResponseWriter, r *door.Request, id int64, change func(*store.Account) error) error {
	a, err := c.deps.Accounts.UpdateAccount(r.Context(), id, change)
	if err != nil {
		return door.Missing(err, errNoAccount)
	}
	return reply(w, &a)
}

// delete deletes the sub-account that the call acts for, with its domains and their waiting mail.
func (c *Calls) delete(w http.ResponseWriter, r *door.Request) error {
	if !r.Who.ActsFor {
		return errNoAccount
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	domains, err := c.deps.Domains.ListDomains(r.Context())
	if err != nil {
		return err
	}
	for _, d := range domains {
		if d.AccountID != r.Who.AccountID {
			continue
		}
		if _, err := c.deps.Queue.Cancel(r.Context(), store.RowQuery{DomainID: d.ID}); err != nil {
			return err
		}
		if err := c.deps.Domains.DeleteDomain(r.Context(), d.Name); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	if err := c.deps.Accounts.DeleteAccount(r.Context(), r.Who.AccountID); err != nil {
		if errors.Is(err, store.ErrExists) { // a domain was made in between
			return &door.Problem{Status: http.StatusConflict, Message: "the subaccount is being used, please try again"}
		}
		return door.Missing(err, errNoAccount)
	}
	return door.Say(w, "Subaccount successfully deleted")
}

// listUsers answers with an empty list: people are known to this server by their API keys.
func (c *Calls) listUsers(w http.ResponseWriter, _ *door.Request) error {
	return door.Reply(w, struct {
		Users []struct{} `json:"users"`
		Total int        `json:"total"`
	}{[]struct{}{}, 0})
}

// noUser answers that there is no such user. People are known to this server by their API keys
// only.
func (c *Calls) noUser(http.ResponseWriter, *door.Request) error {
	return door.NotFound("User not found: this server knows people by their API keys only")
}
