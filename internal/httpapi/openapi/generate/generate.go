// Package generate makes the OpenAPI document from the table of routes, the comments of
// the handlers, the contract files and a file of words about parameters. It is used by a test.
package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Words is what cannot be read off code and contracts.
type Words struct {
	// Groups tells what the calls of a package are about.
	Groups map[string]string `json:"groups"`
	// Parameters describes parameters by their name. "METHOD /pattern name" has precedence, then
	// "METHOD /v*/pattern name", which is for a call under every version, then "group name". A key
	// with a pattern also adds a parameter that no contract uses. "-" is the word of a name that is
	// passed over, and a prefix like "h:" is for all names that begin with it.
	Parameters map[string]string `json:"parameters"`
	// Adds lists further parameters by "METHOD /pattern" or "METHOD /v*/pattern", whose words are
	// those of their names.
	Adds map[string][]string `json:"adds"`
	// Types has the types of parameters that are not strings: integer, array for those that may be
	// repeated, or file for those of a multipart form that may be repeated. Its keys are those of Parameters.
	Types map[string]string `json:"types"`
	// Refused lists the handlers, as group.name, of calls that this version knows and does not serve.
	Refused []string `json:"refused"`
	// Keyed lists the names of objects whose keys are data; "group.handler name" is for one call.
	Keyed []string `json:"keyed"`
	// Free lists those of which the values are data as well.
	Free []string `json:"free"`
}

// passedOver is the word of a parameter that is none.
const passedOver = "-"

// An Input is what a document is made of.
type Input struct {
	Routes  []Route
	Sources string // folder of the handlers, with their contract files
	Words   []byte // JSON of Words
}

// Document returns the document as indented JSON, and what is missing for it to be whole:
// routes without a contract or a comment, parameters and groups without a word.
func Document(in Input) (doc []byte, missing []string, err error) {
	g := &generator{schemas: map[string]any{"Message": message()}, errors: map[string]any{}}
	dec := json.NewDecoder(bytes.NewReader(in.Words))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g.words); err != nil {
		return nil, nil, fmt.Errorf("words: %w", err)
	}
	if g.comments, err = comments(in.Sources); err != nil {
		return nil, nil, err
	}
	all, err := readExchanges(in.Sources)
	if err != nil {
		return nil, nil, err
	}
	contracts := contractsOf(in.Routes, all)
	for key := range g.words.Adds {
		if !slices.ContainsFunc(in.Routes, func(r Route) bool { return key == r.key() || key == r.versionless() }) {
			g.miss("words.json adds parameters to %s, which is no call", key)
		}
	}
	shared := map[[3]string][]exchange{} // a call answers alike under all versions
	for _, r := range in.Routes {
		k := [3]string{r.versionless(), r.Group, r.Handler}
		shared[k] = append(shared[k], contracts[r.key()]...)
	}
	paths, groups := map[string]map[string]any{}, map[string]bool{}
	for _, r := range in.Routes {
		path := strings.TrimSuffix(r.Pattern, "{$}")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.Method)] = g.operation(r, shared[[3]string{r.versionless(), r.Group, r.Handler}])
		groups[r.Group] = true
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err = enc.Encode(map[string]any{
		"openapi": "3.0.3",
		"info": map[string]any{
			"title": "Sealpost", "version": "1",
			"description": "Mail delivery for people who must know how their mail travelled. The calls below /v1 to /v5 are those of Mailgun's API; those below /v1/sealpost are Sealpost's own.",
		},
		"tags": g.tags(groups), "paths": paths, "security": []any{map[string]any{"key": []string{}}},
		"components": map[string]any{"schemas": g.schemas, "responses": g.errors, "securitySchemes": map[string]any{
			"key": map[string]any{"type": "http", "scheme": "basic", "description": "user api, password: an API key"},
		}},
	})
	slices.Sort(g.missing)
	return b.Bytes(), slices.Compact(g.missing), err
}

type generator struct {
	words    Words
	comments map[[2]string]string
	schemas  map[string]any // of bodies, by name
	errors   map[string]any // answers that calls have in common, by status
	missing  []string
}

func (g *generator) miss(format string, args ...any) {
	g.missing = append(g.missing, fmt.Sprintf(format, args...))
}

func (g *generator) tags(groups map[string]bool) []map[string]any {
	var tags []map[string]any
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if g.words.Groups[name] == "" {
			g.miss("group %s has no word", name)
		}
		tags = append(tags, map[string]any{"name": name, "description": g.words.Groups[name]})
	}
	return tags
}

// operation describes one call.
func (g *generator) operation(r Route, contracts []exchange) map[string]any {
	comment := g.comments[[2]string{r.Group, r.Handler}]
	if comment == "" {
		g.miss("%s: its handler %s.%s has no comment", r.key(), r.Group, r.Handler)
	}
	summary, description := sentences(r.Handler, comment)
	if g.refused(r) {
		summary = "Not served by this version"
		description = summary + ", and known so that clients are told why. " + description
	}
	id := r.Group + "." + r.Handler + regexp.MustCompile(`\W+`).ReplaceAllString("."+r.key(), "_")
	op := map[string]any{"tags": []string{r.Group}, "summary": summary, "description": description + access(r), "operationId": id}
	if r.Access == "public" {
		op["security"] = []any{}
	}
	g.checkServed(r, contracts)
	if ps := g.pathAndQuery(r, contracts); len(ps) > 0 {
		op["parameters"] = ps
	}
	if body := g.body(r, contracts); body != nil {
		op["requestBody"] = body
	}
	op["responses"] = g.responses(r, contracts)
	return op
}

// keyedAt returns the names of objects whose keys are data in the bodies of a call.
func (g *generator) keyedAt(r Route) map[string]keys {
	names := map[string]keys{}
	for k, list := range map[keys][]string{data: g.words.Keyed, free: g.words.Free} {
		for _, name := range list {
			if here, ok := strings.CutPrefix(name, r.Group+"."+r.Handler+" "); ok || !strings.Contains(name, " ") {
				names[here] = k
			}
		}
	}
	return names
}

// refused reports whether the call is one that this version does not serve.
func (g *generator) refused(r Route) bool {
	return slices.Contains(g.words.Refused, r.Group+"."+r.Handler)
}

// checkServed notes what contracts do not show: that a call can succeed, or that it is refused.
func (g *generator) checkServed(r Route, contracts []exchange) {
	succeeds := slices.ContainsFunc(contracts, func(x exchange) bool { return x.status < 400 })
	switch {
	case r.Group == "openapi": // the call that shows the document cannot be in it whole
	case g.refused(r) && len(contracts) == 0:
		g.miss("%s: no contract file shows it refused", r.key())
	case g.refused(r) && succeeds:
		g.miss("%s: a contract file shows it succeed, but words.json says that it is not served", r.key())
	case !g.refused(r) && !succeeds:
		g.miss("%s: no contract file shows it succeed", r.key())
	}
}

// access words who may call.
func access(r Route) string {
	basic := ""
	if r.Method == "GET" {
		basic = "; basic keys may look as well"
	}
	switch r.Access {
	case "operate":
		return " For admin keys of the primary account that are bound to no domain."
	case "administer":
		return " For admin keys that are bound to no domain."
	case "account":
		return " For admin and developer keys that are bound to no domain" + basic + "."
	case "manage":
		return " For admin and developer keys" + basic + "."
	case "look":
		return " For admin, developer and basic keys."
	case "send":
		return " For admin, developer and sending keys."
	}
	return " Needs no key."
}

// pathAndQuery describes the parameters in the path and in the query.
func (g *generator) pathAndQuery(r Route, contracts []exchange) []map[string]any {
	var list []map[string]any
	for _, m := range regexp.MustCompile(`\{([a-z_]+)\}`).FindAllStringSubmatch(r.Pattern, -1) {
		list = append(list, map[string]any{"name": m[1], "in": "path", "required": true, "description": g.pathWord(r, m[1]), "schema": map[string]any{"type": "string"}})
	}
	inForm := map[string]bool{}
	for _, x := range contracts {
		for name := range x.form {
			inForm[name] = true
		}
	}
	queried := names(contracts, func(x exchange) map[string][]string { return x.query })
	if r.Method == "GET" || r.Method == "DELETE" {
		queried = g.withWords(r, queried)
	}
	for _, name := range g.known(r, queried) {
		if !inForm[name] && !strings.Contains(r.Pattern, "{"+name+"}") {
			list = append(list, map[string]any{"name": name, "in": "query", "description": g.word(r, name), "schema": g.parameter(r, name, contracts)})
		}
	}
	return list
}

// withWords adds the parameters that words are given for at this route.
func (g *generator) withWords(r Route, list []string) []string {
	add := func(name string) {
		if !slices.Contains(list, name) && !strings.Contains(r.Pattern, "{"+name+"}") {
			list = append(list, name)
		}
	}
	for _, call := range []string{r.key(), r.versionless()} {
		for key := range g.words.Parameters {
			if name, ok := strings.CutPrefix(key, call+" "); ok {
				add(name)
			}
		}
		for _, name := range g.words.Adds[call] {
			add(name)
		}
	}
	slices.Sort(list)
	return list
}

// known leaves out the names that are in contracts to show that they are passed over.
func (g *generator) known(r Route, list []string) []string {
	return slices.DeleteFunc(list, func(name string) bool { return lookup(g.words.Parameters, r, name) == passedOver })
}

// parameter returns the schema of a parameter of the query or of a form.
func (g *generator) parameter(r Route, name string, contracts []exchange) map[string]any {
	kind := lookup(g.words.Types, r, name)
	if kind == "" && slices.ContainsFunc(contracts, func(x exchange) bool { return len(x.form[name]) > 1 || len(x.query[name]) > 1 }) {
		kind = "array"
	}
	switch kind {
	case "":
		return map[string]any{"type": "string"}
	case "array":
		return map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	case "file":
		return map[string]any{"type": "array", "items": map[string]any{"type": "string", "format": "binary"}}
	}
	return map[string]any{"type": kind}
}

// names lists the parameters of requests that succeeded, or are known by a word.
func names(contracts []exchange, of func(exchange) map[string][]string) []string {
	found := map[string]bool{}
	for _, x := range contracts {
		if x.status >= 400 && x.status != 404 {
			continue
		}
		for name := range of(x) {
			found[strings.TrimSuffix(name, "[]")] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// body describes the request body, in each form that the contracts use.
func (g *generator) body(r Route, contracts []exchange) map[string]any {
	content := map[string]any{}
	properties := map[string]any{}
	formed := names(contracts, func(x exchange) map[string][]string { return x.form })
	if r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		formed = g.withWords(r, formed)
	}
	withFiles, open := map[string]any{}, map[string]any{}
	for _, name := range g.known(r, formed) {
		if prefix, rest, ok := strings.Cut(name, ":"); ok && (rest == "" || g.words.Parameters[name] == "") && g.words.Parameters[prefix+":"] != "" {
			open["additionalProperties"] = map[string]any{"type": "string", "description": g.prefixes()}
			continue
		}
		schema := g.parameter(r, name, contracts)
		schema["description"] = g.word(r, name)
		if lookup(g.words.Types, r, name) == "file" {
			withFiles[name] = schema
			continue
		}
		properties[name] = schema
	}
	for _, x := range contracts {
		for _, name := range x.files {
			if x.status < 400 && withFiles[name] == nil {
				withFiles[name] = map[string]any{"type": "string", "format": "binary", "description": g.word(r, name)}
			}
		}
	}
	for name, schema := range properties {
		if withFiles[name] == nil {
			withFiles[name] = schema
		}
	}
	form := func(properties map[string]any) map[string]any {
		schema := map[string]any{"type": "object", "properties": properties}
		maps.Copy(schema, open)
		return g.named(r, "form", schema)
	}
	if len(properties) > 0 {
		content["application/x-www-form-urlencoded"] = map[string]any{"schema": form(properties)}
	}
	if len(withFiles) > 0 {
		content["multipart/form-data"] = map[string]any{"schema": form(withFiles)}
	}
	requests := newShape()
	for _, x := range contracts {
		if x.request != nil && x.status < 400 {
			requests.add(x.request)
		}
	}
	if len(requests.kinds) > 0 {
		content["application/json"] = map[string]any{"schema": g.named(r, "request", optional(requests.schema(fields, g.keyedAt(r))).(map[string]any))}
	}
	if len(content) == 0 {
		return nil
	}
	return map[string]any{"content": content}
}

// responses describes every answer that the contracts show.
func (g *generator) responses(r Route, contracts []exchange) map[string]any {
	byStatus := map[int]map[string][]exchange{}
	for _, x := range contracts {
		if byStatus[x.status] == nil {
			byStatus[x.status] = map[string][]exchange{}
		}
		byStatus[x.status][x.media] = append(byStatus[x.status][x.media], x)
	}
	out := map[string]any{}
	for status, medias := range byStatus {
		content := map[string]any{}
		for media, list := range medias {
			if media == "" {
				continue
			}
			content[media] = g.answer(r, media, list)
		}
		response := map[string]any{"description": meaning(status)}
		if g.refused(r) && status == 404 {
			response["description"] = "not served by this version; the text says why"
		}
		if len(content) > 0 {
			response["content"] = content
		}
		out[strconv.Itoa(status)] = g.common(r, status, response)
	}
	if len(out) == 0 {
		out["default"] = map[string]any{"description": "not described"}
	}
	return out
}

// common puts an error that has nothing but a text among the components, without its example: most
// calls have some of them. What a call that is not served answers stays with it.
func (g *generator) common(r Route, status int, response map[string]any) map[string]any {
	content, _ := response["content"].(map[string]any)
	body, _ := content["application/json"].(map[string]any)
	schema, _ := body["schema"].(map[string]any)
	if status < 400 || len(content) != 1 || schema["$ref"] != "#/components/schemas/Message" || g.refused(r) {
		return response
	}
	name := strconv.Itoa(status)
	g.errors[name] = map[string]any{"description": meaning(status), "content": map[string]any{"application/json": map[string]any{"schema": schema}}}
	return map[string]any{"$ref": "#/components/responses/" + name}
}

// answer describes answers of one media type, with the first as an example.
func (g *generator) answer(r Route, media string, list []exchange) map[string]any {
	if strings.HasPrefix(media, "image/") {
		return map[string]any{"schema": map[string]any{"type": "string", "format": "binary"}}
	}
	s := newShape()
	for _, x := range list {
		if media == "application/json" {
			s.add(x.answer)
		} else {
			s.add(x.text)
		}
	}
	schema := s.schema(fields, g.keyedAt(r))
	if media == "text/html" { // for people
		return map[string]any{"schema": schema}
	}
	if media == "application/json" {
		return map[string]any{"schema": g.named(r, strconv.Itoa(list[0].status), schema), "example": plausible(list[0].answer)}
	}
	return map[string]any{"schema": schema, "example": plausible(list[0].text)}
}

// named puts the schema of a body among the components, and returns a reference to it: a call
// that is served under several paths has one, and programs that are made from the document have
// a name for it.
func (g *generator) named(r Route, what string, schema map[string]any) map[string]any {
	name := "Message"
	for n := 1; !reflect.DeepEqual(schema, message()); n++ {
		name = r.Group + "." + r.Handler + "." + what
		if n > 1 { // the same handler answers in another way elsewhere
			name += "." + strconv.Itoa(n)
		}
		if g.schemas[name] == nil {
			g.schemas[name] = schema
		}
		if reflect.DeepEqual(g.schemas[name], schema) {
			break
		}
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// meaning words what a status says.
func meaning(status int) string {
	switch {
	case status < 300:
		return "done"
	case status < 400:
		return "to be found elsewhere"
	case status == 401:
		return "the key is missing, unknown, or may not do this"
	case status == 404:
		return "there is no such object, or it is another tenant's"
	case status < 500:
		return "refused; the text says why"
	}
	return "not possible now"
}

// word describes a parameter.
func (g *generator) word(r Route, name string) string {
	if w := lookup(g.words.Parameters, r, name); w != "" {
		return w
	}
	if prefix, _, ok := strings.Cut(name, ":"); ok && g.words.Parameters[prefix+":"] != "" {
		return g.words.Parameters[prefix+":"]
	}
	g.miss("%s: parameter %s has no word", r.key(), name)
	return ""
}

// pathWord describes a parameter of the path: "{name}" has precedence over a parameter of that name.
func (g *generator) pathWord(r Route, name string) string {
	if w := lookup(g.words.Parameters, r, "{"+name+"}"); w != "" {
		return w
	}
	return g.word(r, name)
}

// prefixes words the parameters whose names clients choose.
func (g *generator) prefixes() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(g.words.Parameters)) {
		if strings.HasSuffix(name, ":") {
			words = append(words, name+"NAME is "+g.words.Parameters[name])
		}
	}
	return strings.Join(words, "; ")
}

// lookup finds what is said of a parameter at a route, by the rules of [Words].
func lookup(words map[string]string, r Route, name string) string {
	for _, key := range []string{r.key() + " " + name, r.versionless() + " " + name, r.Group + " " + name, name} {
		if w := words[key]; w != "" {
			return w
		}
	}
	return ""
}
