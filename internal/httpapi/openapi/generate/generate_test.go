package generate

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

type calls struct{}

func (*calls) list(http.ResponseWriter) {}

func (calls) show(http.ResponseWriter) {}

func plain(http.ResponseWriter) {}

func made(n int) func() int { return func() int { return n } }

func TestHandlerOf(t *testing.T) {
	for want, handle := range map[string]any{"list": (&calls{}).list, "show": calls{}.show, "plain": plain, "made": made(1)} {
		if group, name := HandlerOf(handle); group != "generate" || name != want {
			t.Errorf("handler %s is %s.%s", want, group, name)
		}
	}
}

// Exchanges are read as package contract writes them.
func TestParseExchange(t *testing.T) {
	x, err := parseExchange("POST /v3/a?limit=1&limit=2\nKey: admin\nForm: multipart\n\nname=a=b\ntag[]=x\nfile@f.csv=a,b\n",
		"200\nContent-Type: application/json; charset=utf-8\n\n{\"n\": 1}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := exchange{
		method: "POST", path: "/v3/a", query: map[string][]string{"limit": {"1", "2"}}, form: map[string][]string{"name": {"a=b"}, "tag": {"x"}},
		files: []string{"file"}, status: 200, media: "application/json", answer: map[string]any{"n": json.Number("1")},
	}
	if !reflect.DeepEqual(x, want) {
		t.Errorf("got %+v", x)
	}
	x, err = parseExchange("PUT /v1/b\nContent-Type: application/json\n\n[1]\n", "302\n\n")
	if err != nil || !reflect.DeepEqual(x.request, []any{json.Number("1")}) || x.status != 302 || x.media != "" {
		t.Errorf("got %+v, %v", x, err)
	}
	for _, answer := range []string{"", "OK\n\n", "200\nContent-Type: application/json\n\n{"} {
		if _, err := parseExchange("GET /\n", answer); err == nil {
			t.Errorf("answer %q was read", answer)
		}
	}
}

func schemaOf(t *testing.T, keyed map[string]keys, examples ...string) string {
	t.Helper()
	s := newShape()
	for _, e := range examples {
		v, err := decode(e)
		if err != nil {
			t.Fatal(err)
		}
		s.add(v)
	}
	b, err := json.Marshal(s.schema(fields, keyed))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSchema(t *testing.T) {
	for _, c := range []struct {
		examples []string
		want     string
	}{
		{[]string{`1`}, `{"type":"integer"}`},
		{[]string{`1`, `1.5`}, `{"type":"number"}`},
		{[]string{`"a"`, `null`}, `{"nullable":true,"type":"string"}`},
		{[]string{`"a"`, `true`}, `{"oneOf":[{"type":"boolean"},{"type":"string"}]}`},
		{[]string{`[]`}, `{"items":{},"type":"array"}`},
		{[]string{`[1]`, `["a"]`}, `{"items":{"oneOf":[{"type":"integer"},{"type":"string"}]},"type":"array"}`},
		{[]string{`{"a":1,"b":2}`, `{"a":1}`}, `{"properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a"],"type":"object"}`},
		{[]string{`{"by":{"x@y":1,"z@y":2}}`}, `{"properties":{"by":{"additionalProperties":{"type":"integer"},"type":"object"}},"required":["by"],"type":"object"}`},
		{[]string{`{"any":{"x":1}}`}, `{"properties":{"any":{"additionalProperties":true,"type":"object"}},"required":["any"],"type":"object"}`},
	} {
		if got := schemaOf(t, map[string]keys{"by": data, "any": free}, c.examples...); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", strings.Join(c.examples, " and "), got, c.want)
		}
	}
}

func TestSentences(t *testing.T) {
	for comment, want := range map[string][2]string{
		"list lists pets. All of them.": {"Lists pets", "Lists pets. All of them."},
		"list lists pets.":              {"Lists pets", "Lists pets."},
		"":                              {"", ""},
	} {
		if summary, description := sentences("list", comment); summary != want[0] || description != want[1] {
			t.Errorf("%q: %q and %q", comment, summary, description)
		}
	}
}

func petRoutes() []Route {
	return []Route{
		{Method: "GET", Pattern: "/v3/pets", Access: "manage", Group: "pets", Handler: "list"},
		{Method: "GET", Pattern: "/v4/pets", Access: "manage", Group: "pets", Handler: "list"},
		{Method: "POST", Pattern: "/v3/pets", Access: "account", Group: "pets", Handler: "create"},
		{Method: "GET", Pattern: "/v3/pets/shop", Access: "public", Group: "pets", Handler: "gone"},
	}
}

const petWords = `{"groups": {"pets": "Pets"}, "refused": ["pets.gone"], "keyed": ["pets.list names"],
	"adds": {"GET /v*/pets": ["page"]}, "types": {"limit": "integer"},
	"parameters": {"limit": "the most", "page": "which", "kind": "what", "pets name": "its name", "photo": "a picture", "o:": "an option", "unknown": "-"}}`

func TestDocument(t *testing.T) {
	text, missing, err := Document(Input{Routes: petRoutes(), Sources: "testdata/pets", Words: []byte(petWords)})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"POST /v3/pets: its handler pets.create has no comment"}; !slices.Equal(missing, want) {
		t.Errorf("missing: %q", missing)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	v3, v4 := doc.Paths.Value("/v3/pets").Get, doc.Paths.Value("/v4/pets").Get
	if v3.Summary != "Lists pets, oldest first" || v3.OperationID == v4.OperationID || len(v4.Parameters) != 3 {
		t.Errorf("list: %q, ids %s and %s, parameters %v", v3.Summary, v3.OperationID, v4.OperationID, v4.Parameters)
	}
	if limit := v3.Parameters.GetByInAndName("query", "limit"); limit == nil || !limit.Schema.Value.Type.Is("integer") {
		t.Errorf("limit: %+v", limit)
	}
	if a, b := v3.Responses.Value("200").Value.Content["application/json"].Schema.Ref, v4.Responses.Value("200").Value.Content["application/json"].Schema.Ref; a != "#/components/schemas/pets.list.200" || a != b {
		t.Errorf("schemas %s and %s", a, b)
	}
	create := doc.Paths.Value("/v3/pets").Post
	form := create.RequestBody.Value.Content["multipart/form-data"].Schema.Value
	if !form.Properties["name"].Value.Type.Is("array") || form.Properties["photo"].Value.Format != "binary" || form.AdditionalProperties.Schema == nil || form.Properties["age"] != nil {
		t.Errorf("form: %+v", form)
	}
	if create.Responses.Value("400").Ref != "#/components/responses/400" {
		t.Errorf("400: %+v", create.Responses.Value("400"))
	}
	gone := doc.Paths.Value("/v3/pets/shop").Get
	if gone.Summary != "Not served by this version" || gone.Security == nil || len(*gone.Security) != 0 {
		t.Errorf("gone: %+v", gone)
	}
	if strings.Contains(string(text), "HEX24") || strings.Contains(string(text), `"Tom": {`) {
		t.Error("placeholders or data are in the document")
	}
}

// What is not said is missed, by name.
func TestMissing(t *testing.T) {
	routes := append(petRoutes(), Route{Method: "PUT", Pattern: "/v3/pets/{id}", Access: "send", Group: "pets", Handler: "made"})
	_, missing, err := Document(Input{Routes: routes, Sources: "testdata/pets", Words: []byte(`{"adds": {"GET /v9/x": ["a"]}, "refused": ["pets.list"]}`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"group pets has no word", "words.json adds parameters to GET /v9/x, which is no call", "GET /v3/pets: parameter limit has no word",
		"GET /v3/pets: a contract file shows it succeed, but words.json says that it is not served",
		"GET /v3/pets/shop: no contract file shows it succeed", "PUT /v3/pets/{id}: no contract file shows it succeed", "PUT /v3/pets/{id}: parameter id has no word",
	} {
		if !slices.Contains(missing, want) {
			t.Errorf("%q is not among\n%s", want, strings.Join(missing, "\n"))
		}
	}
	for _, words := range []string{`{`, `{"parametres": {}}`} {
		if _, _, err := Document(Input{Words: []byte(words)}); err == nil {
			t.Errorf("words %s were read", words)
		}
	}
}
