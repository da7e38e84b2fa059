package suppressions

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/suppression"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxTerm      = 254 // octets of a prefix or pivot that is looked for
)

// An Importer takes files of entries, as suppression.Room does.
type Importer interface {
	Take(ctx context.Context, domainID int64, list store.SuppressionList, f suppression.File) error
}

// A Surface is the group of calls.
type Surface struct {
	store    suppression.Store
	importer Importer
}

// New returns the calls on the lists of a store.
func New(s suppression.Store, importer Importer) *Surface {
	return &Surface{store: s, importer: importer}
}

// Routes lists the calls.
func (s *Surface) Routes() []door.Route {
	routes := []door.Route{door.On("GET", "/v1/sealpost/imports/{domain}", door.Manage, s.listImports)}
	for _, l := range lists() {
		c, path := &calls{s, l}, "/v3/{domain}/"+l.String()
		routes = append(routes,
			door.On("GET", path, door.Manage, c.show),
			door.On("POST", path, door.Manage, c.add),
			door.On("DELETE", path, door.Manage, c.clear),
			door.On("GET", path+"/{value}", door.Manage, c.showOne),
			door.On("DELETE", path+"/{value}", door.Manage, c.remove),
			door.On("POST", path+"/import", door.Manage, c.upload),
		)
	}
	return routes
}

// calls are those about one of the lists.
type calls struct {
	*Surface
	list
}

// typeOf says what an entry of the allowlist is.
func typeOf(value string) string {
	if strings.Contains(value, "@") {
		return "address"
	}
	return "domain"
}

// show lists the entries a page at a time, by address, with links to the pages around.
func (c *calls) show(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := readQuery(p)
	if err != nil {
		return err
	}
	q.DomainID, q.List = r.Domain.ID, c.SuppressionList
	page, err := c.store.ListSuppressions(r.Context(), q)
	if err != nil {
		return err
	}
	answer := struct {
		Items  []any       `json:"items"`
		Paging door.Paging `json:"paging"`
	}{[]any{}, links(r.Base+"/v3/"+r.Domain.Name+"/"+c.String(), q.Limit, p.Get("term"), page)}
	for _, e := range page {
		answer.Items = append(answer.Items, c.item(e))
	}
	return door.Reply(w, answer)
}

// readQuery reads which page is asked for. A page beside a pivot needs one; without it begins at the
// end that it would come from.
func readQuery(p door.Params) (q store.SuppressionQuery, err error) {
	if q.Limit, err = p.Number("limit", 1, defaultLimit); err != nil {
		return q, err
	}
	if q.Limit > maxLimit {
		return q, door.BadRequest("Limit parameter can't be larger than %d", maxLimit)
	}
	page, err := p.OneOf("page", "first", "next", "previous", "last")
	if err != nil {
		return q, err
	}
	q.Prefix = p.Get("term")
	pivot := p.Get("address")
	if len(q.Prefix) > maxTerm || len(pivot) > maxTerm {
		return q, door.BadRequest("'term' and 'address' parameters may have at most %d octets", maxTerm)
	}
	switch page {
	case "next":
		q.After = pivot
	case "previous":
		q.Before, q.FromEnd = pivot, true
	case "last":
		q.FromEnd = true
	}
	return q, nil
}

// links returns the links of a page: absolute, and all to the first one if there is nothing on it.
func links(path string, limit int, term string, page []store.Suppression) door.Paging {
	rest := "limit=" + strconv.Itoa(limit) + "&term=" + url.QueryEscape(term)
	at := func(which string, s store.Suppression) string {
		return path + "?page=" + which + "&address=" + url.QueryEscape(s.Value) + "&" + rest
	}
	first := path + "?" + rest
	if len(page) == 0 {
		return door.Paging{Next: first, Previous: first, First: first, Last: first}
	}
	return door.Paging{Next: at("next", page[len(page)-1]), Previous: at("previous", page[0]), First: first, Last: path + "?page=last&" + rest}
}

// showOne shows an entry.
func (c *calls) showOne(w http.ResponseWriter, r *door.Request) error {
	value, ok := suppression.Value(c.SuppressionList, r.PathValue("value"))
	if !ok {
		return door.NotFound(c.missing)
	}
	e, err := c.store.Suppression(r.Context(), r.Domain.ID, c.SuppressionList, value)
	if err != nil {
		return door.Missing(err, door.NotFound(c.missing))
	}
	return door.Reply(w, c.item(e))
}

// add adds an entry, or with a JSON list many: all of them or none.
func (c *calls) add(w http.ResponseWriter, r *door.Request) error {
	given, many, err := readEntries(r)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	entries := make([]store.Suppression, len(given))
	for i, f := range given {
		if entries[i], err = suppression.Parse(c.SuppressionList, f, now); err != nil {
			return door.BadRequest("%s", err)
		}
	}
	if err := c.store.PutSuppressions(r.Context(), r.Domain.ID, c.SuppressionList, entries); err != nil {
		return door.Missing(err, gone(r))
	}
	if many {
		return door.Reply(w, door.Message{Message: strings.Replace(c.addedAll, "%d", strconv.Itoa(len(entries)), 1)})
	}
	return door.Reply(w, c.added(entries[0]))
}

// gone is the answer when the domain was deleted while the request was read.
func gone(r *door.Request) error { return door.NotFound("Domain not found: " + r.Domain.Name) }

// remove takes an entry off the list. With a tag only that tag is taken off, and the entry with its
// last one.
func (c *calls) remove(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	value, ok := suppression.Value(c.SuppressionList, r.PathValue("value"))
	if !ok {
		return door.NotFound(c.missing)
	}
	if err := c.store.DeleteSuppression(r.Context(), r.Domain.ID, c.SuppressionList, value, p.Get("tag")); err != nil {
		return door.Missing(err, door.NotFound(c.missing))
	}
	return door.Reply(w, c.removed(value))
}

// clear takes every entry off the list.
func (c *calls) clear(w http.ResponseWriter, r *door.Request) error {
	// What was begun goes on without the client: half a list is nobody's wish.
	if err := c.store.ClearSuppressions(context.WithoutCancel(r.Context()), r.Domain.ID, c.SuppressionList); err != nil {
		return err
	}
	return door.Say(w, c.cleared)
}

// upload takes a CSV file of entries. It is answered once the file is safe; what came of it is told
// by listImports.
func (c *calls) upload(w http.ResponseWriter, r *door.Request) error {
	form, err := r.Form(door.FormRules{
		Body: suppression.MaxFile + 1<<20, Content: suppression.MaxFile + 1<<19, Field: 64 << 10, Multipart: true,
		Spooled: map[string]bool{"file": true},
	})
	if err != nil {
		return err
	}
	defer form.Close()
	files := form.Files("file")
	if len(files) != 1 {
		return door.BadRequest("Missing mandatory parameter: file")
	}
	f := files[0]
	if f.Size > suppression.MaxFile {
		return &door.Problem{Status: http.StatusRequestEntityTooLarge, Message: "file size exceeds 25 MiB limit"}
	}
	err = c.importer.Take(r.Context(), r.Domain.ID, c.SuppressionList, suppression.File{Name: f.Name, Size: f.Size, Open: f.Open})
	switch {
	case errors.Is(err, suppression.ErrHeader):
		return door.BadRequest("%s", suppression.ErrHeader)
	case errors.Is(err, suppression.ErrBusy):
		return &door.Problem{Status: http.StatusTooManyRequests, RetryAfter: time.Minute,
			Message: "Too many imports of this domain are under way. Please try again later."}
	case err != nil:
		return door.Missing(err, gone(r))
	}
	return door.ReplyStatus(w, http.StatusAccepted, door.Message{Message: "file uploaded successfully for processing. standby..."})
}

// An importJSON is an import as it is shown.
type importJSON struct {
	ID       int64     `json:"id"`
	List     string    `json:"list"`
	File     string    `json:"file"`
	Size     int64     `json:"size"`
	State    string    `json:"state"`
	Records  int64     `json:"records"`
	Bad      int64     `json:"bad"`
	Problems []string  `json:"problems"`
	Created  time.Time `json:"created"`
	Finished time.Time `json:"finished,omitzero"`
}

// listImports tells what became of the latest files of suppressions that were uploaded.
func (s *Surface) listImports(w http.ResponseWriter, r *door.Request) error {
	imports, err := s.store.ListImports(r.Context(), r.Domain.ID)
	if err != nil {
		return err
	}
	items := []importJSON{}
	for _, im := range imports {
		items = append(items, importJSON{
			ID: im.ID, List: im.List.String(), File: im.File, Size: im.Size, State: string(im.State), Records: im.Records, Bad: im.Bad,
			Problems: append([]string{}, im.Problems...), Created: im.Created, Finished: im.Finished,
		})
	}
	return door.Reply(w, struct {
		Items []importJSON `json:"items"`
	}{items})
}
