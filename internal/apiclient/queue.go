package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Row is one recipient's copy that waits.
type Row struct {
	ID        string    `json:"id"`
	Message   string    `json:"message"`
	Domain    string    `json:"domain"`
	NextHop   string    `json:"next_hop"`
	Recipient string    `json:"recipient"`
	Due       time.Time `json:"due"`
	Expires   time.Time `json:"expires"`
	Attempt   int       `json:"attempt"` // attempts made
	Held      bool      `json:"held"`
	Leased    bool      `json:"leased"` // being attempted
	LastReply string    `json:"last_reply"`
}

// An Explanation is a row with why it waits.
type Explanation struct {
	Row
	State    string    `json:"state"`
	Next     time.Time `json:"next"` // zero if that does not depend on time
	Sentence string    `json:"sentence"`
}

// A NextHop is a recipient domain with mail waiting.
type NextHop struct {
	Name string    `json:"name"`
	Rows int       `json:"rows"`
	Due  time.Time `json:"due"` // zero if all are being attempted
}

// Items is a list without a count.
type Items[T any] struct {
	Items []T `json:"items"`
}

// A Selector picks queue rows; empty fields match everything.
type Selector struct {
	Domain    string // sending domain
	Message   string // storage key
	MessageID string // Message-ID; all copies of a batch have it
	Tag       string
	Recipient string
	NextHop   string
	Row       string
}

// values are the selector's parameters.
func (s Selector) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"domain": s.Domain, "message": s.Message, "message_id": s.MessageID, "tag": s.Tag, "recipient": s.Recipient, "next_hop": s.NextHop, "row": s.Row} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// Rows lists waiting copies by id, at most limit (0: the server's choice), those after a row.
func (c *Client) Rows(ctx context.Context, s Selector, limit int, after string) (Answer[Items[Row]], error) {
	return do[Items[Row]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "queue"}, query: paged(s, limit, after)})
}

// Explain says of waiting copies why they wait.
func (c *Client) Explain(ctx context.Context, s Selector, limit int, after string) (Answer[Items[Explanation]], error) {
	return do[Items[Explanation]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "queue", "explain"}, query: paged(s, limit, after)})
}

func paged(s Selector, limit int, after string) url.Values {
	v := s.values()
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	if after != "" {
		v.Set("after", after)
	}
	return v
}

// NextHops lists the recipient domains with mail waiting.
func (c *Client) NextHops(ctx context.Context) (Answer[Items[NextHop]], error) {
	return do[Items[NextHop]](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "queue", "next-hops"}})
}

// A Changed count tells how many rows a call changed.
type Changed struct {
	Count int `json:"count"`
}

// ChangeQueue does one of retry, hold, release and cancel to rows. An empty selector is
// only accepted together with all.
func (c *Client) ChangeQueue(ctx context.Context, action string, s Selector, all bool) (Answer[Changed], error) {
	return c.changeQueue(ctx, action, s.values(), all)
}

// RescheduleQueue makes rows due at another time.
func (c *Client) RescheduleQueue(ctx context.Context, due time.Time, s Selector, all bool) (Answer[Changed], error) {
	form := s.values()
	form.Set("time", strconv.FormatInt(due.Unix(), 10))
	return c.changeQueue(ctx, "reschedule", form, all)
}

func (c *Client) changeQueue(ctx context.Context, action string, form url.Values, all bool) (Answer[Changed], error) {
	if all {
		form.Set("all", "yes")
	}
	return do[Changed](ctx, c, call{method: http.MethodPost, path: []string{"v1", "sealpost", "queue", action}, form: form, timeout: 5 * time.Minute})
}

// LabObservations asks a lab server what its receivers saw, of one message (Message-ID without
// angle brackets) or in all. Only the lab's own socket answers this.
func (c *Client) LabObservations(ctx context.Context, messageID string) (Answer[json.RawMessage], error) {
	return do[json.RawMessage](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "lab"}, query: url.Values{"message-id": {messageID}}})
}
