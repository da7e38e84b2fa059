package logs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/store"
)

// attributeNamed returns an attribute that conditions may be on, under the one of its names
// that is used here.
func attributeNamed(name string) (string, bool) {
	switch n := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "-", "_"); n {
	case "event", "domain", "subaccount", "tag", "recipient", "recipient_domain", "message_id", "subject", "from", "to", "severity", "reason", "ip", "method":
		return n, true
	case "tags":
		return "tag", true
	case "domain.name":
		return "domain", true
	case "account", "account.id":
		return "subaccount", true
	case "message.headers.message_id":
		return "message_id", true
	case "message.headers.subject":
		return "subject", true
	case "message.headers.from":
		return "from", true
	case "message.headers.to":
		return "to", true
	case "envelope.sending_ip", "sending_ip":
		return "ip", true
	}
	return "", false
}

// comparable returns a value as it is compared: without letter case, except for a
// Message-ID, which also loses its angle brackets.
func comparable(attribute, value string) string {
	value = strings.TrimSpace(value)
	if attribute == "message_id" {
		return strings.TrimSuffix(strings.TrimPrefix(value, "<"), ">")
	}
	return strings.ToLower(value)
}

// values returns what an event has of an attribute.
func values(attribute string, r *event.Record, m *event.Meta) []string {
	one := func(s string) []string { return []string{comparable(attribute, s)} }
	switch attribute {
	case "event":
		return one(r.Type.String())
	case "tag":
		list := make([]string, len(m.Tags))
		for i, t := range m.Tags {
			list[i] = comparable(attribute, t)
		}
		return list
	case "recipient":
		return one(r.Recipient)
	case "recipient_domain":
		return one(r.Recipient[strings.LastIndexByte(r.Recipient, '@')+1:])
	case "message_id":
		return one(m.MessageID)
	case "subject":
		return one(m.Subject)
	case "from":
		return one(m.From)
	case "to":
		return one(m.To)
	case "severity":
		return one(r.Type.Severity())
	case "reason":
		return one(r.Data.Reason)
	case "ip":
		return one(r.Data.SendingIP)
	case "method":
		return one(m.Method)
	}
	return nil
}

// holds reports whether the condition does, for an event that has these values: one of them is
// the same as one of the condition's, or contains it; with Not, none does.
func (c *condition) holds(have []string) bool {
	found := slices.ContainsFunc(have, func(h string) bool {
		return slices.ContainsFunc(c.Values, func(v string) bool { return h == v || c.Contains && strings.Contains(h, v) })
	})
	return found != c.Not
}

// ofDomain reports whether a condition is on the event's domain, not on the event.
func (c *condition) ofDomain() bool { return c.Attribute == "domain" || c.Attribute == "subaccount" }

// wantsDomain applies the conditions on domains.
func (s *search) wantsDomain(d *store.Domain) bool {
	for i := range s.Where {
		c := &s.Where[i]
		switch c.Attribute {
		case "domain":
			if !c.holds([]string{d.Name}) {
				return false
			}
		case "subaccount":
			if !c.holds([]string{strconv.FormatInt(d.AccountID, 10)}) {
				return false
			}
		}
	}
	return true
}

// matches applies the range and the conditions on events.
func (s *search) matches(r *event.Record, m *event.Meta) bool {
	if us := r.Time.UnixMicro(); us < s.From || us > s.To {
		return false
	}
	for i := range s.Where {
		if c := &s.Where[i]; !c.ofDomain() && !c.holds(values(c.Attribute, r, m)) {
			return false
		}
	}
	return true
}

// only returns the one value that an attribute must have; empty if there is no such.
func (s *search) only(attribute string) string {
	for i := range s.Where {
		if c := &s.Where[i]; c.Attribute == attribute && !c.Not && !c.Contains && len(c.Values) == 1 {
			return c.Values[0]
		}
	}
	return ""
}

// tags returns the tags that every event of the answer has.
func (s *search) tags() []string {
	var tags []string
	for i := range s.Where {
		if c := &s.Where[i]; c.Attribute == "tag" && !c.Not && !c.Contains && len(c.Values) == 1 {
			tags = append(tags, c.Values[0])
		}
	}
	return tags
}
