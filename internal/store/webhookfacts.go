package store

import (
	"slices"
	"strconv"
	"strings"
)

// WebhookEntries returns the entries for a change of webhooks: one for each that came to
// be, ceased or changed. Domain is their domain's name; empty for an account's own.
func WebhookEntries(before, after []Webhook, domain string) []AuditEntry {
	var list []AuditEntry
	find := func(in []Webhook, id string) *Webhook {
		if i := slices.IndexFunc(in, func(h Webhook) bool { return h.ID == id }); i >= 0 {
			return &in[i]
		}
		return nil
	}
	for i := range before {
		if find(after, before[i].ID) == nil {
			list = append(list, webhookEntry(&before[i], nil, domain))
		}
	}
	for i := range after {
		old := find(before, after[i].ID)
		if e := webhookEntry(old, &after[i], domain); len(e.Before)+len(e.After) > 0 {
			list = append(list, e)
		}
	}
	return list
}

func webhookEntry(before, after *Webhook, domain string) AuditEntry {
	e := AuditEntry{Kind: AuditWebhook, Domain: domain, Action: AuditUpdate}
	switch {
	case before == nil:
		e.Action, e.Object, e.After = AuditCreate, after.ID, webhookFacts(after)
	case after == nil:
		e.Action, e.Object, e.Before = AuditDelete, before.ID, webhookFacts(before)
	default:
		e.Object, e.Before, e.After = before.ID, webhookFacts(before), webhookFacts(after)
		for name, value := range e.Before {
			if e.After[name] == value {
				delete(e.Before, name)
				delete(e.After, name)
			}
		}
	}
	return e
}

func webhookFacts(h *Webhook) Facts {
	return Facts{"url": h.URL, "events": strings.Join(h.Kinds, ","), "description": h.Description, "account": strconv.FormatInt(h.AccountID, 10)}
}

// SigningKeyEntry returns the entry for a new signing key. The key is not shown.
func SigningKeyEntry(accountID int64, k SigningKey) AuditEntry {
	f := Facts{"key": "changed", "account": strconv.FormatInt(accountID, 10)}
	if k.Previous != "" {
		f["signs-from"] = moment(k.SignsFrom)
	}
	return AuditEntry{Action: AuditUpdate, Kind: AuditWebhook, Object: "http_signing_key", After: f}
}
