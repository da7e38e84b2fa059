package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A TLSReport is a report to a policy domain about one day, and how far it is.
type TLSReport struct {
	Day          string           `json:"day"`
	Domain       string           `json:"domain"`
	ID           string           `json:"report-id"`
	State        string           `json:"state"` // waiting, sent, refused, given-up
	Due          time.Time        `json:"due"`   // while waiting
	Attempts     int              `json:"attempts"`
	Note         string           `json:"note"`
	Destinations []TLSDestination `json:"destinations"`
}

// A TLSDestination is where a report goes.
type TLSDestination struct {
	URI        string    `json:"uri"`
	Done       bool      `json:"done"`
	Final      bool      `json:"final"`
	At         time.Time `json:"at"`
	Note       string    `json:"note"`
	MessageID  string    `json:"message-id"`
	Unverified bool      `json:"unverified"`
}

// TLSReports are the reports of a server.
type TLSReports struct {
	Enabled bool        `json:"enabled"`
	Items   []TLSReport `json:"items"`
}

// TLSReports lists reports, sent and due, latest day first. Empty arguments match all.
func (c *Client) TLSReports(ctx context.Context, day, domain string, limit int) (Answer[TLSReports], error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if day != "" {
		q.Set("day", day)
	}
	if domain != "" {
		q.Set("domain", domain)
	}
	return do[TLSReports](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "tls-reports"}, query: q})
}

// PreviewTLSReport returns the JSON of a report as it would go out. An empty day is today.
func (c *Client) PreviewTLSReport(ctx context.Context, domain, day string) (Answer[json.RawMessage], error) {
	q := url.Values{}
	if day != "" {
		q.Set("day", day)
	}
	return do[json.RawMessage](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "tls-reports", domain}, query: q})
}
