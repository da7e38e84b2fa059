package accounts

import (
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits on the addresses that keys may be used from.
const (
	maxAllowed     = 200
	maxDescription = 255 // octets
)

// An allowedJSON is an address that the account's keys may be used from.
type allowedJSON struct {
	Address     string `json:"ip_address"`
	Description string `json:"description"`
}

func replyAllowed(w http.ResponseWriter, a *store.Account) error {
	items := []allowedJSON{}
	for _, x := range a.Settings.Allowed {
		text := x.Prefix.String()
		if x.Prefix.IsSingleIP() {
			text = x.Prefix.Addr().String()
		}
		items = append(items, allowedJSON{text, x.Description})
	}
	return door.Reply(w, struct {
		Addresses []allowedJSON `json:"addresses"`
	}{items})
}

// listAllowed lists the addresses from which the API keys of the account may be used. An empty list
// means from anywhere.
func (c *Calls) listAllowed(w http.ResponseWriter, r *door.Request) error {
	a, err := c.deps.Accounts.Account(r.Context(), r.Who.Account())
	if err != nil {
		return err
	}
	return replyAllowed(w, &a)
}

// allow adds an address from which the API keys of the account may be used. From the first one on,
// the account's keys and logins are accepted from the addresses of the list only; the operator's
// socket is not concerned.
func (c *Calls) allow(w http.ResponseWriter, r *door.Request) error {
	return c.changeAllowed(w, r, func(a *store.Account, x store.AllowedAddress, at int) error {
		switch {
		case at >= 0:
			return door.BadRequest("IP address is in the list already")
		case len(a.Settings.Allowed) >= maxAllowed:
			return door.BadRequest("at most %d IP addresses are allowed", maxAllowed)
		}
		a.Settings.Allowed = append(a.Settings.Allowed, x)
		return nil
	})
}

// describeAllowed changes the description of an address in the list.
func (c *Calls) describeAllowed(w http.ResponseWriter, r *door.Request) error {
	return c.changeAllowed(w, r, func(a *store.Account, x store.AllowedAddress, at int) error {
		if at < 0 {
			return door.BadRequest("IP address is not in the list")
		}
		a.Settings.Allowed[at].Description = x.Description
		return nil
	})
}

// disallow takes an address off the list. When the last one is gone keys may be used from anywhere.
func (c *Calls) disallow(w http.ResponseWriter, r *door.Request) error {
	return c.changeAllowed(w, r, func(a *store.Account, _ store.AllowedAddress, at int) error {
		if at < 0 {
			return door.BadRequest("IP address is not in the list")
		}
		a.Settings.Allowed = slices.Delete(a.Settings.Allowed, at, at+1)
		return nil
	})
}

// changeAllowed reads an address and hands it on with its place in the list, -1 if it is not there.
func (c *Calls) changeAllowed(w http.ResponseWriter, r *door.Request, change func(a *store.Account, x store.AllowedAddress, at int) error) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if p.Get("address") == "" {
		return door.BadRequest("address parameter is missing")
	}
	prefix, ok := door.ParsePrefix(p.Get("address"))
	if !ok {
		return door.BadRequest("'address' parameter is not a valid IP address or network")
	}
	x := store.AllowedAddress{Prefix: prefix, Description: p.Get("description")}
	if len(x.Description) > maxDescription || !utf8.ValidString(x.Description) {
		return door.BadRequest("'description' parameter must be text of at most %d octets", maxDescription)
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	a, err := c.deps.Accounts.UpdateAccount(r.Context(), r.Who.Account(), func(a *store.Account) error {
		return change(a, x, slices.IndexFunc(a.Settings.Allowed, func(have store.AllowedAddress) bool { return have.Prefix == prefix }))
	})
	if err != nil {
		return err
	}
	return replyAllowed(w, &a)
}
