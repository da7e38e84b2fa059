package suppressions

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/suppression"
)

// maxJSON is the size of a JSON body: the most entries, each with a long text.
const maxJSON = 4 << 20

// readEntries reads what a call adds: a form or a JSON object with one entry, or a JSON list of
// them. many says that it is a list, of whatever length: its answer is another one.
func readEntries(r *door.Request) (entries []suppression.Fields, many bool, err error) {
	if r.IsJSON() {
		return readJSON(r)
	}
	p, err := r.Params()
	if err != nil {
		return nil, false, err
	}
	return []suppression.Fields{{
		Address: p.Get("address"), Domain: p.Get("domain"), Code: p.Get("code"), Error: p.Get("error"), Reason: p.Get("reason"),
		Tags: p.Values["tag"], Created: p.Get("created_at"),
	}}, false, nil
}

func readJSON(r *door.Request) ([]suppression.Fields, bool, error) {
	var raw json.RawMessage
	if err := r.JSON(maxJSON, &raw); err != nil {
		return nil, false, err
	}
	return parseJSON(raw)
}

// parseJSON reads a body that is valid JSON, or empty.
func parseJSON(raw []byte) (entries []suppression.Fields, many bool, err error) {
	var objects []entryJSON
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0:
		objects = make([]entryJSON, 1)
	case raw[0] == '[':
		many = true
		if err := json.Unmarshal(raw, &objects); err != nil {
			return nil, false, badJSON(err)
		}
	default:
		objects = make([]entryJSON, 1)
		if err := json.Unmarshal(raw, &objects[0]); err != nil {
			return nil, false, badJSON(err)
		}
	}
	if len(objects) > store.MaxSuppressions {
		return nil, false, door.BadRequest("Batch size should be less than %d", store.MaxSuppressions)
	}
	if len(objects) == 0 { // refused as an entry without a word would be
		objects = make([]entryJSON, 1)
	}
	for _, o := range objects {
		entries = append(entries, suppression.Fields{
			Address: string(o.Address), Domain: string(o.Domain), Code: string(o.Code), Error: string(o.Error), Reason: string(o.Reason),
			Tags: append(o.Tags, o.Tag...), Created: string(o.Created),
		})
	}
	return entries, many, nil
}

func badJSON(err error) error {
	var p *door.Problem
	if errors.As(err, &p) {
		return p
	}
	return door.BadRequest("unable to parse request: entries must be JSON objects")
}

// An entryJSON is an entry as clients write it in JSON.
type entryJSON struct {
	Address text  `json:"address"`
	Domain  text  `json:"domain"`
	Code    text  `json:"code"`
	Error   text  `json:"error"`
	Reason  text  `json:"reason"`
	Tags    texts `json:"tags"`
	Tag     texts `json:"tag"`
	Created text  `json:"created_at"`
}

// text is a string, or a number as it is written: clients send codes and dates as both.
type text string

// UnmarshalJSON reads one.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	var n json.Number
	switch {
	case string(b) == "null":
	case json.Unmarshal(b, &s) == nil:
	case b[0] != '"' && json.Unmarshal(b, &n) == nil:
		s = n.String()
	default:
		return door.BadRequest("unable to parse request: '%s' must be a string or a number", door.Shown(string(b)))
	}
	*t = text(s)
	return nil
}

// texts is a list of strings, or one of them.
type texts []string

// UnmarshalJSON reads either.
func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	var list []string
	switch {
	case string(b) == "null":
	case json.Unmarshal(b, &list) == nil:
	case json.Unmarshal(b, &one) == nil:
		list = []string{one}
	default:
		return door.BadRequest("unable to parse request: '%s' must be a list of strings", door.Shown(string(b)))
	}
	*t = list
	return nil
}
