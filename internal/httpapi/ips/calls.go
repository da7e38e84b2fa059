// Package ips has the calls about the addresses that mail leaves from, and the pools
// that set some of them aside.
package ips

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Egress knows from which addresses an account may send. The egress room satisfies it.
type Egress interface {
	// All returns the server's addresses.
	All() []netip.Addr
	// Usable returns the addresses that an account may use.
	Usable(ctx context.Context, account int64) ([]netip.Addr, error)
	// Pool returns a pool that the account may use; store.ErrNotFound if it may not.
	Pool(ctx context.Context, account int64, id string) (store.Pool, error)
	// Sources returns where mail of the domain may leave from, given what a message asks for; none
	// means anywhere.
	Sources(ctx context.Context, d store.Domain, ip, pool string) ([]netip.Addr, error)
}

// Deps are the rooms behind the calls. All are required.
type Deps struct {
	Egress   Egress
	Domains  store.Domains
	Pools    store.Pools
	Accounts store.Accounts
}

// Calls answers the calls of this package. It is safe for concurrent use.
type Calls struct{ deps Deps }

// New returns the calls.
func New(deps Deps) *Calls { return &Calls{deps} }

// Routes lists the calls.
func (c *Calls) Routes() []door.Route {
	table := []door.Route{
		door.On("GET", "/v3/ips", door.Account, c.list),
		door.On("GET", "/v3/ips/{ip}", door.Account, c.show),
		door.On("GET", "/v3/ips/{ip}/domains", door.Account, c.listDomains),
		door.On("POST", "/v3/ips/{ip}/domains", door.Account, c.assign),
		door.On("DELETE", "/v3/ips/{ip}/domains", door.Account, c.unassign),

		door.On("GET", "/v3/domains/{domain}/ips", door.Manage, c.domainIPs),
		door.On("POST", "/v3/domains/{domain}/ips", door.Manage, c.addDomainIP),
		door.On("DELETE", "/v3/domains/{domain}/ips/{ip}", door.Manage, c.removeDomainIP),
		door.On("DELETE", "/v3/domains/{domain}/pool/{ip}", door.Manage, c.removeDomainIP),
	}
	for _, v := range []string{"/v3/ip_pools", "/v1/ip_pools"} { // one set of handlers under both
		table = append(table,
			door.On("GET", v, door.Account, c.listPools),
			door.On("POST", v, door.Account, c.createPool),
			door.On("GET", v+"/{id}", door.Account, c.showPool),
			door.On("PATCH", v+"/{id}", door.Account, c.updatePool),
			door.On("DELETE", v+"/{id}", door.Account, c.deletePool),
			door.On("GET", v+"/{id}/domains", door.Account, c.poolDomains),
			door.On("PUT", v+"/{id}/ips/{ip}", door.Account, c.addPoolIP),
			door.On("DELETE", v+"/{id}/ips/{ip}", door.Account, c.removePoolIP),
			door.On("POST", v+"/{id}/ips.json", door.Account, c.addPoolIPs),
		)
	}
	return table
}

var errNoIP = door.NotFound("IP not found")

// An ipsJSON is a list of addresses.
type ipsJSON struct {
	Items      []string     `json:"items"`
	TotalCount int          `json:"total_count"`
	Assignable []string     `json:"assignable_to_pools"`
	Details    []detailJSON `json:"details"`
}

type detailJSON struct {
	IP        string `json:"ip"`
	Dedicated bool   `json:"dedicated"`
	Enabled   bool   `json:"enabled"`
	Warmup    bool   `json:"is_on_warmup"`
}

// list lists the addresses that the account may send from. One that is in a pool is dedicated. All
// are enabled: an address that the server does not have is not in its configuration.
func (c *Calls) list(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	dedicated, err := p.Flag("dedicated")
	if err != nil {
		return err
	}
	enabled, err := p.Flag("enabled")
	if err != nil {
		return err
	}
	usable, err := c.deps.Egress.Usable(r.Context(), r.Who.Account())
	if err != nil {
		return err
	}
	pooled, err := c.pooled(r.Context())
	if err != nil {
		return err
	}
	assignable, err := c.assignable(r.Context(), r.Who.Account())
	if err != nil {
		return err
	}
	answer := ipsJSON{[]string{}, 0, texts(assignable), []detailJSON{}}
	for _, a := range usable {
		aside := slices.Contains(pooled, a)
		if dedicated != mail.Unset && dedicated.Bool() != aside || enabled == mail.False {
			continue
		}
		answer.Items = append(answer.Items, a.String())
		answer.Details = append(answer.Details, detailJSON{IP: a.String(), Dedicated: aside, Enabled: true})
	}
	answer.TotalCount = len(answer.Items)
	return door.Reply(w, answer)
}

func texts(list []netip.Addr) []string {
	s := []string{}
	for _, a := range list {
		s = append(s, a.String())
	}
	return s
}

// pooled returns the addresses that are in any pool.
func (c *Calls) pooled(ctx context.Context) ([]netip.Addr, error) {
	pools, err := c.deps.Pools.ListPools(ctx, 0)
	var list []netip.Addr
	for _, p := range pools {
		list = append(list, p.IPs...)
	}
	return list, err
}

// assignable returns the addresses that the account may put into pools. A sub-account may divide the
// pool that it was handed: what is everybody's it cannot set aside for itself.
func (c *Calls) assignable(ctx context.Context, account int64) ([]netip.Addr, error) {
	if account == store.PrimaryAccount {
		return c.deps.Egress.All(), nil
	}
	a, err := c.deps.Accounts.Account(ctx, account)
	if err != nil || a.Settings.Pool == "" {
		return nil, err
	}
	p, err := c.deps.Egress.Pool(ctx, account, a.Settings.Pool)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return p.IPs, err
}

// usableIP reads an address that the account may use.
func (c *Calls) usableIP(r *door.Request, text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, errNoIP
	}
	addr = addr.Unmap()
	list, err := c.deps.Egress.Usable(r.Context(), r.Who.Account())
	if err == nil && !slices.Contains(list, addr) {
		err = errNoIP
	}
	return addr, err
}

// show shows one of the addresses that the account may send from.
func (c *Calls) show(w http.ResponseWriter, r *door.Request) error {
	addr, err := c.usableIP(r, r.PathValue("ip"))
	if err != nil {
		return err
	}
	pooled, err := c.pooled(r.Context())
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		IP        string `json:"ip"`
		Dedicated bool   `json:"dedicated"`
		RDNS      string `json:"rdns"` // not looked up
	}{addr.String(), slices.Contains(pooled, addr), ""})
}

// A domainIP is a domain with an address of its own.
type domainIP struct {
	Domain string   `json:"domain"`
	IPs    []string `json:"ips"`
}

// listDomains lists the domains that were given the address.
func (c *Calls) listDomains(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, skip, err := p.Range(100, 1000)
	if err != nil {
		return err
	}
	addr, err := c.usableIP(r, r.PathValue("ip"))
	if err != nil {
		return err
	}
	list, err := c.domains(r, func(d *store.Domain) bool { return slices.Contains(d.Settings.IPs, addr) })
	if err != nil {
		return err
	}
	items := []domainIP{}
	for _, d := range door.Slice(list, skip, limit) {
		items = append(items, domainIP{d.Name, texts(d.Settings.IPs)})
	}
	return door.Reply(w, struct {
		Items      []domainIP `json:"items"`
		TotalCount int        `json:"total_count"`
	}{items, len(list)})
}

// domains lists those domains of the account that are wanted, by name.
func (c *Calls) domains(r *door.Request, wanted func(*store.Domain) bool) ([]store.Domain, error) {
	list, err := c.deps.Domains.ListDomains(r.Context())
	list = slices.DeleteFunc(list, func(d store.Domain) bool { return d.AccountID != r.Who.Account() || !wanted(&d) })
	slices.SortFunc(list, func(a, b store.Domain) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// assign gives an address to the named domain, or to all domains of the account.
func (c *Calls) assign(w http.ResponseWriter, r *door.Request) error {
	return c.changeAll(w, r, func(d *store.Domain, addr netip.Addr) {
		if d.Settings.Pool = ""; !slices.Contains(d.Settings.IPs, addr) {
			d.Settings.IPs = append(d.Settings.IPs, addr)
		}
	})
}

// unassign takes an address from the named domain, or from all domains of the account.
func (c *Calls) unassign(w http.ResponseWriter, r *door.Request) error {
	return c.changeAll(w, r, func(d *store.Domain, addr netip.Addr) {
		d.Settings.IPs = slices.DeleteFunc(d.Settings.IPs, func(a netip.Addr) bool { return a == addr })
	})
}

func (c *Calls) changeAll(w http.ResponseWriter, r *door.Request, change func(*store.Domain, netip.Addr)) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	addr, err := c.usableIP(r, r.PathValue("ip"))
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	name := strings.ToLower(p.Get("domain"))
	list, err := c.domains(r, func(d *store.Domain) bool { return name == "" || d.Name == name })
	if err != nil {
		return err
	}
	if name != "" && len(list) == 0 {
		return door.NotFound("Domain not found")
	}
	for _, d := range list {
		_, err := c.deps.Domains.UpdateDomain(r.Context(), d.Name, func(d *store.Domain) error { change(d, addr); return nil })
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return door.Say(w, "success")
}
