package proof

import (
	"encoding/json"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Filter says which records are wanted. Zero fields match everything; all that
// are given must match.
type Filter struct {
	From      string // first day, 2006-01-02
	To        string // last day, included
	DomainID  int64
	Domain    string  // name of the sending domain
	Message   mail.ID // the queue's id
	MessageID string
	Recipient string // compared without letter case
	Event     mail.ID
}

// MarshalJSON writes the filter as the first line of an export shows it.
func (f Filter) MarshalJSON() ([]byte, error) {
	hex := func(id mail.ID) string {
		if id == 0 {
			return ""
		}
		return id.String()
	}
	return json.Marshal(struct {
		From      string `json:"from,omitempty"`
		To        string `json:"to,omitempty"`
		DomainID  int64  `json:"domain-id,omitempty"`
		Domain    string `json:"domain,omitempty"`
		Message   string `json:"message,omitempty"`
		MessageID string `json:"message-id,omitempty"`
		Recipient string `json:"recipient,omitempty"`
		Event     string `json:"event,omitempty"`
	}{f.From, f.To, f.DomainID, f.Domain, hex(f.Message), f.MessageID, f.Recipient, hex(f.Event)})
}

// All reports whether the filter takes every record of the days it names.
func (f Filter) All() bool {
	f.From, f.To = "", ""
	return f == Filter{}
}

// Days returns the first and last day on which records can match; empty is open.
// An event has its day in its id, and nothing happens to a message before it was accepted.
func (f Filter) Days() (from, to string) {
	from, to = f.From, f.To
	if f.Message != 0 {
		from = max(from, f.Message.Day())
	}
	if f.Event != 0 {
		day := f.Event.Day()
		from = max(from, day)
		if to == "" || day < to {
			to = day
		}
	}
	return from, to
}

// Match reports whether the record is wanted. The day is not looked at.
func (f Filter) Match(r *Record) bool {
	return (f.DomainID == 0 || f.DomainID == r.DomainID) &&
		(f.Domain == "" || f.Domain == r.Domain) &&
		(f.Message == 0 || f.Message == r.Message) &&
		(f.MessageID == "" || f.MessageID == r.MessageID) &&
		(f.Recipient == "" || strings.EqualFold(f.Recipient, r.Recipient)) &&
		(f.Event == 0 || f.Event == r.Event)
}
