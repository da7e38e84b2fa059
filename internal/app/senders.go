package app

import (
	"context"
	"net"

	"github.com/sealpost/sealpost/internal/credential"
	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/egress"
	"github.com/sealpost/sealpost/internal/httpapi/accounts"
	"github.com/sealpost/sealpost/internal/httpapi/domains"
	"github.com/sealpost/sealpost/internal/httpapi/ips"
	"github.com/sealpost/sealpost/internal/httpapi/keys"
	"github.com/sealpost/sealpost/internal/keyrotation"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// buildSenders makes what belongs to those who send: who they are and what their keys did, what
// they publish, where their mail leaves from; with the calls about all of it.
func (a *app) buildSenders() {
	dns, resolver := domaindns.Config{Hostname: a.cfg.Server.Hostname}, recordResolver{a.resolver}
	a.egress = egress.New(a.cfg.Delivery.SourceAddresses, a.store, a.store)
	a.uses = keyuse.New(a.store, a.log)
	a.rooms = append(a.rooms, a.uses, keyrotation.New(a.store, resolver, dns, a.log))
	a.surfaces = append(a.surfaces,
		domains.New(domains.Config{DNS: dns}, domains.Deps{
			Domains: a.store, Credentials: a.store, Accounts: a.store, Messages: a.store, Queue: a.queue, Egress: a.egress,
			Resolver: resolver, HashPassword: credential.Hash, Log: a.log,
		}),
		keys.New(keys.Deps{Keys: a.store, Domains: a.store, Accounts: a.store, Uses: a.uses}),
		accounts.New(accounts.Deps{Accounts: a.store, Domains: a.store, Pools: a.store, Queue: a.queue}),
		ips.New(ips.Deps{Egress: a.egress, Domains: a.store, Pools: a.store, Accounts: a.store}),
	)
}

// A recordResolver reads the records of sending domains.
type recordResolver struct{ r dnssec.Resolver }

func (t recordResolver) lookUp(ctx context.Context, name string, kind dnssec.Type) ([]dnssec.Record, error) {
	answer := t.r.Lookup(ctx, name, kind)
	return answer.Records, answer.Err()
}

// LookupTXT returns the TXT records of a name.
func (t recordResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	records, err := t.lookUp(ctx, name, dnssec.TXT)
	var texts []string
	for _, r := range records {
		texts = append(texts, r.Text)
	}
	return texts, err
}

// LookupCNAME returns the names that a name is an alias of.
func (t recordResolver) LookupCNAME(ctx context.Context, name string) ([]string, error) {
	records, err := t.lookUp(ctx, name, dnssec.CNAME)
	var names []string
	for _, r := range records {
		names = append(names, r.Host)
	}
	return names, err
}

// LookupMX returns the MX records of a domain.
func (t recordResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	records, err := t.lookUp(ctx, name, dnssec.MX)
	var list []*net.MX
	for _, r := range records {
		list = append(list, &net.MX{Host: r.Host, Pref: r.Preference})
	}
	return list, err
}
