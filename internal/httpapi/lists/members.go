package lists

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/strictjson"
)

// maxVars is the size of the variables of a member in octets.
const maxVars = 16 << 10

// A memberJSON is a member as clients know it.
type memberJSON struct {
	Address    string          `json:"address"`
	Name       string          `json:"name"`
	Vars       json.RawMessage `json:"vars"`
	Subscribed bool            `json:"subscribed"`
}

func memberView(m store.ListMember) memberJSON {
	return memberJSON{m.Address, m.Name, json.RawMessage(m.Vars), m.Subscribed}
}

func memberViews(members []store.ListMember) (items []memberJSON, first, last string) {
	items = []memberJSON{}
	for i, m := range members {
		if i == 0 {
			first = m.Address
		}
		last = m.Address
		items = append(items, memberView(m))
	}
	return items, first, last
}

// A memberAnswer is what most calls about members answer.
type memberAnswer struct {
	Member  memberJSON `json:"member"`
	Message string     `json:"message,omitempty"`
}

func memberNotFound(r *door.Request) error {
	return door.NotFound("Member " + door.Shown(r.PathValue("member")) + " of mailing list " + door.Shown(r.PathValue("address")) + " not found")
}

// query reads which members are asked for.
func query(p door.Params) (q store.MemberQuery, err error) {
	subscribed, err := p.Flag("subscribed")
	if err == nil && subscribed != mail.Unset {
		yes := subscribed.Bool()
		q.Subscribed = &yes
	}
	return q, err
}

// listMembers lists the members of a mailing list, with their number.
func (s *Surface) listMembers(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := query(p)
	if err != nil {
		return err
	}
	if q.Limit, q.Skip, err = p.Range(pageSize, maxPage); err != nil {
		return err
	}
	l, err := s.find(r)
	if err != nil {
		return err
	}
	members, total, err := s.lists.ListMembers(r.Context(), l.ID, q)
	if err != nil {
		return err
	}
	items, _, _ := memberViews(members)
	return door.Reply(w, struct {
		Items      []memberJSON `json:"items"`
		TotalCount int          `json:"total_count"`
	}{items, total})
}

// memberPages lists members a page at a time, by address, with links to the pages around.
func (s *Surface) memberPages(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	q, err := query(p)
	if err != nil {
		return err
	}
	page, err := p.NameRange("address", pageSize, maxPage)
	if err != nil {
		return err
	}
	l, err := s.find(r)
	if err != nil {
		return err
	}
	q.NamePage = page.NamePage
	members, _, err := s.lists.ListMembers(r.Context(), l.ID, q)
	if err != nil {
		return err
	}
	items, first, last := memberViews(members)
	if q.Subscribed != nil {
		page.Keep("subscribed", p.Get("subscribed"))
	}
	return door.Reply(w, struct {
		Items  []memberJSON `json:"items"`
		Paging door.Paging  `json:"paging"`
	}{items, page.Links(r, "/v3/lists/"+url.PathEscape(l.Address)+"/members/pages", first, last)})
}

// readMember takes what a call says of a member; what it does not name stays.
func readMember(p door.Params, m *store.ListMember) error {
	if given := p.Get("address"); given != "" {
		a, err := readAddress("address", given)
		if err != nil {
			return err
		}
		m.Address = a.String()
	}
	if p.Has("name") {
		m.Name = p.Get("name")
	}
	if err := line("name", m.Name, maxName); err != nil {
		return err
	}
	subscribed, err := p.Flag("subscribed")
	if err != nil {
		return err
	}
	if subscribed != mail.Unset {
		m.Subscribed = subscribed.Bool()
	}
	if vars := p.Get("vars"); vars != "" {
		m.Vars, err = checkVars(vars)
	}
	return err
}

// checkVars returns the variables of a member as they are kept.
func checkVars(vars string) (string, error) {
	if vars == "" || vars == "null" {
		return "{}", nil
	}
	if len(vars) > maxVars {
		return "", door.BadRequest("'vars' parameter is limited to %d KB", maxVars>>10)
	}
	if _, err := strictjson.Object(vars); err != nil {
		return "", door.BadRequest("'vars' parameter is not a valid JSON object: %s", door.Shown(err.Error()))
	}
	return vars, nil
}

// createMember adds a member to a mailing list. One that is there already is refused, or with
// upsert replaced.
func (s *Surface) createMember(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	upsert, err := p.Flag("upsert")
	if err != nil {
		return err
	}
	l, err := s.find(r)
	if err != nil {
		return err
	}
	if p.Get("address") == "" {
		return door.BadRequest("Missing mandatory parameter: address")
	}
	m := store.ListMember{Vars: "{}", Subscribed: true}
	if err := readMember(p, &m); err != nil {
		return err
	}
	n, err := s.lists.PutListMembers(r.Context(), l.ID, []store.ListMember{m}, upsert.Bool())
	if err != nil {
		return s.putError(r, err)
	}
	if n == 0 {
		return door.BadRequest("Address already exists '%s'", m.Address)
	}
	return door.Reply(w, memberAnswer{memberView(m), "Mailing list member has been created"})
}

// putError words what keeps members from being stored.
func (s *Surface) putError(r *door.Request, err error) error {
	return door.AtLimit(door.Missing(err, notFound(r.PathValue("address"))), "a mailing list has %d members at most", store.MaxListMembers)
}

// showMember shows a member of a mailing list.
func (s *Surface) showMember(w http.ResponseWriter, r *door.Request) error {
	l, err := s.find(r)
	if err != nil {
		return err
	}
	m, err := s.lists.ListMember(r.Context(), l.ID, path(r, "member"))
	if err != nil {
		return door.Missing(err, memberNotFound(r))
	}
	return door.Reply(w, memberAnswer{Member: memberView(m)})
}

// updateMember changes what is given of a member: address, name, variables, whether it is
// subscribed.
func (s *Surface) updateMember(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	l, err := s.find(r)
	if err != nil {
		return err
	}
	var address string
	m, err := s.lists.UpdateListMember(r.Context(), l.ID, path(r, "member"), func(m *store.ListMember) error {
		err := readMember(p, m)
		address = m.Address
		return err
	})
	switch {
	case errors.Is(err, store.ErrExists):
		return door.BadRequest("Address already exists '%s'", address)
	case err != nil:
		return door.Missing(err, memberNotFound(r))
	}
	return door.Reply(w, memberAnswer{memberView(m), "Mailing list member has been updated"})
}

// deleteMember takes a member off a mailing list.
func (s *Surface) deleteMember(w http.ResponseWriter, r *door.Request) error {
	l, err := s.find(r)
	if err != nil {
		return err
	}
	if err := s.lists.DeleteListMember(r.Context(), l.ID, path(r, "member")); err != nil {
		return door.Missing(err, memberNotFound(r))
	}
	return door.Reply(w, struct {
		Member  map[string]string `json:"member"`
		Message string            `json:"message"`
	}{map[string]string{"address": path(r, "member")}, "Mailing list member has been deleted"})
}
