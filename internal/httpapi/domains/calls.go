package domains

import (
	"context"
	"log/slog"

	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A Queue gives waiting mail up. The queue room satisfies it.
type Queue interface {
	// Cancel gives matching rows up, with a permanent failure in the log, and returns how many.
	Cancel(ctx context.Context, q store.RowQuery) (int, error)
}

// Messages counts what waits; see store.Messages.
type Messages interface {
	CountQueued(ctx context.Context, domainID int64) (int, error)
}

// Egress knows from which addresses an account may send. The egress room satisfies it.
type Egress interface {
	// MayUse returns store.ErrNotFound if the account may not use one of the addresses, or
	// the pool; both may be empty.
	MayUse(ctx context.Context, account int64, ips []string, pool string) error
}

// Config is what the operator sets.
type Config struct {
	DNS domaindns.Config
	// Selector is the DKIM selector of new domains; empty: sealpost.
	Selector string
}

// Deps are the rooms behind the calls. All are required.
type Deps struct {
	Domains     store.Domains
	Credentials store.Credentials
	Accounts    store.Accounts
	Messages    Messages
	Queue       Queue
	Egress      Egress
	Resolver    domaindns.Resolver
	// HashPassword returns what is stored of a submission login's password.
	HashPassword func(password string) (string, error)
	Log          *slog.Logger
}

// Calls answers the calls of this package. It is safe for concurrent use.
type Calls struct {
	cfg  Config
	deps Deps
}

// New returns the calls.
func New(cfg Config, deps Deps) *Calls {
	if cfg.Selector == "" {
		cfg.Selector = "sealpost"
	}
	return &Calls{cfg, deps}
}

// Routes lists the calls.
func (c *Calls) Routes() []door.Route {
	table := []door.Route{
		door.On("GET", "/v3/domains/{domain}/connection", door.Manage, c.showConnection),
		door.On("PUT", "/v3/domains/{domain}/connection", door.Manage, c.updateConnection),
		door.On("GET", "/v3/domains/{domain}/credentials", door.Manage, c.listCredentials),
		door.On("POST", "/v3/domains/{domain}/credentials", door.Manage, c.createCredentials),
		door.On("DELETE", "/v3/domains/{domain}/credentials", door.Manage, c.deleteAllCredentials),
		door.On("PUT", "/v3/domains/{domain}/credentials/{login}", door.Manage, c.updateCredential),
		door.On("DELETE", "/v3/domains/{domain}/credentials/{login}", door.Manage, c.deleteCredential),

		door.On("PUT", "/v3/domains/{domain}/dkim_authority", door.Manage, c.updateAuthority),
		door.On("PUT", "/v3/domains/{domain}/dkim_selector", door.Manage, c.updateSelector),
		door.On("GET", "/v1/dkim/keys", door.Manage, c.listAllKeys),
		door.On("POST", "/v1/dkim/keys", door.Manage, c.createKey),
		door.On("DELETE", "/v1/dkim/keys", door.Manage, c.deleteKey),
		door.On("GET", "/v4/domains/{domain}/keys", door.Manage, c.listKeys),
		door.On("PUT", "/v4/domains/{domain}/keys/{selector}/activate", door.Manage, c.activateKey),
		door.On("PUT", "/v4/domains/{domain}/keys/{selector}/deactivate", door.Manage, c.deactivateKey),
		door.On("PUT", "/v1/dkim_management/domains/{domain}/rotation", door.Manage, c.updateRotation),
		door.On("POST", "/v1/dkim_management/domains/{domain}/rotate", door.Manage, c.rotate),

		door.On("GET", "/v1/sealpost/domains/{domain}/delivery", door.Manage, c.showDelivery),
		door.On("PUT", "/v1/sealpost/domains/{domain}/delivery", door.Manage, c.updateDelivery),
		door.On("PUT", "/v1/sealpost/domains/{domain}/state", door.Operate, c.updateState),
	}
	for _, v := range []string{"/v3/domains", "/v4/domains"} { // one set of handlers under both
		table = append(table,
			door.On("GET", v, door.Manage, c.listDomains),
			door.On("POST", v, door.Account, c.createDomain),
			door.On("GET", v+"/{domain}", door.Manage, c.showDomain),
			door.On("PUT", v+"/{domain}", door.Manage, c.updateDomain),
			door.On("DELETE", v+"/{domain}", door.Manage, c.deleteDomain),
			door.On("PUT", v+"/{domain}/verify", door.Manage, c.verifyDomain),
		)
	}
	return table
}
