package webhooks

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/outhttp"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/webhook"
)

// A Room is what tells the URLs. The webhook room satisfies it.
type Room interface {
	Targets(ctx context.Context, s webhook.Scope) ([]webhook.Target, error)
	Attempts(ctx context.Context, s webhook.Scope, about mail.ID, limit int) ([]store.WebhookAttempt, error)
	Enable(ctx context.Context, s webhook.Scope) (int, error)
	Replay(ctx context.Context, p webhook.Replay) (int, error)
	Test(ctx context.Context, d store.Domain, kind, url string) (outhttp.Answer, time.Duration, error)
}

// Deps are what the calls need.
type Deps struct {
	Hooks   store.Webhooks
	Domains store.Domains
	Room    Room
	// CheckURL says why the URL could not be called, in words for its user: it is no URL, its
	// host does not exist or has an address that may not be called. What cannot be found
	// out at the moment is no problem.
	CheckURL func(ctx context.Context, url string) error
}

// An API answers the calls. It is safe for concurrent use.
type API struct{ deps Deps }

// New returns the calls.
func New(deps Deps) *API { return &API{deps} }

// Routes lists the calls.
func (a *API) Routes() []door.Route {
	return []door.Route{
		door.On("GET", "/v3/domains/{domain}/webhooks", door.Manage, a.list),
		door.On("POST", "/v3/domains/{domain}/webhooks", door.Manage, a.create),
		door.On("GET", "/v3/domains/{domain}/webhooks/{name}", door.Manage, a.show),
		door.On("PUT", "/v3/domains/{domain}/webhooks/{name}", door.Manage, a.update),
		door.On("DELETE", "/v3/domains/{domain}/webhooks/{name}", door.Manage, a.remove),
		door.On("PUT", "/v3/domains/{domain}/webhooks/{name}/test", door.Manage, a.test),

		door.On("GET", "/v4/domains/{domain}/webhooks", door.Manage, a.list),
		door.On("POST", "/v4/domains/{domain}/webhooks", door.Manage, a.createURL),
		door.On("PUT", "/v4/domains/{domain}/webhooks", door.Manage, a.updateURL),
		door.On("DELETE", "/v4/domains/{domain}/webhooks", door.Manage, a.removeURLs),

		door.On("GET", "/v1/webhooks", door.Account, a.listAccount),
		door.On("POST", "/v1/webhooks", door.Account, a.createAccount),
		door.On("DELETE", "/v1/webhooks", door.Account, a.removeAccounts),
		door.On("GET", "/v1/webhooks/{id}", door.Account, a.showAccount),
		door.On("PUT", "/v1/webhooks/{id}", door.Account, a.updateAccount),
		door.On("DELETE", "/v1/webhooks/{id}", door.Account, a.removeAccount),

		door.On("GET", "/v5/accounts/http_signing_key", door.Administer, a.showKey),
		door.On("POST", "/v5/accounts/http_signing_key", door.Administer, a.rotateKey),

		door.On("GET", "/v1/sealpost/webhooks", door.Manage, a.listTargets),
		door.On("GET", "/v1/sealpost/webhooks/deliveries", door.Manage, a.listDeliveries),
		door.On("POST", "/v1/sealpost/webhooks/replay", door.Manage, a.replay),
		door.On("POST", "/v1/sealpost/webhooks/enable", door.Manage, a.enable),
	}
}

// account is whose webhooks the caller's are.
func account(r *door.Request) int64 { return cmp.Or(r.Who.AccountID, store.PrimaryAccount) }

// change changes a domain's webhooks and enables those of the URLs that had been disabled:
// who sets a URL wants it to be told.
func (a *API) change(r *door.Request, urls []string, change func([]store.Webhook) ([]store.Webhook, error)) ([]store.Webhook, error) {
	list, err := a.deps.Hooks.ChangeWebhooks(r.Context(), r.Domain.AccountID, r.Domain.ID, change)
	if err != nil {
		return nil, unwrap(door.Missing(err, door.NotFound("Domain not found")))
	}
	return list, a.enableURLs(r, webhook.Scope{AccountID: r.Domain.AccountID, DomainID: r.Domain.ID}, urls)
}

func (a *API) enableURLs(r *door.Request, s webhook.Scope, urls []string) error {
	for _, s.URL = range urls {
		if _, err := a.deps.Room.Enable(r.Context(), s); err != nil {
			return err
		}
	}
	return nil
}

// unwrap finds a problem inside an error of the store.
func unwrap(err error) error {
	if p, ok := errors.AsType[*door.Problem](err); ok {
		return p
	}
	return err
}

// urls reads the URLs of a call, each once.
func (a *API) urls(r *door.Request, p door.Params) ([]string, error) {
	var urls []string
	for _, u := range p.Values["url"] {
		if u != "" && !slices.Contains(urls, u) {
			urls = append(urls, u)
		}
	}
	if len(urls) == 0 {
		return nil, reason("invalid parameters: url is required")
	}
	return urls, nil
}

// check refuses URLs that cannot be called.
func (a *API) check(r *door.Request, prefix string, urls ...string) error {
	ctx, cancel := r.Bounded()
	defer cancel()
	for _, u := range urls {
		if err := a.deps.CheckURL(ctx, u); err != nil {
			return reason("%s%s is not a valid url: %s", prefix, door.Shown(u), err)
		}
	}
	return nil
}

// kinds reads kinds of events, without repetitions.
func kinds(p door.Params) []string {
	var list []string
	for _, k := range p.Values["event_types"] {
		if k != "" && !slices.Contains(list, k) {
			list = append(list, k)
		}
	}
	return list
}

// showKey shows the key that signs what webhooks are told.
func (a *API) showKey(w http.ResponseWriter, r *door.Request) error {
	k, err := a.deps.Hooks.SigningKey(r.Context(), account(r))
	if err != nil {
		return err
	}
	return door.Reply(w, keyView("", k))
}

// maxOverlap is the longest time for which an old key may go on to sign.
const maxOverlap = 30 * 24 * time.Hour

// rotateKey makes a new key for signing what webhooks are told. It signs at once, or with
// overlap=24h after that time.
func (a *API) rotateKey(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	var until time.Time
	if s := p.Get("overlap"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > maxOverlap {
			return door.BadRequest("'overlap' parameter must be a duration of up to 720h, such as 24h")
		}
		until = time.Now().Add(d)
	}
	k, err := a.deps.Hooks.RotateSigningKey(r.Context(), account(r), until)
	if err != nil {
		return err
	}
	return door.Reply(w, keyView("HTTP signing key has been regenerated", k))
}

type keyJSON struct {
	Message   string    `json:"message,omitempty"`
	Key       string    `json:"http_signing_key"`
	SignsFrom time.Time `json:"signs_from,omitzero"` // while the key before still signs
}

func keyView(message string, k store.SigningKey) keyJSON {
	v := keyJSON{Message: message, Key: k.Key}
	if k.At(time.Now()) != k.Key {
		v.SignsFrom = k.SignsFrom.Truncate(time.Second)
	}
	return v
}
