package numbers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

const (
	defaultTags = 100
	maxTags     = 1000
	// maxDescription is the length of a tag's description in octets.
	maxDescription = 4 << 10
	// maxTag is the length of a tag in octets; longer ones are not tags of any message.
	maxTag = 512
)

// errNoTag is the answer for tags that no message of the domain had.
var errNoTag = door.NotFound("Tag not found")

// A wireTag is a tag as the calls of a domain show it.
type wireTag struct {
	Tag         string    `json:"tag"`
	Description string    `json:"description"`
	FirstSeen   time.Time `json:"first-seen"` // official clients read RFC 3339 and nothing else
	LastSeen    time.Time `json:"last-seen"`
}

func newWireTag(s *store.Series) wireTag {
	return wireTag{Tag: s.Shown, Description: s.Description, FirstSeen: s.FirstSeen, LastSeen: s.LastSeen}
}

// listTags lists the tags of a domain a page at a time, by name, with links to the pages around.
func (s *Surface) listTags(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, err := p.Number("limit", 1, defaultTags)
	if err != nil {
		return err
	}
	limit = min(limit, maxTags)
	page, err := p.OneOf("page", "first", "last", "next", "prev", "previous")
	if err != nil {
		return err
	}
	pivot, prefix := tally.TagName(p.Get("tag")), tally.TagName(p.Get("prefix"))
	if len(pivot) > maxTag || len(prefix) > maxTag {
		return door.BadRequest("a tag is limited to %d octets", maxTag)
	}
	q := store.SeriesQuery{DomainID: r.Domain.ID, View: store.ViewTag, Prefix: prefix, Limit: limit}
	switch page {
	case "last":
		q.Last = true
	case "prev", "previous":
		q.Before = pivot
	case "next":
		q.After = pivot
	}
	list, err := s.numbers.Series(r.Context(), q)
	if err != nil {
		return err
	}
	items := make([]wireTag, len(list))
	for i := range list {
		items[i] = newWireTag(&list[i])
	}
	return door.Reply(w, struct {
		Items  []wireTag   `json:"items"`
		Paging door.Paging `json:"paging"`
	}{items, tagPaging(r, limit, prefix, pivot, list)})
}

// tagPaging returns the links around a page. Those of an empty page lead to where it is.
func tagPaging(r *door.Request, limit int, prefix, pivot string, list []store.Series) door.Paging {
	link := func(page, tag string) string {
		q := url.Values{"page": {page}, "limit": {strconv.Itoa(limit)}}
		if tag != "" {
			q.Set("tag", tag)
		}
		if prefix != "" {
			q.Set("prefix", prefix)
		}
		return r.Base + "/v3/" + r.Domain.Name + "/tags?" + q.Encode()
	}
	first, last := pivot, pivot
	if len(list) > 0 {
		first, last = list[0].Name, list[len(list)-1].Name
	}
	return door.Paging{First: link("first", ""), Last: link("last", ""), Next: link("next", last), Previous: link("prev", first)}
}

// tagOf returns the tag that a call names, in its path or by the parameter.
func tagOf(r *door.Request, p door.Params) (string, error) {
	tag := r.PathValue("tag")
	if tag == "" {
		tag = p.Get("tag")
	}
	name := tally.TagName(tag)
	if name == "" {
		return "", door.BadRequest("Missing mandatory parameter: tag")
	}
	if len(name) > maxTag || !utf8.ValidString(name) {
		return "", errNoTag
	}
	return name, nil
}

// findTag returns the series of a tag of the route's domain.
func (s *Surface) findTag(r *door.Request, name string) (*store.Series, error) {
	list, err := s.numbers.Series(r.Context(), store.SeriesQuery{DomainID: r.Domain.ID, View: store.ViewTag, Name: name, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errNoTag
	}
	return &list[0], nil
}

// tagged reads the parameters of a call about one tag, and finds it.
func (s *Surface) tagged(r *door.Request) (door.Params, *store.Series, error) {
	p, err := r.Params()
	if err != nil {
		return p, nil, err
	}
	name, err := tagOf(r, p)
	if err != nil {
		return p, nil, err
	}
	tag, err := s.findTag(r, name)
	return p, tag, err
}

// showTag shows a tag of the domain, with when it was first and last seen.
func (s *Surface) showTag(w http.ResponseWriter, r *door.Request) error {
	_, tag, err := s.tagged(r)
	if err != nil {
		return err
	}
	return door.Reply(w, newWireTag(tag))
}

// updateTag changes the description of a tag.
func (s *Surface) updateTag(w http.ResponseWriter, r *door.Request) error {
	p, tag, err := s.tagged(r)
	if err != nil {
		return err
	}
	if err := s.describe(r, tag.SeriesKey, p.Get("description")); err != nil {
		return err
	}
	return door.Say(w, "Tag updated")
}

func (s *Surface) describe(r *door.Request, key store.SeriesKey, description string) error {
	if len(description) > maxDescription || !utf8.ValidString(description) || strings.ContainsRune(description, 0) {
		return door.BadRequest("'description' parameter must be text of at most %d octets", maxDescription)
	}
	return door.Missing(s.numbers.DescribeSeries(r.Context(), key, description), errNoTag)
}

// deleteTag forgets a tag with its numbers. Mail that has it later begins it anew.
func (s *Surface) deleteTag(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	name, err := tagOf(r, p)
	if err != nil {
		return err
	}
	if err := s.numbers.DeleteSeries(r.Context(), r.Domain.ID, store.ViewTag, name); err != nil {
		return door.Missing(err, errNoTag)
	}
	return door.Say(w, "Tag deleted")
}

// tagLimit tells how many tags the domain has and may have.
func (s *Surface) tagLimit(w http.ResponseWriter, r *door.Request) error {
	n, err := s.numbers.CountSeries(r.Context(), r.Domain.ID, store.ViewTag)
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		ID    string `json:"id"`
		Limit int    `json:"limit"`
		Count int    `json:"count"`
	}{r.Domain.Name, store.MaxTags, n})
}

// tagStats answers with the totals of one tag.
func (s *Surface) tagStats(w http.ResponseWriter, r *door.Request) error {
	_, tag, err := s.tagged(r)
	if err != nil {
		return err
	}
	q, err := parseQuestion(r)
	if err != nil {
		return err
	}
	where := []tally.Condition{{Dimension: tally.Tag, Values: []string{tag.Name}}}
	for _, narrow := range []struct {
		name string
		dim  tally.Dimension
	}{{"provider", tally.RecipientProvider}, {"device", tally.Device}, {"country", tally.Country}} {
		if v := q.Get(narrow.name); v != "" {
			where = append(where, tally.Condition{Dimension: narrow.dim, Values: []string{v}})
		}
	}
	a, err := s.overTime(r, q, []store.Domain{r.Domain}, where)
	if err != nil {
		return err
	}
	a.Tag, a.Description = tag.Shown, tag.Description
	return door.Reply(w, a)
}
