package ips

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits on pools.
const (
	maxPools   = 100 // of an account
	maxPoolIPs = 500
	maxText    = 255 // octets of a name or description
)

var errNoPool = door.NotFound("pool not found")

// A poolJSON is a pool as clients know it.
type poolJSON struct {
	ID          string   `json:"pool_id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	IPs         []string `json:"ips"`
	Linked      bool     `json:"is_linked"`    // a domain uses it
	Inherited   bool     `json:"is_inherited"` // it is the parent's
}

func (c *Calls) poolView(r *door.Request, p *store.Pool) (poolJSON, error) {
	linked, err := c.domains(r, func(d *store.Domain) bool { return d.Settings.Pool == p.ID })
	return poolJSON{p.ID, p.Name, p.Description, texts(p.IPs), len(linked) > 0, p.AccountID != r.Who.Account()}, err
}

// listPools lists the IP pools of the account, and the one that it was handed.
func (c *Calls) listPools(w http.ResponseWriter, r *door.Request) error {
	pools, err := c.deps.Pools.ListPools(r.Context(), r.Who.Account())
	if err != nil {
		return err
	}
	account, err := c.deps.Accounts.Account(r.Context(), r.Who.Account())
	if err != nil {
		return err
	}
	if id := account.Settings.Pool; id != "" {
		handed, err := c.deps.Egress.Pool(r.Context(), account.ID, id)
		if err == nil {
			pools = append(pools, handed)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	items := []poolJSON{}
	for _, p := range pools {
		v, err := c.poolView(r, &p)
		if err != nil {
			return err
		}
		items = append(items, v)
	}
	return door.Reply(w, struct {
		Pools   []poolJSON `json:"ip_pools"`
		Message string     `json:"message"`
	}{items, "success"})
}

// poolText reads a text of one line that must be given.
func poolText(p door.Params, name string, required bool) (string, error) {
	s := strings.TrimSpace(p.Get(name))
	if s == "" && required {
		return "", door.BadRequest("%s parameter is missing", name)
	}
	if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", door.BadRequest("'%s' parameter must be text on one line, at most %d octets", name, maxText)
	}
	return s, nil
}

// createPool creates an IP pool from addresses of the account.
func (c *Calls) createPool(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	pool := store.Pool{AccountID: r.Who.Account()}
	if pool.Name, err = poolText(p, "name", true); err != nil {
		return err
	}
	if pool.Description, err = poolText(p, "description", true); err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	addrs, err := c.readIPs(r, append(p.Values["ip"], p.Values["ips"]...))
	if err != nil {
		return err
	}
	if err := addTo(&pool, addrs); err != nil {
		return err
	}
	have, err := c.deps.Pools.ListPools(r.Context(), pool.AccountID)
	if err != nil {
		return err
	}
	if len(have) >= maxPools {
		return door.BadRequest("at most %d IP pools are allowed", maxPools)
	}
	if err := c.deps.Pools.CreatePool(r.Context(), &pool); err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string `json:"message"`
		PoolID  string `json:"pool_id"`
	}{"success", pool.ID})
}

// readIPs reads addresses that the account may put into pools.
func (c *Calls) readIPs(r *door.Request, words []string) ([]netip.Addr, error) {
	if len(words) == 0 {
		return nil, nil
	}
	may, err := c.assignable(r.Context(), r.Who.Account())
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for word := range strings.SplitSeq(strings.Join(words, ","), ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		addr, err := netip.ParseAddr(word)
		if addr = addr.Unmap(); err != nil || !slices.Contains(may, addr) {
			return nil, door.BadRequest("IP %s can't be put into a pool of this account", door.Shown(word))
		}
		list = append(list, addr)
	}
	return list, nil
}

// addTo adds addresses that are not there yet.
func addTo(p *store.Pool, addrs []netip.Addr) error {
	for _, a := range addrs {
		if !slices.Contains(p.IPs, a) {
			p.IPs = append(p.IPs, a)
		}
	}
	if len(p.IPs) > maxPoolIPs {
		return door.BadRequest("a pool has at most %d IP addresses", maxPoolIPs)
	}
	return nil
}

// showPool shows an IP pool, in both shapes that clients read: nested and flat.
func (c *Calls) showPool(w http.ResponseWriter, r *door.Request) error {
	pool, err := c.deps.Egress.Pool(r.Context(), r.Who.Account(), r.PathValue("id"))
	if err != nil {
		return door.Missing(err, errNoPool)
	}
	v, err := c.poolView(r, &pool)
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string   `json:"message"`
		Details poolJSON `json:"details"`
		poolJSON
	}{"success", v, v})
}

// change changes a pool of the account; one that it was handed is not its own to change.
func (c *Calls) change(w http.ResponseWriter, r *door.Request, change func(*store.Pool) error) error {
	if _, err := c.deps.Pools.UpdatePool(r.Context(), r.Who.Account(), r.PathValue("id"), change); err != nil {
		return door.Missing(err, errNoPool)
	}
	return door.Say(w, "success")
}

// updatePool changes the name and the description of an IP pool, and adds and removes addresses.
func (c *Calls) updatePool(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	name, err := poolText(p, "name", false)
	if err != nil {
		return err
	}
	description, err := poolText(p, "description", false)
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	add, err := c.readIPs(r, p.Values["add_ip"])
	if err != nil {
		return err
	}
	return c.change(w, r, func(pool *store.Pool) error {
		if name != "" {
			pool.Name = name
		}
		if description != "" {
			pool.Description = description
		}
		for word := range strings.SplitSeq(strings.Join(p.Values["remove_ip"], ","), ",") {
			if word = strings.TrimSpace(word); word == "" {
				continue
			}
			if err := removeFrom(pool, word); err != nil {
				return err
			}
		}
		return addTo(pool, add)
	})
}

func removeFrom(p *store.Pool, word string) error {
	addr, err := netip.ParseAddr(word)
	i := slices.Index(p.IPs, addr.Unmap())
	if err != nil || i < 0 {
		return errNoIP
	}
	p.IPs = slices.Delete(p.IPs, i, i+1)
	return nil
}

// addPoolIP puts an address into an IP pool.
func (c *Calls) addPoolIP(w http.ResponseWriter, r *door.Request) error {
	return c.addIPs(w, r, []string{r.PathValue("ip")})
}

func (c *Calls) addIPs(w http.ResponseWriter, r *door.Request, words []string) error {
	addrs, err := c.readIPs(r, words)
	if err != nil {
		return err
	}
	return c.change(w, r, func(p *store.Pool) error { return addTo(p, addrs) })
}

// addPoolIPs puts addresses into an IP pool, given as a list in JSON.
func (c *Calls) addPoolIPs(w http.ResponseWriter, r *door.Request) error {
	var body struct {
		IPs []string `json:"ips"`
	}
	if err := r.JSON(0, &body); err != nil {
		return err
	}
	if len(body.IPs) == 0 {
		return door.BadRequest("ips parameter is missing")
	}
	return c.addIPs(w, r, body.IPs)
}

// removePoolIP takes an address out of an IP pool.
func (c *Calls) removePoolIP(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	return c.change(w, r, func(p *store.Pool) error { return removeFrom(p, r.PathValue("ip")) })
}

// deletePool deletes an IP pool. Domains that use it get what is given in its place: a pool, an
// address, or nothing.
func (c *Calls) deletePool(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	pool, err := c.deps.Pools.Pool(r.Context(), r.Who.Account(), r.PathValue("id"))
	if err != nil {
		return door.Missing(err, errNoPool)
	}
	var ips []netip.Addr
	next := p.Get("pool_id")
	if next != "" {
		if _, err := c.deps.Egress.Pool(r.Context(), pool.AccountID, next); err != nil || next == pool.ID {
			return errNoPool
		}
	} else if s := p.Get("ip"); s != "" && s != "shared" {
		addr, err := c.usableIP(r, s)
		if err != nil {
			return err
		}
		ips = []netip.Addr{addr}
	}
	linked, err := c.domains(r, func(d *store.Domain) bool { return d.Settings.Pool == pool.ID })
	if err != nil {
		return err
	}
	for _, d := range linked {
		_, err := c.deps.Domains.UpdateDomain(r.Context(), d.Name, func(d *store.Domain) error {
			d.Settings.Pool, d.Settings.IPs = next, ips
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	if err := c.deps.Pools.DeletePool(r.Context(), pool.AccountID, pool.ID); err != nil {
		return door.Missing(err, errNoPool)
	}
	return door.Say(w, "started")
}

// poolDomains lists the domains that use an IP pool.
func (c *Calls) poolDomains(w http.ResponseWriter, r *door.Request) error {
	pool, err := c.deps.Egress.Pool(r.Context(), r.Who.Account(), r.PathValue("id"))
	if err != nil {
		return door.Missing(err, errNoPool)
	}
	linked, err := c.domains(r, func(d *store.Domain) bool { return d.Settings.Pool == pool.ID })
	if err != nil {
		return err
	}
	type item struct {
		Name string `json:"name"`
	}
	items := []item{}
	for _, d := range linked {
		items = append(items, item{d.Name})
	}
	return door.Reply(w, struct {
		Domains []item `json:"domains"`
		Total   int    `json:"total"`
		Message string `json:"message"`
	}{items, len(items), "success"})
}
