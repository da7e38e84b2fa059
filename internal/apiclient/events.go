package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// An Event is what people are shown of one event. JSON holds all of it.
type Event struct {
	JSON json.RawMessage `json:"-"` // as the server wrote it

	ID        string          `json:"id"`
	Event     string          `json:"event"`
	Timestamp json.Number     `json:"timestamp"` // seconds since 1970, with six decimals
	Severity  string          `json:"severity"`  // failed: temporary, permanent
	Reason    string          `json:"reason"`
	Recipient string          `json:"recipient"`
	Status    *DeliveryStatus `json:"delivery-status"`
	Reject    *struct {
		Reason      string `json:"reason"`
		Description string `json:"description"`
	} `json:"reject"`
	Message struct {
		Headers struct {
			MessageID string `json:"message-id"`
			Subject   string `json:"subject"`
		} `json:"headers"`
	} `json:"message"`
	Storage struct {
		Key string `json:"key"`
	} `json:"storage"`
}

// UnmarshalJSON reads an event and keeps its text.
func (e *Event) UnmarshalJSON(b []byte) error {
	type plain Event
	if err := json.Unmarshal(b, (*plain)(e)); err != nil {
		return err
	}
	e.JSON = append(json.RawMessage(nil), b...)
	return nil
}

// Final reports whether nothing more will happen to the recipient's copy.
func (e *Event) Final() bool {
	return e.Event == "delivered" || e.Event == "rejected" || e.Event == "failed" && e.Severity == "permanent"
}

// A DeliveryStatus is one attempt for one recipient. The pointers are nil where no
// session took place.
type DeliveryStatus struct {
	Attempt             int        `json:"attempt-no"`
	Code                int        `json:"code"`
	EnhancedCode        string     `json:"enhanced-code"`
	Message             string     `json:"message"`
	Description         string     `json:"description"`
	RetrySeconds        *int       `json:"retry-seconds"`
	TLS                 *bool      `json:"tls"`
	CertificateVerified *bool      `json:"certificate-verified"`
	MXHost              *string    `json:"mx-host"`
	Detail              *TLSDetail `json:"tls-detail"`
}

// TLSDetail is what people are shown of a connection's evidence.
type TLSDetail struct {
	Result       string   `json:"result"`
	StartTLS     string   `json:"starttls"`
	Handshake    string   `json:"handshake"`
	Version      string   `json:"version"`
	Verification string   `json:"verification"`
	VerifyErrors []string `json:"verify-errors"`
	TLSA         *struct {
		State   string `json:"state"`
		Count   int    `json:"count"`
		Usable  int    `json:"usable"`
		Matched string `json:"matched"`
		Error   string `json:"error"`
	} `json:"tlsa"`
}

// An EventPage is a page of events, with the link to the next.
type EventPage struct {
	Items  []Event `json:"items"`
	Paging struct {
		Next string `json:"next"`
	} `json:"paging"`
}

// Next returns the token of the page after this one. The link's host is of no
// interest: tokens are asked for where the page came from.
func (p EventPage) Next() string {
	_, token, ok := strings.Cut(p.Paging.Next, "/events/")
	if !ok || strings.ContainsAny(token, "/?#") {
		return ""
	}
	return token
}

// Events searches the events of a domain.
func (c *Client) Events(ctx context.Context, domain string, query url.Values) (Answer[EventPage], error) {
	return do[EventPage](ctx, c, call{method: http.MethodGet, path: []string{"v3", domain, "events"}, query: query})
}

// EventsAt reads the page of a token.
func (c *Client) EventsAt(ctx context.Context, domain, token string) (Answer[EventPage], error) {
	return do[EventPage](ctx, c, call{method: http.MethodGet, path: []string{"v3", domain, "events", token}})
}

// A StoredMessage is an accepted message, taken apart.
type StoredMessage struct {
	Sender      string      `json:"sender"`
	From        string      `json:"from"`
	Recipients  string      `json:"recipients"`
	Subject     string      `json:"subject"`
	BodyPlain   string      `json:"body-plain"`
	Headers     [][2]string `json:"message-headers"`
	Attachments []struct {
		Name        string `json:"name"`
		ContentType string `json:"content-type"`
		Size        int64  `json:"size"`
	} `json:"attachments"`
}

// A RawMessage is an accepted message as it travels. Octets that are not UTF-8 are
// U+FFFD: JSON cannot hold them.
type RawMessage struct {
	BodyMIME string `json:"body-mime"`
}

// Message shows the accepted message with that storage key.
func (c *Client) Message(ctx context.Context, domain, key string) (Answer[StoredMessage], error) {
	return do[StoredMessage](ctx, c, call{method: http.MethodGet, path: []string{"v3", "domains", domain, "messages", key}})
}

// RawMessage shows the accepted message with that storage key as it travels.
func (c *Client) RawMessage(ctx context.Context, domain, key string) (Answer[RawMessage], error) {
	return do[RawMessage](ctx, c, call{method: http.MethodGet, path: []string{"v3", "domains", domain, "messages", key}, accept: "message/rfc2822"})
}
