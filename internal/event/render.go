package event

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// Limits on what one event repeats of its message. The whole is in the stored message.
const (
	maxVariables  = 4 << 10 // octets of variables, names and values
	maxRecipients = 50      // recipients
	maxTo         = 2 << 10 // octets of the To field
)

// A Wire is an event as the events API and webhooks show it. Its JSON is the
// contract: fields are only ever added, lists and objects are never null.
type Wire struct {
	Event     string    `json:"event"`
	ID        string    `json:"id"`
	Timestamp Timestamp `json:"timestamp"`
	LogLevel  string    `json:"log-level"`

	Method        string `json:"method,omitempty"`         // accepted
	OriginatingIP string `json:"originating-ip,omitempty"` // accepted
	APIKeyID      string `json:"api-key-id,omitempty"`     // accepted

	Severity string `json:"severity,omitempty"` // failed
	Reason   string `json:"reason,omitempty"`   // failed

	Recipient       string `json:"recipient,omitempty"`
	RecipientDomain string `json:"recipient-domain,omitempty"`

	// opened, clicked, unsubscribed
	URL         string           `json:"url,omitempty"` // clicked
	IP          string           `json:"ip,omitempty"`
	Geolocation *WireGeolocation `json:"geolocation,omitempty"`
	ClientInfo  *ClientInfo      `json:"client-info,omitempty"`

	Envelope       *WireEnvelope     `json:"envelope,omitempty"` // of events with a recipient
	Flags          WireFlags         `json:"flags"`
	DeliveryStatus *Status           `json:"delivery-status,omitempty"` // delivered, failed
	Reject         *Reject           `json:"reject,omitempty"`          // rejected
	Message        WireMessage       `json:"message"`
	Storage        *WireStorage      `json:"storage,omitempty"` // not of rejected messages: they were not kept
	Tags           []string          `json:"tags"`
	Campaigns      []string          `json:"campaigns"`
	Template       *Template         `json:"template,omitempty"`
	MailingList    *MailingList      `json:"mailing-list,omitempty"`
	UserVariables  map[string]string `json:"user-variables"`
}

// A Timestamp is shown as seconds since 1970 with six decimals.
type Timestamp time.Time

// MarshalJSON writes the seconds as a number. The decimals are printed, not
// computed, so that no microsecond is lost in a float.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	us := time.Time(t).UnixMicro()
	if us < 0 {
		return []byte("0.000000"), nil
	}
	return fmt.Appendf(nil, "%d.%06d", us/1e6, us%1e6), nil
}

// UnmarshalJSON reads what MarshalJSON wrote, to the microsecond.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	var s float64
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = Timestamp(time.UnixMicro(int64(s*1e6 + 0.5)).UTC())
	return nil
}

// A WireEnvelope is the envelope of one recipient's copy.
type WireEnvelope struct {
	Sender    string `json:"sender"`
	Transport string `json:"transport"`
	Targets   string `json:"targets"`
	SendingIP string `json:"sending-ip,omitempty"`
}

// WireFlags tell the kind of a message.
type WireFlags struct {
	IsAuthenticated bool `json:"is-authenticated"`
	IsRouted        bool `json:"is-routed"`
	IsSystemTest    bool `json:"is-system-test"`
	IsTestMode      bool `json:"is-test-mode"`
}

// A WireMessage tells which message the event is about.
type WireMessage struct {
	Headers      WireHeaders  `json:"headers"`
	Attachments  []Attachment `json:"attachments"`
	Recipients   []string     `json:"recipients"`
	Size         int64        `json:"size"`
	ScheduledFor int64        `json:"scheduled-for,omitempty"` // seconds since 1970
}

// WireHeaders are the header fields that events repeat.
type WireHeaders struct {
	To        string `json:"to"`
	From      string `json:"from"`
	Subject   string `json:"subject"`
	MessageID string `json:"message-id"` // without angle brackets
}

// A WireGeolocation tells where a client is. We have no database of addresses, and ask
// nobody about people, so it says Unknown three times, as the API does for addresses it
// does not know.
type WireGeolocation struct {
	Country string `json:"country"`
	Region  string `json:"region"`
	City    string `json:"city"`
}

// unknownPlace is the value of every part of a WireGeolocation.
const unknownPlace = "Unknown"

// A WireStorage tells where the message can be fetched.
type WireStorage struct {
	URL    string `json:"url"`
	Key    string `json:"key"`
	Region string `json:"region"`
	Env    string `json:"env"`
}

// Render returns the record as it is shown to users. base is the public address
// of the API without a slash at its end. The result shares memory with r and m.
func Render(r *Record, m *Meta, base string) Wire {
	w := Wire{
		Event:          r.Type.String(),
		ID:             r.ID.String(),
		Timestamp:      Timestamp(r.Time),
		LogLevel:       r.Type.LogLevel(),
		Severity:       r.Type.Severity(),
		Reason:         r.Data.Reason,
		Recipient:      r.Recipient,
		Flags:          WireFlags{IsAuthenticated: m.Authenticated, IsTestMode: m.TestMode},
		DeliveryStatus: r.Data.Status,
		Reject:         r.Data.Reject,
		Message: WireMessage{
			Headers:     WireHeaders{To: shownTo(m.To), From: m.From, Subject: m.Subject, MessageID: m.MessageID},
			Attachments: nonNil(m.Attachments),
			Recipients:  shownRecipients(m.Recipients, r.Recipient),
			Size:        m.Size,
		},
		Tags:          nonNil(m.Tags),
		Campaigns:     []string{},
		Template:      m.Template,
		MailingList:   m.MailingList,
		UserVariables: shownVariables(m.Variables),
	}
	if !m.ScheduledFor.IsZero() {
		w.Message.ScheduledFor = m.ScheduledFor.Unix()
	}
	if r.Type == Accepted {
		w.Method, w.OriginatingIP, w.APIKeyID = m.Method, m.OriginIP, m.KeyID
	}
	if v := r.Data.Visit; v != nil {
		w.URL, w.IP, w.ClientInfo = v.URL, v.IP, &v.Client
		w.Geolocation = &WireGeolocation{unknownPlace, unknownPlace, unknownPlace}
	}
	if r.Recipient != "" {
		w.RecipientDomain = r.Recipient[strings.LastIndexByte(r.Recipient, '@')+1:]
		w.Envelope = &WireEnvelope{Sender: m.Sender, Transport: "smtp", Targets: r.Recipient, SendingIP: r.Data.SendingIP}
	}
	if r.Type != Rejected && r.Message != 0 {
		key := r.Message.String()
		w.Storage = &WireStorage{URL: StorageURL(base, m.Domain, r.Message), Key: key, Region: "local", Env: "production"}
	}
	return w
}

// StorageURL returns the address of a stored message of the sending domain.
func StorageURL(base, domain string, message mail.ID) string {
	return base + "/v3/domains/" + domain + "/messages/" + message.String()
}

// shownVariables returns the variables within the limit of an event, by name.
// Values beyond it are cut, and then left out.
func shownVariables(vars map[string]string) map[string]string {
	left := maxVariables
	for name, value := range vars {
		left -= len(name) + len(value)
	}
	if left >= 0 && vars != nil {
		return vars
	}
	shown := make(map[string]string, len(vars))
	left = maxVariables
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if left -= len(name); left <= 0 {
			break
		}
		value := vars[name]
		if len(value) > left {
			value = strings.ToValidUTF8(value[:left], "")
		}
		shown[name] = value
		left -= len(value)
	}
	return shown
}

// shownRecipients returns the first recipients of a message, within the limit of an event, with the event's
// own among them: it takes the place of the last.
func shownRecipients(all []string, own string) []string {
	if len(all) <= maxRecipients {
		return nonNil(all)
	}
	shown := slices.Clone(all[:maxRecipients])
	if own != "" && !slices.Contains(shown, own) {
		shown[maxRecipients-1] = own
	}
	return shown
}

// shownTo cuts a To field with very many recipients behind one of them.
func shownTo(to string) string {
	if len(to) <= maxTo {
		return to
	}
	cut := strings.LastIndex(to[:maxTo], ", ")
	if cut < 0 {
		return strings.ToValidUTF8(to[:maxTo], "")
	}
	return to[:cut] + ", …"
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
