package numbers

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

// maxAccountTags bounds the tags of all of an account's domains that one call looks at.
const maxAccountTags = 200_000

// A tagsRequest asks for the tags of an account.
type tagsRequest struct {
	Pagination struct {
		Sort  string `json:"sort"`
		Skip  int    `json:"skip"`
		Limit int    `json:"limit"`
		Total bool   `json:"include_total"`
	} `json:"pagination"`
	Tag     string `json:"tag"`
	Sub     bool   `json:"include_subaccounts"`
	Metrics bool   `json:"include_metrics"`
}

// parseTagsRequest reads the request, as JSON or as a form whose names have the
// structure: pagination[sort].
func parseTagsRequest(r *door.Request) (tagsRequest, error) {
	var q tagsRequest
	if r.IsJSON() {
		if err := r.JSON(0, &q); err != nil {
			return q, err
		}
	} else if err := q.fromForm(r); err != nil {
		return q, err
	}
	p := &q.Pagination
	p.Sort, p.Limit = cmp.Or(strings.ToLower(p.Sort), "lastseen:desc"), cmp.Or(p.Limit, defaultTags)
	if p.Skip < 0 || p.Limit < 1 || p.Limit > maxTags {
		return q, door.BadRequest("'pagination' attribute is invalid: skip must not be negative, and limit is 1 to %d", maxTags)
	}
	if _, ok := tagOrder(p.Sort); !ok {
		return q, door.BadRequest("'sort' attribute is invalid")
	}
	return q, nil
}

func (q *tagsRequest) fromForm(r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	in := func(name string) string {
		if p.Get("pagination["+name+"]") != "" {
			return "pagination[" + name + "]"
		}
		return name
	}
	q.Tag, q.Pagination.Sort = p.Get("tag"), p.Get(in("sort"))
	if q.Pagination.Skip, err = p.Number(in("skip"), 0, 0); err != nil {
		return err
	}
	if q.Pagination.Limit, err = p.Number(in("limit"), 1, 0); err != nil {
		return err
	}
	for name, into := range map[string]*bool{in("include_total"): &q.Pagination.Total, "include_subaccounts": &q.Sub, "include_metrics": &q.Metrics} {
		flag, err := p.Flag(name)
		if err != nil {
			return err
		}
		*into = flag.Bool()
	}
	return nil
}

// An accountTag is a tag of an account: what its domains have under one name.
type accountTag struct {
	Account     string         `json:"account_id"`
	Parent      string         `json:"parent_account_id"`
	Tag         string         `json:"tag"`
	Description string         `json:"description"`
	FirstSeen   string         `json:"first_seen"`
	LastSeen    string         `json:"last_seen"`
	Metrics     map[string]any `json:"metrics"`
	AccountName string         `json:"account_name"`

	account     int64
	first, last time.Time
	name        string
}

// tagOrder returns the order that a sort asks for.
func tagOrder(sort string) (func(a, b *accountTag) int, bool) {
	column, direction, _ := strings.Cut(sort, ":")
	var by func(a, b *accountTag) int
	switch column {
	case "lastseen", "last_seen":
		by = func(a, b *accountTag) int { return a.last.Compare(b.last) }
	case "firstseen", "first_seen":
		by = func(a, b *accountTag) int { return a.first.Compare(b.first) }
	case "tag":
		by = func(a, b *accountTag) int { return cmp.Compare(a.name, b.name) }
	default:
		return nil, false
	}
	stable := func(a, b *accountTag) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.account, b.account))
	}
	switch direction {
	case "", "asc":
		return func(a, b *accountTag) int { return cmp.Or(by(a, b), stable(a, b)) }, true
	case "desc":
		return func(a, b *accountTag) int { return cmp.Or(by(b, a), stable(a, b)) }, true
	}
	return nil, false
}

// listAccountTags lists the tags of an account, a page at a time.
func (s *Surface) listAccountTags(w http.ResponseWriter, r *door.Request) error {
	q, err := parseTagsRequest(r)
	if err != nil {
		return err
	}
	domains, err := s.mine(r, q.Sub)
	if err != nil {
		return err
	}
	tags, err := s.accountTags(r, domains, q.Tag)
	if err != nil {
		return err
	}
	order, _ := tagOrder(q.Pagination.Sort) // which was checked
	slices.SortFunc(tags, order)
	page := cut(tags, q.Pagination.Skip, q.Pagination.Limit)
	if q.Metrics {
		if err := s.addMetrics(r, domains, page); err != nil {
			return err
		}
	}
	type pagination struct {
		Sort  string `json:"sort"`
		Skip  int    `json:"skip"`
		Limit int    `json:"limit"`
		Total *int   `json:"total,omitempty"`
	}
	p := pagination{Sort: q.Pagination.Sort, Skip: q.Pagination.Skip, Limit: q.Pagination.Limit}
	if total := len(tags); q.Pagination.Total {
		p.Total = &total
	}
	return door.Reply(w, struct {
		Items      []*accountTag `json:"items"`
		Pagination pagination    `json:"pagination"`
	}{page, p})
}

// accountTags puts the tags of the domains together that contain a word.
func (s *Surface) accountTags(r *door.Request, domains []store.Domain, word string) ([]*accountTag, error) {
	type key struct {
		account int64
		name    string
	}
	word = tally.TagName(word)
	tags := map[key]*accountTag{}
	for i := range domains {
		d := &domains[i]
		list, err := s.numbers.Series(r.Context(), store.SeriesQuery{DomainID: d.ID, View: store.ViewTag, Limit: store.MaxTags})
		if err != nil {
			return nil, err
		}
		for j := range list {
			t := &list[j]
			if !strings.Contains(t.Name, word) {
				continue
			}
			k := key{d.AccountID, t.Name}
			if tags[k] == nil {
				if len(tags) == maxAccountTags {
					return nil, door.BadRequest("the account has more than %d tags: ask for the tags of a domain", maxAccountTags)
				}
				tags[k] = &accountTag{
					Account: strconv.FormatInt(d.AccountID, 10), account: d.AccountID, Tag: t.Shown, name: t.Name,
					first: t.FirstSeen, last: t.LastSeen, Metrics: map[string]any{},
				}
				if d.AccountID != store.PrimaryAccount {
					tags[k].Parent = strconv.FormatInt(store.PrimaryAccount, 10)
				}
			}
			tags[k].add(t)
		}
	}
	return slices.AppendSeq(make([]*accountTag, 0, len(tags)), maps.Values(tags)), nil
}

// add puts what a domain has under the name to the rest.
func (t *accountTag) add(s *store.Series) {
	if s.FirstSeen.Before(t.first) {
		t.first = s.FirstSeen
	}
	if s.LastSeen.After(t.last) {
		t.last = s.LastSeen
	}
	t.Description = cmp.Or(t.Description, s.Description)
	t.FirstSeen, t.LastSeen = door.PlusZero(t.first), door.PlusZero(t.last)
}

// addMetrics fills in the numbers of all time of some tags.
func (s *Surface) addMetrics(r *door.Request, domains []store.Domain, tags []*accountTag) error {
	for part := range slices.Chunk(tags, 100) {
		where := tally.Condition{Dimension: tally.Tag}
		for _, t := range part {
			where.Values = append(where.Values, t.name)
		}
		rows, err := s.book.Rows(r.Context(), tally.Query{
			Domains: domains, Dimensions: []tally.Dimension{tally.Tag, tally.Subaccount}, Conditions: []tally.Condition{where},
			Window: tally.Window{Start: time.Unix(0, 0), End: time.Now(), Resolution: tally.Day},
		})
		if err != nil {
			return asked(err)
		}
		for i := range rows {
			for _, t := range part {
				if t.name == rows[i].Values[0].Key && t.Account == rows[i].Values[1].Key {
					t.Metrics = allMetrics(&rows[i].Sums)
				}
			}
		}
	}
	return nil
}

func allMetrics(s *tally.Sums) map[string]any {
	m := map[string]any{}
	for _, metric := range tally.Metrics() {
		m[metric.Name] = metric.JSON(s)
	}
	return m
}

// A tagChange names a tag of an account, and what to make of it.
type tagChange struct {
	Tag         string `json:"tag"`
	Description string `json:"description"`
}

// parseTagChange reads a change from JSON, a form or the query.
func parseTagChange(r *door.Request) (tagChange, error) {
	var c tagChange
	if r.IsJSON() {
		if err := r.JSON(0, &c); err != nil {
			return c, err
		}
	}
	if c.Tag == "" {
		p, err := tagParams(r)
		if err != nil {
			return c, err
		}
		c = tagChange{p.Get("tag"), cmp.Or(c.Description, p.Get("description"))}
	}
	c.Tag = tally.TagName(c.Tag)
	if c.Tag == "" {
		return c, door.BadRequest("'tag' attribute is required")
	}
	if len(c.Tag) > maxTag {
		return c, errNoTag
	}
	return c, nil
}

// tagParams reads the query, and the body where it is not JSON.
func tagParams(r *door.Request) (door.Params, error) {
	if r.IsJSON() {
		return door.Params{Values: r.URL.Query()}, nil
	}
	return r.Params()
}

// updateAccountTag describes a tag in every domain that has it.
func (s *Surface) updateAccountTag(w http.ResponseWriter, r *door.Request) error {
	c, err := parseTagChange(r)
	if err != nil {
		return err
	}
	err = s.eachDomain(r, func(d *store.Domain) error {
		return s.describe(r, store.SeriesKey{DomainID: d.ID, View: store.ViewTag, Name: c.Tag}, c.Description)
	})
	if err != nil {
		return err
	}
	return door.Say(w, "Tag updated")
}

// deleteAccountTag forgets a tag in every domain that has it.
func (s *Surface) deleteAccountTag(w http.ResponseWriter, r *door.Request) error {
	c, err := parseTagChange(r)
	if err != nil {
		return err
	}
	err = s.eachDomain(r, func(d *store.Domain) error {
		return door.Missing(s.numbers.DeleteSeries(r.Context(), d.ID, store.ViewTag, c.Tag), errNoTag)
	})
	if err != nil {
		return err
	}
	return door.Say(w, "Tag deleted")
}

// eachDomain changes something of every domain of the caller. It is not there if it is in
// none of them.
func (s *Surface) eachDomain(r *door.Request, change func(*store.Domain) error) error {
	domains, err := s.mine(r, false)
	if err != nil {
		return err
	}
	found := false
	for i := range domains {
		switch err := change(&domains[i]); {
		case errors.Is(err, errNoTag):
		case err != nil:
			return err
		default:
			found = true
		}
	}
	if !found {
		return errNoTag
	}
	return nil
}

// accountTagLimit tells how many tags an account's domains have and may have.
func (s *Surface) accountTagLimit(w http.ResponseWriter, r *door.Request) error {
	domains, err := s.mine(r, false)
	if err != nil {
		return err
	}
	count, reached := 0, false
	for i := range domains {
		n, err := s.numbers.CountSeries(r.Context(), domains[i].ID, store.ViewTag)
		if err != nil {
			return err
		}
		count, reached = count+n, reached || n >= store.MaxTags
	}
	return door.Reply(w, struct {
		Limit   int  `json:"limit"`
		Count   int  `json:"count"`
		Reached bool `json:"limit_reached"`
	}{store.MaxTags * max(1, len(domains)), count, reached})
}
