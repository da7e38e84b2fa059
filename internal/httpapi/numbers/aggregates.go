package numbers

import (
	"net/http"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

// A grouping is what aggregates are grouped by.
type grouping struct {
	name, plural string
	by           tally.Dimension
	mail         bool // also of what concerns mail, not only of what its readers do
}

var (
	providers = grouping{"provider", "providers", tally.RecipientProvider, true}
	devices   = grouping{"device", "devices", tally.Device, false}
	countries = grouping{"country", "countries", tally.Country, false}
)

// aggregateSums are the numbers of a group.
type aggregateSums struct {
	Accepted      *int64 `json:"accepted,omitempty"` // of providers, as delivered
	Delivered     *int64 `json:"delivered,omitempty"`
	Opened        int64  `json:"opened"`
	UniqueOpened  int64  `json:"unique_opened"`
	Clicked       int64  `json:"clicked"`
	UniqueClicked int64  `json:"unique_clicked"`
	Unsubscribed  int64  `json:"unsubscribed"`
	Complained    int64  `json:"complained"`
}

// aggregate returns the numbers of all time by group.
func (s *Surface) aggregate(r *door.Request, by grouping, where []tally.Condition) (map[string]aggregateSums, error) {
	rows, err := s.book.Rows(r.Context(), tally.Query{
		Domains: []store.Domain{r.Domain}, Dimensions: []tally.Dimension{by.by}, Conditions: where,
		Window: tally.Window{Start: time.Unix(0, 0), End: time.Now(), Resolution: tally.Day},
	})
	if err != nil {
		return nil, asked(err)
	}
	groups := make(map[string]aggregateSums, len(rows))
	for i := range rows {
		c := &rows[i].Sums
		g := aggregateSums{
			Opened: c[store.Opened], UniqueOpened: c[store.UniqueOpened], Clicked: c[store.Clicked], UniqueClicked: c[store.UniqueClicked],
			Unsubscribed: c[store.Unsubscribed], Complained: c[store.Complained],
		}
		if by.mail {
			accepted, delivered := c.Of(store.AcceptedIncoming, store.AcceptedOutgoing), c.Delivered()
			g.Accepted, g.Delivered = &accepted, &delivered
		}
		groups[rows[i].Values[0].Key] = g
	}
	return groups, nil
}

// aggregates answers with the numbers of a domain by recipient provider, device or country.
func (s *Surface) aggregates(by grouping) func(http.ResponseWriter, *door.Request) error {
	return func(w http.ResponseWriter, r *door.Request) error {
		groups, err := s.aggregate(r, by, nil)
		if err != nil {
			return err
		}
		return door.Reply(w, struct {
			Items map[string]aggregateSums `json:"items"`
		}{groups})
	}
}

// tagAggregates answers with the numbers of a tag by recipient provider, device or country.
func (s *Surface) tagAggregates(by grouping) func(http.ResponseWriter, *door.Request) error {
	return func(w http.ResponseWriter, r *door.Request) error {
		_, tag, err := s.tagged(r)
		if err != nil {
			return err
		}
		groups, err := s.aggregate(r, by, []tally.Condition{{Dimension: tally.Tag, Values: []string{tag.Name}}})
		if err != nil {
			return err
		}
		return door.Reply(w, map[string]any{"tag": tag.Shown, by.name: groups})
	}
}

// tagAggregatesByType answers with the numbers of a tag by recipient provider, device or country,
// as the type says.
func (s *Surface) tagAggregatesByType(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	kind, err := p.OneOf("type", "provider", "providers", "device", "devices", "country", "countries")
	if err != nil {
		return err
	}
	switch kind {
	case "provider", "providers":
		return s.tagAggregates(providers)(w, r)
	case "device", "devices":
		return s.tagAggregates(devices)(w, r)
	case "country", "countries":
		return s.tagAggregates(countries)(w, r)
	}
	return door.BadRequest("Missing mandatory parameter: type")
}
