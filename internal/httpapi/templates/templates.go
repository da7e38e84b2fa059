// Package templates serves the templates of sending domains: texts in Handlebars that people edit
// and programs name when they send.
//
// A template is checked when it is stored, so that one which cannot be rendered is refused to its
// editor and not to everybody who sends. What it looks like in a message is decided by the accept
// room. Names and tags are lower-cased, as the calls promise.
package templates

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/handlebars"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/strictjson"
)

// Limits on what is said about templates.
const (
	maxName  = 255  // octets of a name or tag
	maxWords = 1000 // characters of a description or comment
	maxField = 998  // octets of the template of a header field
	maxPage  = 100  // items of a page
)

// initial is the tag of a first version that was given none.
const initial = "initial"

// A Surface answers the calls. It is safe for concurrent use.
type Surface struct{ templates store.Templates }

// New returns the calls over the given templates.
func New(templates store.Templates) *Surface { return &Surface{templates} }

// Routes lists the calls.
func (s *Surface) Routes() []door.Route {
	const all = "/v3/{domain}/templates"
	const one, versions = all + "/{name}", all + "/{name}/versions"
	const version = versions + "/{tag}"
	return []door.Route{
		door.On("GET", all, door.Manage, s.list),
		door.On("POST", all, door.Manage, s.create),
		door.On("DELETE", all, door.Manage, s.deleteAll),
		door.On("GET", one, door.Manage, s.show),
		door.On("PUT", one, door.Manage, s.describe),
		door.On("DELETE", one, door.Manage, s.delete),
		door.On("GET", versions, door.Manage, s.listVersions),
		door.On("POST", versions, door.Manage, s.createVersion),
		door.On("GET", version, door.Manage, s.showVersion),
		door.On("PUT", version, door.Manage, s.updateVersion),
		door.On("DELETE", version, door.Manage, s.deleteVersion),
		door.On("PUT", version+"/copy/{new}", door.Manage, s.copyVersion),
	}
}

var (
	errNoTemplate = door.NotFound("template not found")
	errNoVersion  = door.NotFound("template version not found")
)

// A templateJSON is a template as clients know it.
type templateJSON struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	CreatedAt   string       `json:"createdAt"`
	CreatedBy   string       `json:"createdBy"`
	ID          string       `json:"id"`
	Version     *versionJSON `json:"version,omitempty"`
}

// A versionJSON is a version as clients know it.
type versionJSON struct {
	Tag       string            `json:"tag"`
	Template  *string           `json:"template,omitempty"` // nil in lists
	Engine    string            `json:"engine"`
	MJML      string            `json:"mjml"` // always empty: of an editor that we are not
	CreatedAt string            `json:"createdAt"`
	Comment   string            `json:"comment"`
	Active    bool              `json:"active"`
	ID        string            `json:"id"`
	Headers   map[string]string `json:"headers"`
}

func view(t store.Template) templateJSON {
	return templateJSON{Name: t.Name, Description: t.Description, CreatedAt: door.UTC(t.CreatedAt), CreatedBy: t.CreatedBy, ID: t.ID}
}

// versionView shows a version; without its body in lists.
func versionView(v store.TemplateVersion, body bool) versionJSON {
	j := versionJSON{Tag: v.Tag, Engine: "handlebars", CreatedAt: door.UTC(v.CreatedAt), Comment: v.Comment, Active: v.Active, ID: v.ID, Headers: v.Headers}
	if j.Headers == nil {
		j.Headers = map[string]string{}
	}
	if body {
		j.Template = &v.Body
	}
	return j
}

// An answer is what most calls answer.
type answer struct {
	Message  string `json:"message,omitempty"`
	Template any    `json:"template"`
}

// A mention names a template and perhaps a version.
type mention struct {
	Name    string `json:"name"`
	Version *tag   `json:"version,omitempty"`
}

type tag struct {
	Tag string `json:"tag"`
}

// name returns a name or tag of the path as it is stored.
func name(r *door.Request, part string) string { return strings.ToLower(r.PathValue(part)) }

// path returns the path of the list of templates.
func path(r *door.Request) string { return "/v3/" + url.PathEscape(r.Domain.Name) + "/templates" }

// list lists the templates of the domain a page at a time, by name, without their texts.
func (s *Surface) list(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	page, err := p.NameRange("p", maxPage, maxPage)
	if err != nil {
		return err
	}
	list, err := s.templates.ListTemplates(r.Context(), r.Domain.ID, page.NamePage)
	if err != nil {
		return err
	}
	items := []templateJSON{}
	var first, last string
	for i, t := range list {
		if i == 0 {
			first = t.Name
		}
		last = t.Name
		items = append(items, view(t))
	}
	return door.Reply(w, struct {
		Items  []templateJSON `json:"items"`
		Paging door.Paging    `json:"paging"`
	}{items, page.Links(r, path(r), first, last)})
}

// create stores a template, with a first version if there is a text.
func (s *Surface) create(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	t := store.Template{DomainID: r.Domain.ID, Description: p.Get("description"), CreatedBy: p.Get("createdBy")}
	if t.Name, err = newName(p, "name", ""); err != nil {
		return err
	}
	if err := errors.Join(words(p, "description"), words(p, "createdBy")); err != nil {
		return err
	}
	var first *store.TemplateVersion
	if p.Get("template") != "" {
		v, err := readVersion(p, initial)
		if err != nil {
			return err
		}
		first = &v
	}
	switch err := s.templates.CreateTemplate(r.Context(), &t, first); {
	case errors.Is(err, store.ErrExists):
		return door.BadRequest("template with name '%s' already exists", door.Shown(t.Name))
	case errors.Is(err, store.ErrLimit):
		return door.BadRequest("template limit of %d reached", store.MaxTemplates)
	case err != nil:
		return err
	}
	shown := view(t)
	if first != nil {
		v := versionView(*first, true)
		shown.Version = &v
	}
	return door.Reply(w, answer{"template has been stored", shown})
}

// deleteAll deletes all templates of the domain with their versions.
func (s *Surface) deleteAll(w http.ResponseWriter, r *door.Request) error {
	if err := s.templates.DeleteTemplates(r.Context(), r.Domain.ID); err != nil {
		return err
	}
	return door.Say(w, "templates have been deleted")
}

// show shows a template, with active=yes also its active version.
func (s *Surface) show(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	active, err := p.Flag("active")
	if err != nil {
		return err
	}
	t, err := s.templates.Template(r.Context(), r.Domain.ID, name(r, "name"))
	if err != nil {
		return door.Missing(err, errNoTemplate)
	}
	shown := view(t)
	if active.Bool() {
		v, err := s.templates.TemplateVersion(r.Context(), r.Domain.ID, t.Name, "")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			j := versionView(v, true)
			shown.Version = &j
		}
	}
	return door.Reply(w, answer{"", shown})
}

// describe changes the description of a template.
func (s *Surface) describe(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := words(p, "description"); err != nil {
		return err
	}
	n := name(r, "name")
	if err := s.templates.DescribeTemplate(r.Context(), r.Domain.ID, n, p.Get("description")); err != nil {
		return door.Missing(err, errNoTemplate)
	}
	return door.Reply(w, answer{"template has been updated", mention{Name: n}})
}

// delete deletes a template with its versions.
func (s *Surface) delete(w http.ResponseWriter, r *door.Request) error {
	n := name(r, "name")
	if err := s.templates.DeleteTemplate(r.Context(), r.Domain.ID, n); err != nil {
		return door.Missing(err, errNoTemplate)
	}
	return door.Reply(w, answer{"template has been deleted", mention{Name: n}})
}

// newName reads the name of something new.
func newName(p door.Params, param, otherwise string) (string, error) {
	n := cmp.Or(strings.ToLower(strings.TrimSpace(p.Get(param))), otherwise)
	if n == "" {
		return "", door.BadRequest("Missing mandatory parameter: %s", param)
	}
	return n, checkName(param, n)
}

func checkName(param, n string) error {
	if n == "." || n == ".." { // programs take that out of an address, however it is encoded
		return door.BadRequest("'%s' parameter can't be '%s'", param, n)
	}
	if len(n) > maxName || !utf8.ValidString(n) || strings.ContainsFunc(n, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return door.BadRequest("'%s' parameter must be text on one line of at most %d octets", param, maxName)
	}
	return nil
}

// words checks a text that people write about a template.
func words(p door.Params, param string) error {
	s := p.Get(param)
	if utf8.RuneCountInString(s) > maxWords || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return door.BadRequest("'%s' parameter must be text of at most %d characters", param, maxWords)
	}
	return nil
}

// checkBody refuses a text that could not be rendered.
func checkBody(body string) error {
	if len(body) > store.MaxTemplateBody {
		return door.BadRequest("template size exceeds %d KB limit", store.MaxTemplateBody>>10)
	}
	if _, err := handlebars.Parse(body); err != nil {
		return door.BadRequest("failed to parse template: %s", err)
	}
	return nil
}

// headerNames are the fields that a template may have, by their lower-case names.
var headerNames = map[string]string{"from": "From", "subject": "Subject", "reply-to": "Reply-To"}

// readHeaders reads the templates of header fields: a JSON object of texts. Empty texts are left out.
func readHeaders(s string) (map[string]string, error) {
	headers := map[string]string{}
	if strings.TrimSpace(s) == "" {
		return headers, nil
	}
	var given map[string]string
	if err := strictjson.Check(s); err != nil {
		return nil, door.BadRequest("'headers' parameter is not a valid JSON: %s", err)
	}
	if err := json.Unmarshal([]byte(s), &given); err != nil {
		return nil, door.BadRequest("'headers' parameter is not a valid JSON: not an object of texts")
	}
	for key, value := range given {
		field, known := headerNames[strings.ToLower(key)]
		switch {
		case !known:
			return nil, door.BadRequest("header '%s' is not allowed: a template may have From, Subject and Reply-To", door.Shown(key))
		case headers[field] != "":
			return nil, door.BadRequest("header '%s' is given twice", field)
		case len(value) > maxField || strings.ContainsFunc(value, unicode.IsControl):
			return nil, door.BadRequest("header '%s' must be text on one line of at most %d octets", field, maxField)
		}
		if _, err := handlebars.Parse(value); err != nil {
			return nil, door.BadRequest("failed to parse header '%s': %s", field, err)
		}
		if value != "" {
			headers[field] = value
		}
	}
	return headers, nil
}

// readVersion reads a new version.
func readVersion(p door.Params, otherwise string) (v store.TemplateVersion, err error) {
	if engine := p.Get("engine"); engine != "" && !strings.EqualFold(engine, "handlebars") {
		return v, door.BadRequest("template engine '%s' is not supported, please use handlebars", door.Shown(engine))
	}
	v.Body, v.Comment = p.Get("template"), p.Get("comment")
	if v.Body == "" {
		return v, door.BadRequest("Missing mandatory parameter: template")
	}
	if v.Tag, err = newName(p, "tag", otherwise); err != nil {
		return v, err
	}
	active, err := p.Flag("active")
	if err != nil {
		return v, err
	}
	v.Active = active.Bool()
	if v.Headers, err = readHeaders(p.Get("headers")); err != nil {
		return v, err
	}
	if err := words(p, "comment"); err != nil {
		return v, err
	}
	return v, checkBody(v.Body)
}

// exists words the refusals of a new version.
func exists(err error, tag string) error {
	switch {
	case errors.Is(err, store.ErrExists):
		return door.BadRequest("version with tag '%s' already exists", door.Shown(tag))
	case errors.Is(err, store.ErrLimit):
		return door.BadRequest("version limit of %d reached", store.MaxTemplateVersions)
	case err != nil:
		return door.Missing(fmt.Errorf("new version: %w", err), errNoTemplate)
	}
	return nil
}
