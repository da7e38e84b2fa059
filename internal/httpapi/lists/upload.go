package lists

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/strictjson"
)

// Limits on uploads.
const (
	maxUpload  = 25 << 20 // octets
	maxJSON    = 1000     // members of a JSON list
	maxUploads = 2        // read at a time; more wait
	putAtOnce  = 1000     // members stored in one transaction
)

// uploadRules are the limits on the form of an upload, whose members may come as a file.
func uploadRules() door.FormRules {
	return door.FormRules{Body: maxUpload + 1<<20, Content: maxUpload + 1<<20, Field: maxUpload}
}

// upload reads members from a form and stores them: all of them are understood before the first is
// stored. Members that are on the list already are left alone unless upsert is asked for.
func (s *Surface) upload(w http.ResponseWriter, r *door.Request, parse func(content []byte, subscribed bool) ([]store.ListMember, error)) error {
	f, err := r.Form(uploadRules())
	if err != nil {
		return err
	}
	defer f.Close()
	p := f.Params()
	upsert, err := p.Flag("upsert")
	if err != nil {
		return err
	}
	subscribed, err := p.Flag("subscribed")
	if err != nil {
		return err
	}
	l, err := s.find(r)
	if err != nil {
		return err
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	content, err := readMembers(f)
	if err != nil {
		return err
	}
	members, err := parse(content, subscribed != mail.False)
	if err != nil {
		return door.BadRequest("while un-marshalling 'members' param - %s", door.Shown(err.Error()))
	}
	if len(members) > store.MaxListMembers {
		return door.BadRequest("a mailing list has %d members at most", store.MaxListMembers)
	}
	for len(members) > 0 {
		n := min(len(members), putAtOnce)
		if _, err := s.lists.PutListMembers(r.Context(), l.ID, members[:n], upsert.Bool()); err != nil {
			return s.putError(r, err)
		}
		members = members[n:]
	}
	if l, err = s.find(r); err != nil {
		return err
	}
	return door.Reply(w, struct {
		answer
		TaskID string `json:"task-id"` // of the request: there is nothing more to wait for
	}{answer{view(l), "Mailing list has been updated"}, r.ID})
}

// readMembers returns what the form has of members: a file or a field.
func readMembers(f *door.Form) ([]byte, error) {
	files := f.Files("members")
	if len(files) == 0 {
		if text := f.Last("members"); text != "" {
			return []byte(text), nil
		}
		return nil, door.BadRequest("Missing mandatory parameter: members")
	}
	file, err := files[0].Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxUpload+1))
	if err == nil && len(content) > maxUpload {
		err = door.ErrTooLarge
	}
	return content, err
}

// uploadJSON adds up to 1,000 members from a JSON list of addresses or objects. Either all are
// understood or none is added.
func (s *Surface) uploadJSON(w http.ResponseWriter, r *door.Request) error {
	return s.upload(w, r, parseJSON)
}

// uploadCSV adds members from a CSV file with a header: address, and name, vars and subscribed as
// there are. Either all are understood or none is added.
func (s *Surface) uploadCSV(w http.ResponseWriter, r *door.Request) error {
	return s.upload(w, r, parseCSV)
}

// parseJSON reads a list of addresses or of objects.
func parseJSON(content []byte, subscribed bool) ([]store.ListMember, error) {
	if err := strictjson.Check(string(content)); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, errors.New("not a list")
	}
	if len(list) > maxJSON {
		return nil, fmt.Errorf("more than %d members", maxJSON)
	}
	members := make([]store.ListMember, 0, len(list))
	for i, raw := range list {
		m, err := jsonMember(raw, subscribed)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", i+1, err)
		}
		members = append(members, m)
	}
	return members, nil
}

// jsonMember reads an address or an object.
func jsonMember(raw json.RawMessage, subscribed bool) (store.ListMember, error) {
	var address string
	if json.Unmarshal(raw, &address) == nil {
		return newMember(address, "", "", subscribed)
	}
	var m struct {
		Address    string          `json:"address"`
		Name       string          `json:"name"`
		Vars       json.RawMessage `json:"vars"`
		Subscribed json.RawMessage `json:"subscribed"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return store.ListMember{}, errors.New("neither an address nor an object with one")
	}
	if s := strictjson.Text(m.Subscribed); s != "" && s != "null" {
		t, err := mail.ParseTri(s)
		if err != nil {
			return store.ListMember{}, errors.New("subscribed must be true or false")
		}
		subscribed = t.Bool()
	}
	return newMember(m.Address, m.Name, strictjson.Text(m.Vars), subscribed)
}

// parseCSV reads rows below a header that names their columns: address, and name, vars and
// subscribed as there are. Other columns are passed over.
func parseCSV(content []byte, subscribed bool) ([]store.ListMember, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))))
	r.FieldsPerRecord, r.ReuseRecord, r.TrimLeadingSpace = -1, true, true
	header, err := r.Read()
	if err != nil {
		return nil, errors.New("while reading csv header")
	}
	columns := map[string]int{}
	for i, name := range header {
		columns[strings.ToLower(strings.TrimSpace(name))] = i
	}
	if _, ok := columns["address"]; !ok {
		return nil, errors.New("while reading csv header: there is no column address")
	}
	var members []store.ListMember
	for {
		row, err := r.Read()
		if err == io.EOF {
			return members, nil
		}
		if err != nil {
			return nil, errors.New("not a CSV file")
		}
		line, _ := r.FieldPos(0)
		m, err := csvMember(row, columns, subscribed)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if members = append(members, m); len(members) > store.MaxListMembers {
			return nil, fmt.Errorf("more than %d members", store.MaxListMembers)
		}
	}
}

func csvMember(row []string, columns map[string]int, subscribed bool) (store.ListMember, error) {
	cell := func(name string) string {
		if i, ok := columns[name]; ok && i < len(row) {
			return strings.TrimSpace(row[i])
		}
		return ""
	}
	if s := cell("subscribed"); s != "" {
		t, err := mail.ParseTri(s)
		if err != nil {
			return store.ListMember{}, errors.New("subscribed must be yes, no, true or false")
		}
		subscribed = t.Bool()
	}
	return newMember(cell("address"), cell("name"), cell("vars"), subscribed)
}

// newMember checks what an upload says of a member. A display name of the address is its name,
// unless it has another.
func newMember(address, name, vars string, subscribed bool) (store.ListMember, error) {
	m, err := mail.ParseMailbox(address)
	if err != nil {
		return store.ListMember{}, fmt.Errorf("%.100q is not a valid address", address)
	}
	if name == "" {
		name = m.Name
	}
	if err := line("name", name, maxName); err != nil {
		return store.ListMember{}, words(err)
	}
	if vars, err = checkVars(vars); err != nil {
		return store.ListMember{}, words(err)
	}
	a, err := readAddress("address", m.Address.String())
	return store.ListMember{Address: a.String(), Name: name, Vars: vars, Subscribed: subscribed}, err
}

// words are those of a problem alone, to be said as part of another.
func words(err error) error {
	var p *door.Problem
	if errors.As(err, &p) {
		return errors.New(p.Message)
	}
	return err
}
