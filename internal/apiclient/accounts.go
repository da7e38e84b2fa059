package apiclient

import (
	"context"
	"net/http"
	"net/url"
)

// A Subaccount is a sub-account.
type Subaccount struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Status    string `json:"status"` // open, disabled
	CreatedAt string `json:"created_at"`
}

// OneSubaccount is an answer about one of them.
type OneSubaccount struct {
	Subaccount Subaccount `json:"subaccount"`
}

// Subaccounts is the answer to [Client.Subaccounts].
type Subaccounts struct {
	Items []Subaccount `json:"subaccounts"`
	Total int          `json:"total"`
}

func subaccounts(more ...string) []string {
	return append([]string{"v5", "accounts", "subaccounts"}, more...)
}

// CreateSubaccount makes a sub-account.
func (c *Client) CreateSubaccount(ctx context.Context, name string) (Answer[OneSubaccount], error) {
	return do[OneSubaccount](ctx, c, call{method: http.MethodPost, path: subaccounts(), form: url.Values{"name": {name}}})
}

// Subaccounts lists the first 1,000 sub-accounts, oldest first.
func (c *Client) Subaccounts(ctx context.Context) (Answer[Subaccounts], error) {
	return do[Subaccounts](ctx, c, call{method: http.MethodGet, path: subaccounts(), query: url.Values{"limit": {"1000"}}})
}

// SetSubaccountDisabled keeps a sub-account from sending, or lets it.
func (c *Client) SetSubaccountDisabled(ctx context.Context, id string, disabled bool) (Answer[OneSubaccount], error) {
	action := "enable"
	if disabled {
		action = "disable"
	}
	return do[OneSubaccount](ctx, c, call{method: http.MethodPost, path: subaccounts(id, action), form: url.Values{}})
}

// DeleteSubaccount deletes the sub-account that the client acts for; see [Client.ActFor].
func (c *Client) DeleteSubaccount(ctx context.Context) (Answer[Note], error) {
	return do[Note](ctx, c, call{method: http.MethodDelete, path: subaccounts()})
}
