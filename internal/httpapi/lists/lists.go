// Package lists serves the mailing lists of an account: addresses that stand for their members.
//
// Lists and members are kept in lower case, since addresses match in any. What a list does with a
// message that is sent to it is decided by the accept room.
package lists

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// Limits on lists.
const (
	maxName        = 255  // characters of a name
	maxDescription = 1000 // characters
	pageSize       = 100
	maxPage        = 1000
)

// Domains finds sending domains, as store.Domains does.
type Domains interface {
	Domain(ctx context.Context, name string) (store.Domain, error)
}

// A Surface answers the calls. It is safe for concurrent use.
type Surface struct {
	lists   store.MailingLists
	domains Domains
	uploads chan struct{} // holds a token for each upload that is being read
}

// New returns the calls over the given lists.
func New(lists store.MailingLists, domains Domains) *Surface {
	return &Surface{lists: lists, domains: domains, uploads: make(chan struct{}, maxUploads)}
}

// Routes lists the calls.
func (s *Surface) Routes() []door.Route {
	const all = "/v3/lists"
	const one, members = all + "/{address}", all + "/{address}/members"
	return []door.Route{
		door.On("GET", all, door.Account, s.list),
		door.On("GET", all+"/pages", door.Account, s.pages),
		door.On("POST", all, door.Account, s.create),
		door.On("GET", one, door.Account, s.show),
		door.On("PUT", one, door.Account, s.update),
		door.On("DELETE", one, door.Account, s.delete),
		door.On("GET", members, door.Account, s.listMembers),
		door.On("GET", members+"/pages", door.Account, s.memberPages),
		door.On("POST", members, door.Account, s.createMember),
		door.On("POST", members+".json", door.Account, s.uploadJSON),
		door.On("POST", members+".csv", door.Account, s.uploadCSV),
		door.On("GET", members+"/{member}", door.Account, s.showMember),
		door.On("PUT", members+"/{member}", door.Account, s.updateMember),
		door.On("DELETE", members+"/{member}", door.Account, s.deleteMember),
	}
}

// A listJSON is a list as clients know it.
type listJSON struct {
	Address         string `json:"address"`
	Name            string `json:"name"`
	Description     string `json:"description"`
	AccessLevel     string `json:"access_level"`
	ReplyPreference string `json:"reply_preference"`
	CreatedAt       string `json:"created_at"`
	MembersCount    int    `json:"members_count"`
}

func view(l store.MailingList) listJSON {
	return listJSON{l.Address, l.Name, l.Description, string(l.Access), l.ReplyPreference, door.MinusZero(l.CreatedAt), l.Members}
}

func views(lists []store.MailingList) (items []listJSON, first, last string) {
	items = []listJSON{}
	for i, l := range lists {
		if i == 0 {
			first = l.Address
		}
		last = l.Address
		items = append(items, view(l))
	}
	return items, first, last
}

// An answer is what most calls answer.
type answer struct {
	List    listJSON `json:"list"`
	Message string   `json:"message,omitempty"`
}

// path returns an address of the path as it is stored.
func path(r *door.Request, part string) string { return strings.ToLower(r.PathValue(part)) }

func notFound(address string) error {
	return door.NotFound("Mailing list " + door.Shown(address) + " not found")
}

// find returns the list of the path.
func (s *Surface) find(r *door.Request) (store.MailingList, error) {
	l, err := s.lists.MailingList(r.Context(), r.Who.AccountID, path(r, "address"))
	return l, door.Missing(err, notFound(r.PathValue("address")))
}

// list lists mailing lists with their number, or the one with the given address.
func (s *Surface) list(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, skip, err := p.Range(pageSize, maxPage)
	if err != nil {
		return err
	}
	var found []store.MailingList
	var total int
	if address := strings.ToLower(p.Get("address")); address != "" {
		l, err := s.lists.MailingList(r.Context(), r.Who.AccountID, address)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			total, found = 1, door.Slice([]store.MailingList{l}, skip, limit)
		}
	} else if found, total, err = s.lists.MailingLists(r.Context(), r.Who.AccountID, store.NamePage{Limit: limit}, skip); err != nil {
		return err
	}
	items, _, _ := views(found)
	return door.Reply(w, struct {
		Items      []listJSON `json:"items"`
		TotalCount int        `json:"total_count"`
	}{items, total})
}

// pages lists mailing lists a page at a time, by address, with links to the pages around.
func (s *Surface) pages(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	page, err := p.NameRange("address", pageSize, maxPage)
	if err != nil {
		return err
	}
	found, _, err := s.lists.MailingLists(r.Context(), r.Who.AccountID, page.NamePage, 0)
	if err != nil {
		return err
	}
	items, first, last := views(found)
	return door.Reply(w, struct {
		Items  []listJSON  `json:"items"`
		Paging door.Paging `json:"paging"`
	}{items, page.Links(r, "/v3/lists/pages", first, last)})
}

// create creates a mailing list at a domain of the account.
func (s *Surface) create(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	l := store.MailingList{AccountID: r.Who.AccountID, Access: store.AccessReadOnly, ReplyPreference: "list"}
	if p.Get("address") == "" {
		return door.BadRequest("Missing mandatory parameter: address")
	}
	if err := s.read(r, p, &l); err != nil {
		return err
	}
	switch err := s.lists.CreateMailingList(r.Context(), &l); {
	case errors.Is(err, store.ErrExists):
		return door.BadRequest("Address already exists '%s'", l.Address)
	case err != nil:
		return door.AtLimit(err, "mailing list limit of %d reached", store.MaxLists)
	}
	return door.Reply(w, answer{view(l), "Mailing list has been created"})
}

// readAddress reads an address; a display name is dropped.
func readAddress(param, value string) (mail.Address, error) {
	m, err := mail.ParseMailbox(value)
	if err != nil {
		return mail.Address{}, door.BadRequest("%s parameter is not a valid address. please check documentation", param)
	}
	a := m.Address
	a.Local, a.Domain = strings.ToLower(a.Local), strings.ToLower(a.Domain)
	return a, nil
}

// read takes what a call says of a list; what it does not name stays.
func (s *Surface) read(r *door.Request, p door.Params, l *store.MailingList) error {
	if given := p.Get("address"); given != "" {
		if err := s.readListAddress(r, given, l); err != nil {
			return err
		}
	}
	for param, into := range map[string]*string{"name": &l.Name, "description": &l.Description} {
		if p.Has(param) {
			*into = p.Get(param)
		}
	}
	if err := errors.Join(line("name", l.Name, maxName), line("description", l.Description, maxDescription)); err != nil {
		return err
	}
	switch level := store.AccessLevel(strings.ToLower(p.Get("access_level"))); level {
	case "":
	case store.AccessReadOnly, store.AccessMembers, store.AccessEveryone:
		l.Access = level
	default:
		return door.BadRequest("Invalid access level '%s'. It can be any of: 'readonly', 'members', 'everyone'.", door.Shown(p.Get("access_level")))
	}
	switch preference := strings.ToLower(p.Get("reply_preference")); preference {
	case "":
	case "list", "sender":
		l.ReplyPreference = preference
	default:
		return door.BadRequest("Invalid reply preference '%s'. It can be any of: 'list', 'sender'.", door.Shown(p.Get("reply_preference")))
	}
	return nil
}

// readListAddress reads the address of a list: it is at a sending domain of the account.
func (s *Surface) readListAddress(r *door.Request, given string, l *store.MailingList) error {
	a, err := readAddress("address", given)
	if err != nil {
		return err
	}
	d, err := s.domains.Domain(r.Context(), a.Domain)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || !r.Who.Owns(&d) || l.AccountID != 0 && d.AccountID != l.AccountID {
		return door.NotFound("Domain not found: " + a.Domain)
	}
	l.Address, l.DomainID, l.AccountID = a.String(), d.ID, d.AccountID
	return nil
}

// line checks a text that people write.
func line(param, s string, most int) error {
	if utf8.RuneCountInString(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return door.BadRequest("'%s' parameter must be text on one line of at most %d characters", param, most)
	}
	return nil
}

// show shows a mailing list.
func (s *Surface) show(w http.ResponseWriter, r *door.Request) error {
	l, err := s.find(r)
	if err != nil {
		return err
	}
	return door.Reply(w, answer{List: view(l)})
}

// update changes what is given of a mailing list, its address among it.
func (s *Surface) update(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	var address string
	l, err := s.lists.UpdateMailingList(r.Context(), r.Who.AccountID, path(r, "address"), func(l *store.MailingList) error {
		err := s.read(r, p, l)
		address = l.Address
		return err
	})
	switch {
	case errors.Is(err, store.ErrExists):
		return door.BadRequest("Address already exists '%s'", address)
	case err != nil:
		return door.Missing(err, notFound(r.PathValue("address")))
	}
	return door.Reply(w, answer{view(l), "Mailing list has been updated"})
}

// delete deletes a mailing list with its members.
func (s *Surface) delete(w http.ResponseWriter, r *door.Request) error {
	if err := s.lists.DeleteMailingList(r.Context(), r.Who.AccountID, path(r, "address")); err != nil {
		return door.Missing(err, notFound(r.PathValue("address")))
	}
	return door.Reply(w, struct {
		Address string `json:"address"`
		Message string `json:"message"`
	}{path(r, "address"), "Mailing list has been removed"})
}
