package ips

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// domainIPs lists the addresses that the domain's mail leaves from.
func (c *Calls) domainIPs(w http.ResponseWriter, r *door.Request) error {
	list, err := c.deps.Egress.Sources(r.Context(), r.Domain, "", "")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		list = c.deps.Egress.All()
	}
	return door.Reply(w, struct {
		Items      []string `json:"items"`
		TotalCount int      `json:"total_count"`
		PoolID     string   `json:"pool_id,omitempty"`
	}{texts(list), len(list), r.Domain.Settings.Pool})
}

// addDomainIP gives the domain an address, or a pool.
func (c *Calls) addDomainIP(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	ip, pool := p.Get("ip"), p.Get("pool_id")
	switch {
	case ip == "" && pool == "":
		return door.BadRequest("ip parameter is missing")
	case ip != "" && pool != "":
		return door.BadRequest("only one of 'ip' and 'pool_id' parameters is allowed")
	}
	_, err = c.deps.Egress.Sources(r.Context(), r.Domain, ip, pool)
	if pool != "" {
		_, err = c.deps.Egress.Pool(r.Context(), r.Domain.AccountID, pool)
	}
	if err != nil {
		return door.Missing(err, door.BadRequest("%s can't be used by this account", door.Shown(ip+pool)))
	}
	return c.changeDomain(w, r, func(d *store.Domain) error {
		if pool != "" {
			d.Settings.IPs, d.Settings.Pool = nil, pool
			return nil
		}
		if d.Settings.Pool != "" {
			return door.BadRequest("the domain uses an IP pool; unlink it first")
		}
		if addr := netip.MustParseAddr(ip).Unmap(); !slices.Contains(d.Settings.IPs, addr) {
			d.Settings.IPs = append(d.Settings.IPs, addr)
		}
		return nil
	})
}

// removeDomainIP takes an address from the domain, its pool (ip_pool), or whatever it has (all).
func (c *Calls) removeDomainIP(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	word := r.PathValue("ip")
	return c.changeDomain(w, r, func(d *store.Domain) error {
		switch word {
		case "all":
			d.Settings.IPs, d.Settings.Pool = nil, ""
			return nil
		case "ip_pool":
			if d.Settings.Pool == "" {
				return errNoPool
			}
			d.Settings.Pool = ""
			return nil
		}
		addr, err := netip.ParseAddr(word)
		i := slices.Index(d.Settings.IPs, addr.Unmap())
		if err != nil || i < 0 {
			return errNoIP
		}
		d.Settings.IPs = slices.Delete(d.Settings.IPs, i, i+1)
		return nil
	})
}

func (c *Calls) changeDomain(w http.ResponseWriter, r *door.Request, change func(*store.Domain) error) error {
	if _, err := c.deps.Domains.UpdateDomain(r.Context(), r.Domain.Name, change); err != nil {
		return door.Missing(err, door.NotFound("Domain not found"))
	}
	return door.Say(w, "success")
}
