package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A WebhookTarget is one URL that is told of events, and how it is doing.
type WebhookTarget struct {
	Domain       string    `json:"domain"` // empty: the account's
	URL          string    `json:"url"`
	Kinds        []string  `json:"event_types"`
	State        string    `json:"state"` // working, failing, disabled
	Waiting      int       `json:"waiting"`
	Failed       int       `json:"failed"`
	Behind       time.Time `json:"behind-since"` // zero: it is not behind
	FailingSince time.Time `json:"failing-since"`
	DisabledAt   time.Time `json:"disabled-at"`
	LastError    string    `json:"last-error"` // may hold foreign text
}

// Webhooks lists targets; an empty domain is all that the key may see.
func (c *Client) Webhooks(ctx context.Context, domain string) (Answer[Items[WebhookTarget]], error) {
	return do[Items[WebhookTarget]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "webhooks"}, query: given(map[string]string{"domain": domain})})
}

// A WebhookDelivery is one call that was made.
type WebhookDelivery struct {
	Time    time.Time `json:"time"`
	Domain  string    `json:"domain"`
	URL     string    `json:"url"`
	Event   string    `json:"event-id"`
	Kind    string    `json:"event-type"`
	Attempt int       `json:"attempt"`
	Outcome string    `json:"outcome"`
	Code    int       `json:"code"` // 0: there was no answer
	Seconds float64   `json:"seconds"`
	Error   string    `json:"error"`
	Answer  string    `json:"answer"` // foreign text
}

// A WebhookQuery picks targets, calls and events; empty fields match everything.
type WebhookQuery struct {
	Domain, URL, Event string
	Failed             bool   // of a replay: what was given up
	Begin, End         string // of a replay: as the API takes dates
	Limit              int    // of a log; 0: the server's choice
}

func (q WebhookQuery) values() url.Values {
	v := given(map[string]string{"domain": q.Domain, "url": q.URL, "event": q.Event, "begin": q.Begin, "end": q.End})
	if q.Failed {
		v.Set("failed", "yes")
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// WebhookLog lists calls, newest first.
func (c *Client) WebhookLog(ctx context.Context, q WebhookQuery) (Answer[Items[WebhookDelivery]], error) {
	return do[Items[WebhookDelivery]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "webhooks", "deliveries"}, query: q.values()})
}

// A Count says how many things a call changed.
type Count struct {
	Message string `json:"message"`
	Count   int    `json:"count"`
}

// ReplayWebhooks makes calls again.
func (c *Client) ReplayWebhooks(ctx context.Context, q WebhookQuery) (Answer[Count], error) {
	return do[Count](ctx, c, call{method: http.MethodPost, path: []string{"v1", "sealpost", "webhooks", "replay"}, form: q.values()})
}

// EnableWebhook tells a URL again that was disabled.
func (c *Client) EnableWebhook(ctx context.Context, q WebhookQuery) (Answer[Count], error) {
	return do[Count](ctx, c, call{method: http.MethodPost, path: []string{"v1", "sealpost", "webhooks", "enable"}, form: q.values()})
}

// A WebhookTest is what a URL answered to a test.
type WebhookTest struct {
	Code    int     `json:"code"` // 0: there was no answer
	Message string  `json:"message"`
	Seconds float64 `json:"seconds"`
}

// TestWebhook tells a URL of an event that never happened.
func (c *Client) TestWebhook(ctx context.Context, domain, kind, address string) (Answer[WebhookTest], error) {
	return do[WebhookTest](ctx, c, call{method: http.MethodPut, path: []string{"v3", "domains", domain, "webhooks", kind, "test"}, form: url.Values{"url": {address}}, timeout: 3 * time.Minute})
}
