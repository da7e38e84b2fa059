package openapi

import (
	_ "embed" // for the document
	"net/http"
	"strconv"

	"github.com/sealpost/sealpost/internal/httpapi/door"
)

//go:embed openapi.json
var document []byte

// Document returns the OpenAPI document as JSON. It must not be changed.
func Document() []byte { return document }

// A Surface is the call that shows the document.
type Surface struct{}

// Routes returns the call. It needs no key: the document is the same for every server of
// this version, and tells nothing about this one.
func (Surface) Routes() []door.Route {
	return []door.Route{door.On("GET", "/v1/sealpost/openapi.json", door.Public, showDocument)}
}

// showDocument shows this API as an OpenAPI 3 document, for code generators and testing tools.
func showDocument(w http.ResponseWriter, _ *door.Request) error {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(document)))
	h.Set("Cache-Control", "max-age=3600")
	_, err := w.Write(document)
	return err
}
