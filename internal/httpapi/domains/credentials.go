package domains

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

const passwordNote = "Please store your new password(s) now. You won't be able to see it anymore."

// errNoCredential is the answer for a login that does not exist in the domain.
var errNoCredential = door.NotFound("Credentials not found")

// systemLogin is the login that every domain may have from its creation.
func systemLogin(d store.Domain) string { return "postmaster@" + d.Name }

// checkPassword checks a password that a client chose; empty means none.
func checkPassword(s string) error {
	if n := utf8.RuneCountInString(s); n != 0 && (n < 5 || n > 32) {
		return door.BadRequest("Password is too short. It must be between 5 and 32 characters.")
	}
	return nil
}

// newPassword makes a password of 130 random bits.
func newPassword() string {
	var b [17]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))[:26]
}

func (c *Calls) putCredential(ctx context.Context, d store.Domain, login, secret string) error {
	hash, err := c.deps.HashPassword(secret)
	if err != nil {
		return err
	}
	_, err = c.deps.Credentials.PutCredential(ctx, store.Credential{Login: login, DomainID: d.ID, PasswordHash: hash})
	return err
}

// loginOf reads a login: a local part, or a whole address of the domain.
func loginOf(d store.Domain, s string) (string, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "@") {
		s += "@" + d.Name
	}
	address, err := mail.ParseAddress(s)
	if err != nil || address.Domain != d.Name {
		return "", door.BadRequest("'%s' is not a valid login of domain %s", door.Shown(s), d.Name)
	}
	return address.Key(), nil
}

// listCredentials lists the SMTP logins of the domain, without their passwords.
func (c *Calls) listCredentials(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, err := p.Number("limit", 1, 100)
	if err != nil {
		return err
	}
	if limit > 1000 {
		return door.BadRequest("Limit parameter can't be larger than 1000")
	}
	_, skip, err := p.Range(100, 1000)
	if err != nil {
		return err
	}
	all, err := c.deps.Credentials.ListCredentials(r.Context(), r.Domain.ID)
	if err != nil {
		return err
	}
	type item struct {
		Login     string `json:"login"`
		Mailbox   string `json:"mailbox"`
		CreatedAt string `json:"created_at"`
		SizeBytes *int   `json:"size_bytes"`
	}
	items := []item{}
	for _, cred := range door.Slice(all, skip, limit) {
		items = append(items, item{Login: cred.Login, Mailbox: cred.Login, CreatedAt: door.GMT(cred.CreatedAt)})
	}
	return door.Reply(w, struct {
		TotalCount int    `json:"total_count"`
		Items      []item `json:"items"`
	}{len(all), items})
}

// A createdCredentials tells generated passwords, once.
type createdCredentials struct {
	Message     string            `json:"message"`
	Note        string            `json:"note,omitempty"`
	Credentials map[string]string `json:"credentials,omitempty"`
}

// createCredentials creates SMTP logins of the domain. Where no password is given one is made for
// each and shown in this answer only.
func (c *Calls) createCredentials(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	given := p.Values["login"]
	if len(given) == 0 {
		given = p.Values["mailbox"]
	}
	system, err := p.Flag("system")
	if err != nil {
		return err
	}
	if system == mail.True && len(given) == 0 {
		given = []string{systemLogin(r.Domain)}
	}
	if len(given) == 0 || given[0] == "" {
		return door.BadRequest("Parameter 'login' is missing")
	}
	if len(given) > 100 {
		return door.BadRequest("at most 100 credentials can be created at once")
	}
	if err := checkPassword(p.Get("password")); err != nil {
		return err
	}
	logins := make([]string, len(given))
	for i, g := range given { // all of them before the first is stored
		if logins[i], err = loginOf(r.Domain, g); err != nil {
			return err
		}
	}
	shownOnce := map[string]string{}
	for _, login := range logins {
		secret := p.Get("password")
		if secret == "" {
			secret = newPassword()
			shownOnce[login] = secret
		}
		if err := c.putCredential(r.Context(), r.Domain, login, secret); err != nil {
			return err
		}
	}
	answer := createdCredentials{Message: "Created " + strconv.Itoa(len(logins)) + " credentials pair(s)"}
	if len(shownOnce) > 0 {
		answer.Note, answer.Credentials = passwordNote, shownOnce
	}
	return door.Reply(w, answer)
}

// credentialOf finds the login that the path names.
func (c *Calls) credentialOf(r *door.Request) (store.Credential, error) {
	login, err := loginOf(r.Domain, r.PathValue("login"))
	if err != nil {
		return store.Credential{}, errNoCredential
	}
	cred, err := c.deps.Credentials.Credential(r.Context(), login)
	if err == nil && cred.DomainID != r.Domain.ID {
		err = store.ErrNotFound
	}
	return cred, door.Missing(err, errNoCredential)
}

// updateCredential changes the password of an SMTP login. Where none is given one is made and shown
// in this answer only.
func (c *Calls) updateCredential(w http.ResponseWriter, r *door.Request) error {
	cred, err := c.credentialOf(r)
	if err != nil {
		return err
	}
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	secret := p.Get("password")
	if err := checkPassword(secret); err != nil {
		return err
	}
	answer := createdCredentials{Message: "Password changed"}
	if secret == "" {
		secret = newPassword()
		answer.Note, answer.Credentials = passwordNote, map[string]string{cred.Login: secret}
	}
	if err := c.putCredential(r.Context(), r.Domain, cred.Login, secret); err != nil {
		return err
	}
	return door.Reply(w, answer)
}

// deleteCredential deletes an SMTP login of the domain. That of postmaster stays.
func (c *Calls) deleteCredential(w http.ResponseWriter, r *door.Request) error {
	cred, err := c.credentialOf(r)
	if err != nil {
		return err
	}
	if cred.Login == systemLogin(r.Domain) {
		return door.BadRequest("Cannot delete system mailbox: %s", cred.Login)
	}
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	if err := c.deps.Credentials.DeleteCredential(r.Context(), r.Domain.ID, cred.Login); err != nil {
		return door.Missing(err, errNoCredential)
	}
	return door.Reply(w, struct {
		Message string `json:"message"`
		Spec    string `json:"spec"`
	}{"Credentials have been deleted", cred.Login})
}

// deleteAllCredentials deletes the SMTP logins of the domain, save that of postmaster.
func (c *Calls) deleteAllCredentials(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	all, err := c.deps.Credentials.ListCredentials(r.Context(), r.Domain.ID)
	if err != nil {
		return err
	}
	n := 0
	for _, cred := range all {
		if cred.Login == systemLogin(r.Domain) {
			continue
		}
		if err := c.deps.Credentials.DeleteCredential(r.Context(), r.Domain.ID, cred.Login); err != nil {
			return door.Missing(err, errNoCredential)
		}
		n++
	}
	return door.Reply(w, struct {
		Message string `json:"message"`
		Count   int    `json:"count"`
	}{"All domain credentials have been deleted", n})
}
