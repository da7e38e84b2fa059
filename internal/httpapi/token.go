package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"

	"github.com/sealpost/sealpost/internal/event/filter"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
)

// maxSearch is the length of all filter expressions of a search in octets; it
// keeps the token, which carries them, within a URL that every client can send.
const maxSearch = 4 << 10

// A search is a question about events, without a position in its answer.
type search struct {
	Filters   url.Values `json:"f,omitempty"`
	From      int64      `json:"b,omitempty"` // microseconds since 1970, included; 0: open
	To        int64      `json:"e,omitempty"`
	Ascending bool       `json:"a,omitempty"`
	Limit     int        `json:"l"`
}

// A position is where in a search's answer a page begins. The zero value is the
// first page.
type position struct {
	At   mail.ID `json:"i,omitempty"` // forward: pages begin beyond it; back: they end with it
	Back bool    `json:"r,omitempty"`
	Last bool    `json:"z,omitempty"` // back from the end
}

// A cursor is a page of a search. It travels in links, as one path segment.
type cursor struct {
	search
	At position
}

// wireCursor is a cursor as its token spells it.
type wireCursor struct {
	search
	At position `json:"p"`
}

// token returns the cursor as text that is safe in a URL. It is no secret and
// proves nothing: it holds no more than a client may ask anyway.
func (c cursor) token() string {
	b, err := json.Marshal(wireCursor(c))
	if err != nil {
		panic("httpapi: encode cursor: " + err.Error()) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseToken reads what token wrote. A token is foreign text like any other.
func parseToken(s string) (cursor, error) {
	bad := door.BadRequest("the page token is not valid")
	if len(s) > 4*maxSearch {
		return cursor{}, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return cursor{}, bad
	}
	var c wireCursor
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil || dec.More() {
		return cursor{}, bad
	}
	if c.Limit < 1 || c.Limit > maxEvents || c.At.At < 0 || c.At.At > 1<<63-2 ||
		c.From < 0 || c.To < 0 || c.From > door.MaxEpoch*1e6 || c.To > door.MaxEpoch*1e6 || c.At.Last && !c.At.Back {
		return cursor{}, bad
	}
	if err := checkFilters(c.Filters); err != nil {
		return cursor{}, bad
	}
	return cursor(c), nil
}

// parseSearch reads the parameters of a new search.
func parseSearch(p door.Params) (search, error) {
	s := search{Filters: url.Values{}}
	for _, name := range filter.Fields() {
		if vs := p.Values[name]; len(vs) > 0 {
			s.Filters[name] = vs
		}
	}
	if err := checkFilters(s.Filters); err != nil {
		return s, err
	}
	var err error
	if s.Limit, err = p.Number("limit", 1, defaultEvents); err != nil {
		return s, err
	}
	s.Limit = min(s.Limit, maxEvents)
	return s, s.setRange(p)
}

func checkFilters(filters url.Values) error {
	size := 0
	for name, vs := range filters {
		size += len(name)
		for _, v := range vs {
			size += len(v) + 1
		}
	}
	if size > maxSearch {
		return door.BadRequest("the filters of a search are limited to %d octets", maxSearch)
	}
	if _, err := filter.Parse(filters); err != nil {
		return door.BadRequest("%s", err)
	}
	return nil
}

// setRange reads begin, end and ascending. A search goes from begin to end, so
// that their order is its direction. With begin alone, ascending says which way; if it
// says nothing the newest events since begin come first, and without begin
// and end the newest of all.
func (s *search) setRange(p door.Params) error {
	begin, err := moment(p, "begin")
	if err != nil {
		return err
	}
	end, err := moment(p, "end")
	if err != nil {
		return err
	}
	asc, err := p.Flag("ascending")
	if err != nil {
		return err
	}
	s.From, s.To, s.Ascending = begin, end, asc.Bool()
	switch {
	case begin != 0 && end != 0:
		down := end < begin
		if asc != mail.Unset && begin != end && asc.Bool() == down {
			return door.BadRequest("'ascending' parameter disagrees with the order of 'begin' and 'end'")
		}
		if begin != end {
			s.Ascending = !down
		}
		s.From, s.To = min(begin, end), max(begin, end)
	case begin != 0 && asc == mail.False:
		s.From, s.To = 0, begin
	}
	return nil
}

// moment reads a date as microseconds since 1970; 0 if it is absent.
func moment(p door.Params, name string) (int64, error) {
	v := p.Get(name)
	if v == "" {
		return 0, nil
	}
	t, err := door.ParseDate(v)
	if err != nil {
		return 0, door.BadRequest("'%s' parameter: %s", name, err)
	}
	return max(t.UnixMicro(), 1), nil
}
