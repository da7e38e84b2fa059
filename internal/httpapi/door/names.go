package door

import (
	"errors"
	"net/url"
	"strconv"

	"github.com/sealpost/sealpost/internal/store"
)

// A NameRange is the part of a list ordered by name that a call asks for: page is first, next,
// previous or last, and its pivot the name at which the page before ended.
type NameRange struct {
	store.NamePage
	pivot string // name of the parameter that has the pivot
	kept  url.Values
}

// Keep has the links carry a parameter on.
func (n *NameRange) Keep(name, value string) {
	if n.kept == nil {
		n.kept = url.Values{}
	}
	n.kept.Set(name, value)
}

// NameRange reads page, limit and the pivot. A limit above most is most.
func (p Params) NameRange(pivot string, otherwise, most int) (NameRange, error) {
	n := NameRange{pivot: pivot}
	limit, err := p.Number("limit", 1, otherwise)
	if err != nil {
		return n, err
	}
	n.Limit = min(limit, most)
	page, err := p.OneOf("page", "first", "next", "previous", "prev", "last")
	if err != nil {
		return n, err
	}
	switch at := p.Get(pivot); page {
	case "next":
		n.After = at
	case "previous", "prev":
		n.Before = at
	case "last":
		n.Last = true
	}
	return n, nil
}

// Links returns the links of a page from first to last, the names at its ends; both are empty if
// it has nothing, and then all links lead to where the page is. path is that of the list, escaped.
func (n NameRange) Links(r *Request, path, first, last string) Paging {
	link := func(page, at string) string {
		q := url.Values{"page": {page}, "limit": {strconv.Itoa(n.Limit)}}
		for name := range n.kept {
			q.Set(name, n.kept.Get(name))
		}
		if at != "" {
			q.Set(n.pivot, at)
		}
		return r.Base + path + "?" + q.Encode()
	}
	if first == "" {
		first, last = n.Before, n.After
		if first == "" {
			first = n.After
		}
		if last == "" {
			last = n.Before
		}
	}
	return Paging{First: link("first", ""), Last: link("last", ""), Next: link("next", last), Previous: link("previous", first)}
}

// AtLimit gives store.ErrLimit its answer, 400 with a text, and leaves other errors alone.
func AtLimit(err error, format string, args ...any) error {
	if errors.Is(err, store.ErrLimit) {
		return BadRequest(format, args...)
	}
	return err
}
