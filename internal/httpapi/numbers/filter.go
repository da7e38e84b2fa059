package numbers

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

// totalDomains answers with one bucket for each domain, of the span that a moment is in.
func (s *Surface) totalDomains(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if p.Get("timestamp") == "" {
		return door.BadRequest("Missing mandatory parameter: timestamp")
	}
	at, err := door.ParseDate(p.Get("timestamp"))
	if err != nil {
		return door.BadRequest("'timestamp' parameter: %s", err)
	}
	q := question{Params: p}
	if q.events, err = events(p); err != nil {
		return err
	}
	if q.window, err = window(door.Params{Values: map[string][]string{"resolution": p.Values["resolution"]}}, at); err != nil {
		return err
	}
	q.window.Start = at
	limit, err := p.Number("limit", 1, 100)
	if err != nil {
		return err
	}
	skip, err := p.Number("skip", 0, 0)
	if err != nil {
		return err
	}
	domains, err := s.mine(r, false)
	if err != nil {
		return err
	}
	a, err := s.grouped(r, q, domains, tally.Domain, nil)
	if err != nil {
		return err
	}
	a.Stats = cut(a.Stats, skip, min(limit, 1000))
	return door.Reply(w, a)
}

// cut returns a page of a list.
func cut[T any](list []T, skip, limit int) []T {
	list = list[min(skip, len(list)):]
	return list[:min(limit, len(list))]
}

// filterStats answers with the totals of what a filter picks, by time or by another group.
func (s *Surface) filterStats(w http.ResponseWriter, r *door.Request) error {
	q, err := parseQuestion(r)
	if err != nil {
		return err
	}
	where, err := parseFilter(q.Values["filter"])
	if err != nil {
		return err
	}
	domains, err := s.mine(r, false)
	if err != nil {
		return err
	}
	group := strings.ToLower(strings.TrimSpace(q.Get("group")))
	var a *stats
	switch group {
	case "", "time":
		a, err = s.overTime(r, q, domains, where)
	case "hour", "day", "month":
		q.window.Resolution = tally.Resolution(group)
		a, err = s.overTime(r, q, domains, where)
	case "total":
		a, err = s.allTogether(r, q, domains, where)
	default:
		by, ok := filterDimension(group)
		if !ok {
			return door.BadRequest("'group' parameter must be one of: total, time, day, month, domain, ip, provider, tag, country, device, subaccount")
		}
		a, err = s.grouped(r, q, domains, by, where)
	}
	if err != nil {
		return err
	}
	return door.Reply(w, a)
}

// allTogether answers a question with one bucket.
func (s *Surface) allTogether(r *door.Request, q question, domains []store.Domain, where []tally.Condition) (*stats, error) {
	rows, err := s.book.Rows(r.Context(), tally.Query{Domains: domains, Conditions: where, Window: q.window})
	if err != nil {
		return nil, asked(err)
	}
	a, sums := newStats(q.window), &tally.Sums{}
	if len(rows) > 0 {
		sums = &rows[0].Sums
	}
	b := bucket{Time: a.Start}
	b.fill(q.events, sums)
	a.Stats = append(a.Stats, b)
	return a, nil
}

// filterDimension returns what a word of the filter call names.
func filterDimension(word string) (tally.Dimension, bool) {
	switch word {
	case "domain":
		return tally.Domain, true
	case "ip":
		return tally.IP, true
	case "provider":
		return tally.RecipientProvider, true
	case "tag":
		return tally.Tag, true
	case "country":
		return tally.Country, true
	case "device":
		return tally.Device, true
	case "subaccount":
		return tally.Subaccount, true
	}
	return "", false
}

// maxFilter is the most terms of a filter.
const maxFilter = 20

// parseFilter reads terms such as domain:example.com, joined by AND or given one by one. All
// must hold, but terms of one kind next to each other, joined by OR, need not all.
func parseFilter(values []string) ([]tally.Condition, error) {
	var where []tally.Condition
	terms := 0
	for _, v := range values {
		for part := range strings.SplitSeq(v, " AND ") {
			if strings.TrimSpace(part) == "" {
				continue
			}
			var c tally.Condition
			for term := range strings.SplitSeq(part, " OR ") {
				kind, value, ok := strings.Cut(strings.TrimSpace(term), ":")
				dim, known := filterDimension(strings.ToLower(strings.TrimSpace(kind)))
				if value = strings.Trim(strings.TrimSpace(value), `"`); !ok || !known || value == "" || c.Dimension != "" && c.Dimension != dim {
					return nil, door.BadRequest("'filter' parameter: %s is not a term such as domain:example.com", door.Shown(term))
				}
				if terms++; terms > maxFilter {
					return nil, door.BadRequest("'filter' parameter has more than %d terms", maxFilter)
				}
				c.Dimension = dim
				c.Values = append(c.Values, value)
			}
			where = append(where, c)
		}
	}
	return where, nil
}

// oldItem is a day's number of one event, as the first statistics of the API showed it.
type oldItem struct {
	ID        string         `json:"id"`
	Event     string         `json:"event"`
	CreatedAt string         `json:"created_at"`
	Total     int64          `json:"total_count"`
	Tags      map[string]int `json:"tags"`
}

// oldDays is how far back the old statistics reach that do not say.
const oldDays = 30

// oldStats lists the numbers of each day and event, newest first, as the first version of the
// statistics showed them.
func (s *Surface) oldStats(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, err := p.Number("limit", 1, 100)
	if err != nil {
		return err
	}
	skip, err := p.Number("skip", 0, 0)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	win := tally.Window{Start: now.AddDate(0, 0, -oldDays), End: now, Resolution: tally.Day}
	if d := p.Get("start-date"); d != "" {
		if win.Start, err = time.Parse(time.DateOnly, d); err != nil || win.Start.After(now) {
			return door.BadRequest("'start-date' parameter must be a day such as 2006-01-02, and not in the future")
		}
	}
	rows, err := s.book.Rows(r.Context(), tally.Query{Domains: []store.Domain{r.Domain}, Dimensions: []tally.Dimension{tally.Time}, Window: win})
	if err != nil {
		return asked(err)
	}
	items := []oldItem{}
	for _, row := range slices.Backward(rows) {
		items = append(items, oldItems(r.Domain.Name, &row, p.Values["event"])...)
	}
	return door.Reply(w, struct {
		Items []oldItem `json:"items"`
		Total int       `json:"total_count"`
	}{cut(items, skip, min(limit, 1000)), len(items)})
}

// oldItems returns the numbers of a day that are not zero, of the named events, or all.
func oldItems(domain string, row *tally.Row, names []string) []oldItem {
	s := &row.Sums
	var items []oldItem
	for _, e := range []struct {
		name string
		n    int64
	}{
		{"sent", s[store.AcceptedOutgoing]}, {"accepted", s.Of(store.AcceptedIncoming, store.AcceptedOutgoing)}, {"delivered", s.Delivered()},
		{"bounced", s.Bounced()}, {"dropped", s.Suppressed()}, {"failed", s.Failed()}, {"opened", s[store.Opened]}, {"clicked", s[store.Clicked]},
		{"unsubscribed", s[store.Unsubscribed]}, {"complained", s[store.Complained]}, {"stored", s[store.StoredMessages]},
	} {
		if e.n == 0 || len(names) > 0 && !slices.Contains(names, e.name) {
			continue
		}
		sum := sha256.Sum256([]byte(domain + row.Bucket.Format(time.DateOnly) + e.name))
		items = append(items, oldItem{ID: hex.EncodeToString(sum[:12]), Event: e.name, CreatedAt: door.GMT(row.Bucket), Total: e.n, Tags: map[string]int{}})
	}
	return items
}
