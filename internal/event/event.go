// Package event holds the record of what happened to a message: accepted,
// delivered, failed, rejected. Events are what users are shown, what webhooks
// carry and what is kept as evidence, so a field says what was achieved, never what was
// hoped for. The package defines the records and their names on the wire
// (Mailgun's); storing and serving them is the business of other rooms.
package event

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Type is what happened. Its numbers are stored: never change one.
type Type uint8

const (
	Accepted        Type = 0
	Rejected        Type = 1
	Delivered       Type = 2
	FailedTemporary Type = 3
	FailedPermanent Type = 4
	Opened          Type = 5
	Clicked         Type = 6
	Unsubscribed    Type = 7
	Complained      Type = 8
	Stored          Type = 9
)

var typeNames = [...]string{"accepted", "rejected", "delivered", "failed", "failed", "opened", "clicked", "unsubscribed", "complained", "stored"}

// String returns the event's name on the wire. Both failures are "failed";
// [Type.Severity] tells them apart.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Severity returns temporary or permanent for failures, else the empty string.
func (t Type) Severity() string {
	switch t {
	case FailedTemporary:
		return "temporary"
	case FailedPermanent:
		return "permanent"
	}
	return ""
}

// LogLevel returns info, warn or error, as events carry it.
func (t Type) LogLevel() string {
	switch t {
	case FailedTemporary, Rejected, Complained:
		return "warn"
	case FailedPermanent:
		return "error"
	}
	return "info"
}

// TypesNamed returns the types that carry name on the wire; none if it is unknown.
func TypesNamed(name string) []Type {
	var types []Type
	for t, n := range typeNames {
		if n == name {
			types = append(types, Type(t))
		}
	}
	return types
}

// A Record is one event. ID and Time are given by the store when it commits the
// record, so that the order of ids is the order in which readers may see them.
type Record struct {
	ID        mail.ID
	Time      time.Time // UTC, microseconds
	Type      Type
	DomainID  int64
	Message   mail.ID
	Recipient string // address; empty for events about a whole message
	Data      Data
}

// Data is what is particular to one event; what is common to all events of a
// message is in [Meta], stored once.
type Data struct {
	Reason    string  `json:"reason,omitempty"` // failed: generic, bounce, old, …
	Status    *Status `json:"status,omitempty"` // delivered, failed
	SendingIP string  `json:"sending-ip,omitempty"`
	Reject    *Reject `json:"reject,omitempty"` // rejected
	Visit     *Visit  `json:"visit,omitempty"`  // opened, clicked, unsubscribed
	// DSNPassed: the next hop took over what the sender asked about notices (RFC 3461 section
	// 5.2.1). It is for our own use and not shown.
	DSNPassed bool `json:"dsn-passed,omitempty"` // delivered
}

// A Visit is one use of a link that a message carries.
type Visit struct {
	URL    string     `json:"url,omitempty"` // clicked: where the link leads
	IP     string     `json:"ip,omitempty"`  // of the client, as far as our door can tell
	Client ClientInfo `json:"client-info"`
}

// ClientInfo is what a program says about itself, and what we make of it.
type ClientInfo struct {
	ClientType string `json:"client-type"` // browser, mobile browser, email client, robot, library, unknown
	ClientOS   string `json:"client-os"`   // Windows, macOS, Linux, Android, iOS, …; unknown
	DeviceType string `json:"device-type"` // desktop, mobile, tablet, other, unknown
	ClientName string `json:"client-name"` // Firefox, Outlook, …; unknown
	UserAgent  string `json:"user-agent"`  // as sent, cut
	// Bot is empty for a person, as far as we can tell; else whose program it was that came
	// before or instead of one: apple, gmail or generic.
	Bot string `json:"bot"`
}

// Reject says why a message was not accepted although its sender was known.
type Reject struct {
	Reason      string `json:"reason"`
	Description string `json:"description"`
}

// Status is delivery-status of the wire: one attempt for one recipient. TLS,
// CertificateVerified and MXHost are nil when there was no session to speak of.
type Status struct {
	AttemptNo           int             `json:"attempt-no"`
	Code                int             `json:"code"`
	EnhancedCode        string          `json:"enhanced-code,omitempty"`
	Message             string          `json:"message"`
	Description         string          `json:"description"`
	SessionSeconds      float64         `json:"session-seconds"`
	RetrySeconds        *int            `json:"retry-seconds,omitempty"` // temporary failures
	BounceType          string          `json:"bounce-type,omitempty"`   // hard, soft
	Local               bool            `json:"local,omitempty"`         // code and text are ours
	TLS                 *bool           `json:"tls,omitempty"`
	CertificateVerified *bool           `json:"certificate-verified,omitempty"`
	MXHost              *string         `json:"mx-host,omitempty"`
	UTF8                *bool           `json:"utf8,omitempty"`
	LastCode            int             `json:"last-code,omitempty"` // "too old": the last attempt's
	LastMessage         string          `json:"last-message,omitempty"`
	FirstAttemptSeconds *float64        `json:"first-delivery-attempt-seconds,omitempty"`
	TLSDetail           *mail.TLSDetail `json:"tls-detail,omitempty"`
}

// Meta is what all events of a message share.
type Meta struct {
	Domain        string            `json:"domain"`     // sending domain
	MessageID     string            `json:"message-id"` // without angle brackets
	Sender        string            `json:"sender"`     // reverse-path; empty for <>
	From          string            `json:"from"`       // header field, decoded
	To            string            `json:"to"`
	Subject       string            `json:"subject"`
	Recipients    []string          `json:"recipients"`
	Attachments   []Attachment      `json:"attachments,omitempty"`
	Size          int64             `json:"size"` // octets of the composed message
	Tags          []string          `json:"tags,omitempty"`
	Variables     map[string]string `json:"variables,omitempty"`
	Method        string            `json:"method"` // http or smtp
	Authenticated bool              `json:"authenticated"`
	TestMode      bool              `json:"test-mode,omitempty"`
	ScheduledFor  time.Time         `json:"scheduled-for,omitzero"`
	OriginIP      string            `json:"origin-ip,omitempty"`
	KeyID         string            `json:"key-id,omitempty"`
	Notify        bool              `json:"notify,omitempty"` // the sender asked for notices about some recipient (RFC 3461)
	Template      *Template         `json:"template,omitempty"`
	MailingList   *MailingList      `json:"mailing-list,omitempty"`
}

// A MailingList tells through which list a message was sent.
type MailingList struct {
	Address string `json:"address"`
	ListID  string `json:"list-id"` // of the List-Id field, without angle brackets
}

// A Template tells what a message was made from.
type Template struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	IsText  bool   `json:"is-text"` // its text/plain was made from it, too
}

// An Attachment is one attached file as events list it.
type Attachment struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content-type"`
	Size        int64  `json:"size"`
}
