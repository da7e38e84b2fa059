package accounts

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/strictjson"
)

// An onOff is a feature.
type onOff struct {
	Enabled bool `json:"enabled"`
}

// featuresJSON are the features of a sub-account. This server has one of them, so the others are
// off, and stay so.
type featuresJSON struct {
	EmailPreview   onOff `json:"email_preview"`
	InboxPlacement onOff `json:"inbox_placement"`
	Sending        onOff `json:"sending"`
	Validations    onOff `json:"validations"`
	Bulk           onOff `json:"validations_bulk"`
}

func features(a *store.Account) featuresJSON {
	return featuresJSON{Sending: onOff{!a.Settings.SendingOff}}
}

// updateFeatures switches features of a sub-account. Each is an object in JSON, sent as a form
// field. One that this server does not have can be switched off only.
func (c *Calls) updateFeatures(w http.ResponseWriter, r *door.Request) error {
	a, err := c.find(r)
	if err != nil {
		return err
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	given := map[string]bool{}
	for _, name := range []string{"email_preview", "inbox_placement", "sending", "validations", "validations_bulk"} {
		text := p.Get(name)
		if text == "" {
			continue
		}
		var f struct {
			Enabled *bool `json:"enabled"`
		}
		if strictjson.Check(text) != nil || json.Unmarshal([]byte(text), &f) != nil || f.Enabled == nil {
			return door.BadRequest("'%s' parameter must be {\"enabled\": true} or {\"enabled\": false}", name)
		}
		if *f.Enabled && name != "sending" {
			return door.BadRequest("this server does not have the feature %s", name)
		}
		given[name] = *f.Enabled
	}
	if len(given) == 0 {
		return door.BadRequest("no feature is given")
	}
	a, err = c.deps.Accounts.UpdateAccount(r.Context(), a.ID, func(a *store.Account) error {
		if on, ok := given["sending"]; ok {
			a.Settings.SendingOff = !on
		}
		return nil
	})
	if err != nil {
		return door.Missing(err, errNoAccount)
	}
	return door.Reply(w, struct {
		Features featuresJSON `json:"features"`
	}{features(&a)})
}

// A handedJSON is a pool that a sub-account was handed.
type handedJSON struct {
	PoolID       string `json:"pool_id"`
	Name         string `json:"name"`
	SubaccountID string `json:"subaccount_id"`
}

// listHandedPools lists the IP pools that sub-accounts may use, with whose they are to use.
func (c *Calls) listHandedPools(w http.ResponseWriter, r *door.Request) error {
	all, err := c.deps.Accounts.ListAccounts(r.Context())
	if err != nil {
		return err
	}
	items := []handedJSON{}
	for _, a := range all {
		if a.Settings.Pool == "" {
			continue
		}
		p, err := c.deps.Pools.Pool(r.Context(), store.PrimaryAccount, a.Settings.Pool)
		if errors.Is(err, store.ErrNotFound) {
			continue // it was deleted; nothing is handed any more
		}
		if err != nil {
			return err
		}
		items = append(items, handedJSON{p.ID, p.Name, a.Ref})
	}
	return door.Reply(w, struct {
		Message string       `json:"message"`
		Pools   []handedJSON `json:"ip_pools"`
	}{"success", items})
}

// handPool lets a sub-account use an IP pool of the primary account.
func (c *Calls) handPool(w http.ResponseWriter, r *door.Request) error {
	a, err := c.find(r)
	if err != nil {
		return err
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	id := p.Get("pool_id")
	if id == "" {
		return door.BadRequest("pool_id parameter is missing")
	}
	if _, err := c.deps.Pools.Pool(r.Context(), store.PrimaryAccount, id); err != nil {
		return door.Missing(err, errNoPool)
	}
	return c.setPool(w, r, a.ID, id)
}

// takePool takes the IP pool back that a sub-account was handed.
func (c *Calls) takePool(w http.ResponseWriter, r *door.Request) error {
	a, err := c.find(r)
	if err != nil {
		return err
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	return c.setPool(w, r, a.ID, "")
}

func (c *Calls) setPool(w http.ResponseWriter, r *door.Request, account int64, id string) error {
	_, err := c.deps.Accounts.UpdateAccount(r.Context(), account, func(a *store.Account) error {
		a.Settings.Pool = id
		return nil
	})
	if err != nil {
		return door.Missing(err, errNoAccount)
	}
	return door.Say(w, "success")
}
