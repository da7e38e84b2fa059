package suppressions

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A list is one of the four, with what its calls say.
type list struct {
	store.SuppressionList
	added    func(s store.Suppression) any // of one
	addedAll string                        // of n
	missing  string
	removed  func(value string) any // of one
	cleared  string
	item     func(s store.Suppression) any
}

// An about is an answer about one address.
type about struct {
	Address string `json:"address"`
	Message string `json:"message"`
}

// A bounceItem is an entry of the bounces. The code is text, as clients know it.
type bounceItem struct {
	Address   string `json:"address"`
	Code      string `json:"code"`
	Error     string `json:"error"`
	CreatedAt string `json:"created_at"`
}

type unsubscribeItem struct {
	Address   string   `json:"address"`
	Tags      []string `json:"tags"`
	CreatedAt string   `json:"created_at"`
}

type complaintItem struct {
	Address   string `json:"address"`
	CreatedAt string `json:"created_at"`
}

// An allowedItem is an entry of the allowlist; its date is spelled unlike the others'.
type allowedItem struct {
	Value     string `json:"value"`
	Type      string `json:"type"` // domain or address
	Reason    string `json:"reason"`
	CreatedAt string `json:"createdAt"`
}

type allowedAnswer struct {
	Message string `json:"message"`
	Type    string `json:"type,omitempty"`
	Value   string `json:"value"`
}

// lists returns the table.
func lists() []list {
	added := func(table string) func(store.Suppression) any {
		return func(s store.Suppression) any {
			return about{s.Value, fmt.Sprintf("Address has been added to the %s table", table)}
		}
	}
	removed := func(message string) func(string) any {
		return func(value string) any { return about{value, message} }
	}
	return []list{
		{
			SuppressionList: store.Bounces,
			added:           added("bounces"),
			addedAll:        "%d addresses have been added to the bounces table",
			missing:         "Address not found in bounces table",
			removed:         removed("Bounced address has been removed"),
			cleared:         "Bounced addresses for this domain have been removed",
			item:            func(s store.Suppression) any { return bounceItem{s.Value, s.Code, s.Text, door.UTC(s.Created)} },
		},
		{
			SuppressionList: store.Unsubscribes,
			added:           added("unsubscribes"),
			addedAll:        "%d addresses have been added to the unsubscribes table",
			missing:         "Address not found in unsubscribers table",
			removed:         removed("Unsubscribe event has been removed"),
			cleared:         "Unsubscribe addresses for this domain have been removed",
			item:            func(s store.Suppression) any { return unsubscribeItem{s.Value, s.Tags, door.UTC(s.Created)} },
		},
		{
			SuppressionList: store.Complaints,
			added:           added("complaints"),
			addedAll:        "%d complaint addresses have been added to the complaints table",
			missing:         "No spam complaints found for this address",
			removed:         removed("Spam complaint has been removed"),
			cleared:         "Complaint addresses for this domain have been removed",
			item:            func(s store.Suppression) any { return complaintItem{s.Value, door.UTC(s.Created)} },
		},
		{
			SuppressionList: store.Allowlist,
			added: func(s store.Suppression) any {
				return allowedAnswer{"Address/Domain has been added to the whitelists table", typeOf(s.Value), s.Value}
			},
			addedAll: "%d addresses/domains have been added to the whitelists table",
			missing:  "Address/Domain not found in whitelists table",
			removed: func(value string) any {
				return allowedAnswer{Message: "Whitelist address/domain has been removed", Value: value}
			},
			cleared: "Whitelist addresses/domains for this domain have been removed",
			item: func(s store.Suppression) any {
				return allowedItem{s.Value, typeOf(s.Value), s.Text, door.UTC(s.Created)}
			},
		},
	}
}
