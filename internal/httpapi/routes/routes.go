// Package routes serves the routes of an account: rules for received mail.
//
// Rules are kept, checked and shown, and /v3/routes/match tells which of them a recipient would meet.
// This version receives no mail, so that nothing else follows from them yet.
package routes

import (
	"net/http"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/routing"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits on a route.
const (
	maxDescription = 1000 // characters
	maxActions     = 32
	maxPage        = 1000
)

// A Surface answers the calls. It is safe for concurrent use.
type Surface struct{ routes store.Routes }

// New returns the calls over the given routes.
func New(routes store.Routes) *Surface { return &Surface{routes} }

// Routes lists the calls.
func (s *Surface) Routes() []door.Route {
	const all = "/v3/routes"
	return []door.Route{
		door.On("GET", all, door.Account, s.list),
		door.On("POST", all, door.Account, s.create),
		door.On("GET", all+"/match", door.Account, s.match),
		door.On("GET", all+"/{id}", door.Account, s.show),
		door.On("PUT", all+"/{id}", door.Account, s.update),
		door.On("DELETE", all+"/{id}", door.Account, s.delete),
	}
}

var errNoRoute = door.NotFound("Route not found")

// A routeJSON is a route as clients know it.
type routeJSON struct {
	ID          string   `json:"id"`
	Priority    int      `json:"priority"`
	Description string   `json:"description"`
	Expression  string   `json:"expression"`
	Actions     []string `json:"actions"`
	CreatedAt   string   `json:"created_at"`
}

func view(r store.Route) routeJSON {
	actions := r.Actions
	if actions == nil {
		actions = []string{}
	}
	return routeJSON{r.ID, r.Priority, r.Description, r.Expression, actions, door.GMT(r.CreatedAt)}
}

// An answer is what most calls answer.
type answer struct {
	Message string    `json:"message,omitempty"`
	Route   routeJSON `json:"route"`
}

// list lists the routes of the account by priority.
func (s *Surface) list(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, err := p.Number("limit", 1, 100)
	if err != nil {
		return err
	}
	if limit > maxPage {
		return door.BadRequest("The 'limit' parameter can't be larger than %d", maxPage)
	}
	skip, err := p.Number("skip", 0, 0)
	if err != nil {
		return err
	}
	list, total, err := s.routes.ListRoutes(r.Context(), r.Who.AccountID, skip, limit)
	if err != nil {
		return err
	}
	items := []routeJSON{}
	for _, route := range list {
		items = append(items, view(route))
	}
	return door.Reply(w, struct {
		TotalCount int         `json:"total_count"`
		Items      []routeJSON `json:"items"`
	}{total, items})
}

// create creates a route: a rule for received mail, with a priority, an expression and actions.
func (s *Surface) create(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if p.Get("expression") == "" {
		return door.BadRequest("Missing mandatory parameter: expression")
	}
	route := store.Route{AccountID: r.Who.AccountID}
	if err := read(p, &route); err != nil {
		return err
	}
	if err := s.routes.CreateRoute(r.Context(), &route); err != nil {
		return door.AtLimit(err, "route limit of %d reached", store.MaxRoutes)
	}
	return door.Reply(w, answer{"Route has been created", view(route)})
}

// read takes what a call says of a route; what it does not name stays.
func read(p door.Params, r *store.Route) (err error) {
	if r.Priority, err = p.Number("priority", 0, r.Priority); err != nil {
		return err
	}
	if p.Has("description") {
		r.Description = p.Get("description")
	}
	if utf8.RuneCountInString(r.Description) > maxDescription || !utf8.ValidString(r.Description) {
		return door.BadRequest("'description' parameter must be text of at most %d characters", maxDescription)
	}
	if e := p.Get("expression"); e != "" {
		if _, err := routing.Parse(e); err != nil {
			return door.BadRequest("Invalid expression: %s", door.Shown(err.Error()))
		}
		r.Expression = e
	}
	if !p.Has("action") {
		return nil
	}
	r.Actions = nil
	for _, a := range p.Values["action"] {
		if a == "" {
			continue
		}
		if _, err := routing.ParseAction(a); err != nil {
			return door.BadRequest("Invalid action: %s", door.Shown(err.Error()))
		}
		r.Actions = append(r.Actions, a)
	}
	if len(r.Actions) > maxActions {
		return door.BadRequest("a route has %d actions at most", maxActions)
	}
	return nil
}

// show shows a route.
func (s *Surface) show(w http.ResponseWriter, r *door.Request) error {
	route, err := s.routes.Route(r.Context(), r.Who.AccountID, r.PathValue("id"))
	if err != nil {
		return door.Missing(err, errNoRoute)
	}
	return door.Reply(w, answer{"", view(route)})
}

// update changes what is given of a route.
func (s *Surface) update(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	route, err := s.routes.UpdateRoute(r.Context(), r.Who.AccountID, r.PathValue("id"), func(route *store.Route) error { return read(p, route) })
	if err != nil {
		return door.Missing(err, errNoRoute)
	}
	return door.Reply(w, struct {
		routeJSON
		answer
	}{view(route), answer{"Route has been updated", view(route)}})
}

// delete deletes a route.
func (s *Surface) delete(w http.ResponseWriter, r *door.Request) error {
	id := r.PathValue("id")
	if err := s.routes.DeleteRoute(r.Context(), r.Who.AccountID, id); err != nil {
		return door.Missing(err, errNoRoute)
	}
	return door.Reply(w, struct {
		Message string `json:"message"`
		ID      string `json:"id"`
	}{"Route has been deleted", id})
}

// match shows the first route that a recipient would meet. Filters on header fields fit nothing
// here: there is no message.
func (s *Surface) match(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if p.Get("address") == "" {
		return door.BadRequest("Missing mandatory parameter: address")
	}
	m, err := mail.ParseMailbox(p.Get("address"))
	if err != nil {
		return door.BadRequest("address parameter is not a valid address. please check documentation")
	}
	list, _, err := s.routes.ListRoutes(r.Context(), r.Who.AccountID, 0, store.MaxRoutes)
	if err != nil {
		return err
	}
	for _, route := range list {
		e, err := routing.Parse(route.Expression)
		if err == nil && e.Match(routing.Message{Recipient: m.Address.String()}) {
			return door.Reply(w, answer{"", view(route)})
		}
	}
	return errNoRoute
}
