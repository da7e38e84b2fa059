package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Key is an API key. Secret is only in the answer that creates it.
type Key struct {
	ID          string `json:"id"`
	Role        string `json:"role"` // admin, developer, basic, sending
	Domain      string `json:"domain_name"`
	Description string `json:"description"`
	CreatedAt   string `json:"created_at"`
	ExpiresAt   string `json:"expires_at"`   // empty: never
	LastUsedAt  string `json:"last_used_at"` // empty: never
	Disabled    bool   `json:"is_disabled"`
	Account     string `json:"account_id"` // of a sub-account; empty: the primary one
	Secret      string `json:"secret"`
}

// A NewKey is what is asked for; empty fields leave the choice to the server.
type NewKey struct {
	Value       string // the key that clients already have; empty: a new one is made
	Domain      string // sending domain it is bound to; empty: every domain
	Role        string // admin, developer, basic, sending; empty: admin
	Description string
	Lifetime    time.Duration // whole seconds; 0: for ever
	Addresses   []string      // addresses or networks that it may be used from; none: from anywhere
	PerMinute   int           // sending calls; 0: any number
	PerDay      int
}

// A CreatedKey is the answer to [Client.CreateKey].
type CreatedKey struct {
	Key Key `json:"key"`
}

// CreateKey makes an API key.
func (c *Client) CreateKey(ctx context.Context, k NewKey) (Answer[CreatedKey], error) {
	form := url.Values{}
	for name, value := range map[string]string{"value": k.Value, "domain": k.Domain, "role": k.Role, "description": k.Description} {
		if value != "" {
			form.Set(name, value)
		}
	}
	for name, n := range map[string]int{"expiration": int(k.Lifetime / time.Second), "per_minute": k.PerMinute, "per_day": k.PerDay} {
		if n != 0 {
			form.Set(name, strconv.Itoa(n))
		}
	}
	form["addresses"] = k.Addresses
	return do[CreatedKey](ctx, c, call{method: http.MethodPost, path: []string{"v1", "sealpost", "keys"}, form: form})
}

// Keys lists all API keys, oldest first.
func (c *Client) Keys(ctx context.Context) (Answer[Page[Key]], error) {
	return do[Page[Key]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "keys"}})
}

// SetKeyDisabled takes a key away without forgetting it, or gives it back. It counts from the next call.
func (c *Client) SetKeyDisabled(ctx context.Context, id string, disabled bool) (Answer[CreatedKey], error) {
	form := url.Values{"disabled": {strconv.FormatBool(disabled)}}
	return do[CreatedKey](ctx, c, call{method: http.MethodPut, path: []string{"v1", "sealpost", "keys", id}, form: form})
}

// DeleteKey forgets a key; it is refused from then on.
func (c *Client) DeleteKey(ctx context.Context, id string) (Answer[Note], error) {
	return do[Note](ctx, c, call{method: http.MethodDelete, path: []string{"v1", "sealpost", "keys", id}})
}

// A Credential is a submission login.
type Credential struct {
	Login     string `json:"login"`
	CreatedAt string `json:"created_at"`
}

// CreatedCredentials tells the passwords that the server made, by login; it is
// empty if the caller chose the password.
type CreatedCredentials struct {
	Message     string            `json:"message"`
	Note        string            `json:"note"`
	Credentials map[string]string `json:"credentials"`
}

// CreateCredential makes a submission login of a domain, or changes its password. An empty
// password lets the server make one.
func (c *Client) CreateCredential(ctx context.Context, domain, login, password string) (Answer[CreatedCredentials], error) {
	form := url.Values{"login": {login}}
	if password != "" {
		form.Set("password", password)
	}
	return do[CreatedCredentials](ctx, c, call{method: http.MethodPost, path: []string{"v3", "domains", domain, "credentials"}, form: form})
}

// Credentials lists the logins of a domain.
func (c *Client) Credentials(ctx context.Context, domain string) (Answer[Page[Credential]], error) {
	return all[Credential](ctx, c, "v3", "domains", domain, "credentials")
}

// DeleteCredential removes a login of a domain.
func (c *Client) DeleteCredential(ctx context.Context, domain, login string) (Answer[Note], error) {
	return do[Note](ctx, c, call{method: http.MethodDelete, path: []string{"v3", "domains", domain, "credentials", login}})
}

// Health asks whether the server and its store answer.
func (c *Client) Health(ctx context.Context) (Answer[struct {
	Status string `json:"status"`
}], error) {
	return do[struct {
		Status string `json:"status"`
	}](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "health"}})
}
