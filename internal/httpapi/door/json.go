package door

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/strictjson"
)

// JSON reads a body of at most limit octets as one JSON value into v; limit 0 is 1 MiB.
// Unknown keys are passed over. A key given twice, be it in another letter case, nesting beyond a limit, invalid UTF-8
// and anything behind the value are a Problem (SEC-26). An empty body leaves v alone.
func (r *Request) JSON(limit int64, v any) error {
	if limit == 0 {
		limit = maxSmallBody
	}
	raw, err := inflated(r.Request, &limitedReader{r: r.Body, left: limit}, limit)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(raw)
	if err != nil {
		return bodyError(err)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) {
		return BadRequest("unable to parse request: the body is not UTF-8")
	}
	if err := strictjson.CheckFields(string(body)); err != nil {
		return BadRequest("unable to parse request: %s", Shown(err.Error()))
	}
	if err := json.Unmarshal(body, v); err != nil {
		var typ *json.UnmarshalTypeError
		switch {
		case errors.As(err, &typ) && typ.Field == "":
			return BadRequest("unable to parse request: the body must be a JSON object")
		case errors.As(err, &typ):
			return BadRequest("unable to parse request: '%s' must not be a %s", Shown(typ.Field), Shown(typ.Value))
		}
		return BadRequest("unable to parse request: invalid JSON")
	}
	return nil
}

// IsJSON reports whether the body says that it is JSON.
func (r *Request) IsJSON() bool {
	return mediaType(r.Header.Get("Content-Type")) == "application/json" && r.Method != http.MethodGet
}
