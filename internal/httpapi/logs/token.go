package logs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/predicate"
	"github.com/sealpost/sealpost/internal/mail"
)

// A position is where in an answer a page begins. The zero value is the first page.
type position struct {
	At   mail.ID `json:"i,omitempty"` // pages begin beyond it
	Back bool    `json:"r,omitempty"` // the page goes the other way, and is shown turned around
}

// A cursor is a page of a search.
type cursor struct {
	search
	At position `json:"p"`
}

// token returns the cursor as text. It is no secret and proves nothing: it holds no more than
// a client may ask anyway.
func (c cursor) token() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("logs: encode cursor: " + err.Error()) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseToken reads what token wrote. A token is foreign text like any other.
func parseToken(s string) (cursor, error) {
	bad := door.BadRequest("'token' attribute is invalid")
	if len(s) > 4*maxSearch {
		return cursor{}, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return cursor{}, bad
	}
	var c cursor
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil || dec.More() {
		return cursor{}, bad
	}
	if c.Limit < 1 || c.Limit > maxItems || c.At.At < 0 || c.From < 0 || c.To < c.From || c.To > door.MaxEpoch*1e6 ||
		len(c.Types) > 2*maxEvents || slices.ContainsFunc(c.Types, func(t event.Type) bool { return t > event.Stored }) || len(c.Where) > predicate.Max {
		return cursor{}, bad
	}
	for i := range c.Where {
		w := &c.Where[i]
		if name, ok := attributeNamed(w.Attribute); !ok || name != w.Attribute || len(w.Values) == 0 || len(w.Values) > predicate.MaxValues {
			return cursor{}, bad
		}
		for j, v := range w.Values {
			w.Values[j] = comparable(w.Attribute, v)
		}
	}
	if c.check() != nil {
		return cursor{}, bad
	}
	return c, nil
}
