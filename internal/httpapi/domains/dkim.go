package domains

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/dkimkeys"
	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// errNoKey answers for a key that does not exist for the caller.
var errNoKey = door.NotFound("domain key not found")

// A keyJSON is a DKIM key as clients know it, and what we say besides.
type keyJSON struct {
	SigningDomain string      `json:"signing_domain"`
	Selector      string      `json:"selector"`
	Record        *recordJSON `json:"dns_record"`
	Active        bool        `json:"active"`
	// KeepUntil is the end of the time for which the record of a key that was rotated out must stay.
	KeepUntil string `json:"keep_until,omitempty"`
}

// keyViews shows the domain's keys in the order they were made.
func (c *Calls) keyViews(d *store.Domain) []keyJSON {
	views := []keyJSON{}
	for _, rec := range c.cfg.DNS.Sending(d, d) {
		if rec.Selector != "" {
			views = append(views, keyView(d, rec))
		}
	}
	return views
}

func keyView(d *store.Domain, rec domaindns.Record) keyJSON {
	k := d.DKIM[dkimkeys.Find(d, rec.Selector)]
	v := keyJSON{SigningDomain: d.Name, Selector: k.Selector, Record: recordView(d, d, rec), Active: k.Active}
	if !k.RetiredAt.IsZero() {
		v.KeepUntil = door.GMT(k.RetiredAt.Add(dkimkeys.KeepRetired))
	}
	return v
}

// listKeys lists the DKIM keys of the domain, in the order they were made, with the DNS record of
// each.
func (c *Calls) listKeys(w http.ResponseWriter, r *door.Request) error {
	return door.Reply(w, struct {
		Items []keyJSON `json:"items"`
	}{c.keyViews(&r.Domain)})
}

// listAllKeys lists the DKIM keys of all domains that exist for the caller, by domain.
func (c *Calls) listAllKeys(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, err := p.Number("limit", 1, 10)
	if err != nil {
		return err
	}
	list, err := c.deps.Domains.ListDomains(r.Context())
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b store.Domain) int { return cmp.Compare(a.Name, b.Name) })
	domain, selector := strings.ToLower(p.Get("signing_domain")), strings.ToLower(p.Get("selector"))
	var all []keyJSON
	for _, d := range list {
		if !r.Who.Owns(&d) || domain != "" && d.Name != domain {
			continue
		}
		for _, v := range c.keyViews(&d) {
			if selector == "" || v.Selector == selector {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, func(a, b keyJSON) int { return strings.Compare(position(a), position(b)) })
	items, links := keyPage(all, p, min(limit, 100), r.Base+"/v1/dkim/keys")
	return door.Reply(w, struct {
		Items  []keyJSON   `json:"items"`
		Paging door.Paging `json:"paging"`
	}{items, links})
}

// createKey makes a DKIM key for a domain, or takes one that the client has. It does not sign
// before it is activated and its record was seen.
func (c *Calls) createKey(w http.ResponseWriter, r *door.Request) error {
	f, err := r.Form(door.SmallForm())
	if err != nil {
		return err
	}
	defer f.Close()
	p := f.Params()
	domain, err := c.signingDomain(r, p)
	if err != nil {
		return err
	}
	selector := strings.ToLower(strings.TrimSpace(p.Get("selector")))
	if selector == "" {
		return door.BadRequest("selector parameter is missing")
	}
	if !signing.IsSelector(selector) {
		return door.BadRequest("'selector' parameter is not a valid selector")
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	if dkimkeys.Find(domain, selector) >= 0 {
		return keyProblem("create", dkimkeys.ErrDuplicate) // before the work of making one
	}
	key, err := newKey(f, p, selector)
	if err != nil {
		return err
	}
	d, err := c.changeKeys(r, domain.Name, "create", func(d *store.Domain) error { return dkimkeys.Add(d, key) })
	if err != nil {
		return err
	}
	for _, v := range c.keyViews(&d) {
		if v.Selector == selector {
			return door.Reply(w, v)
		}
	}
	return errNoKey // deleted in between
}

// signingDomain finds the domain that a call without one in its path is about.
func (c *Calls) signingDomain(r *door.Request, p door.Params) (*store.Domain, error) {
	name := p.Get("signing_domain")
	if name == "" {
		return nil, door.BadRequest("signing_domain parameter is missing")
	}
	ascii, err := mail.ParseDomain(name)
	if err != nil {
		return nil, errNoDomain
	}
	d, err := c.deps.Domains.Domain(r.Context(), ascii)
	if err == nil && !r.Who.Owns(&d) {
		err = store.ErrNotFound
	}
	return &d, door.Missing(err, errNoDomain)
}

// newKey reads or makes the private key. It may come as a file or as text.
func newKey(f *door.Form, p door.Params, selector string) (store.DKIMKey, error) {
	kind, err := kindOf(p, "bits", p.Get("key_type"))
	if err != nil {
		return store.DKIMKey{}, err
	}
	text := p.Get("pem")
	if files := f.Files("pem"); len(files) > 0 {
		if text, err = readFile(files[0].Open); err != nil {
			return store.DKIMKey{}, err
		}
	}
	if text == "" {
		return dkimkeys.Generate(selector, kind, time.Now())
	}
	key, err := dkimkeys.Import(selector, text, time.Now())
	switch {
	case errors.Is(err, signing.ErrNoPEM):
		return key, door.BadRequest("failed to import domain key: failed to parse PEM")
	case errors.Is(err, signing.ErrKeySize):
		return key, door.BadRequest("failed to import domain key: %s", err)
	case err != nil:
		return key, door.BadRequest("failed to parse private key: key must be PKCS1 format")
	}
	return key, nil
}

func readFile(open func() (io.ReadCloser, error)) (string, error) {
	r, err := open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, dkimkeys.MaxPEM+1))
	return string(b), err
}

// kindOf reads what a new key is made of. Keys have 2,048 bits also where 1,024 are asked for:
// verifiers may ignore shorter ones (RFC 8301).
func kindOf(p door.Params, bits, kind string) (dkimkeys.Kind, error) {
	size, err := p.OneOf(bits, "1024", "2048", "4096")
	if err != nil {
		return 0, err
	}
	switch {
	case kind != "" && kind != "rsa" && kind != "ed25519":
		return 0, door.BadRequest("'key_type' parameter must be one of: rsa, ed25519")
	case kind == "ed25519":
		return dkimkeys.Ed25519, nil
	case size == "4096":
		return dkimkeys.RSA4096, nil
	}
	return dkimkeys.RSA2048, nil
}

// firstKey makes the key of a new domain.
func (c *Calls) firstKey(d *store.Domain, p door.Params) error {
	selector := strings.ToLower(cmp.Or(p.Get("dkim_selector"), c.cfg.Selector))
	if !signing.IsSelector(selector) {
		return door.BadRequest("'dkim_selector' parameter is not a valid selector")
	}
	kind, err := kindOf(p, "dkim_key_size", "")
	if err != nil {
		return err
	}
	key, err := dkimkeys.Generate(selector, kind, time.Now())
	if err != nil {
		return fmt.Errorf("make a DKIM key: %w", err)
	}
	return dkimkeys.Add(d, key)
}

// changeKeys changes a domain's keys.
func (c *Calls) changeKeys(r *door.Request, domain, doing string, change func(*store.Domain) error) (store.Domain, error) {
	d, err := c.deps.Domains.UpdateDomain(r.Context(), domain, change)
	if errors.Is(err, store.ErrNotFound) {
		return d, errNoDomain
	}
	return d, keyProblem(doing, err)
}

// keyProblem words what is wrong with a change of keys.
func keyProblem(doing string, err error) error {
	switch {
	case errors.Is(err, dkimkeys.ErrNotFound):
		return errNoKey
	case errors.Is(err, dkimkeys.ErrDuplicate):
		return door.BadRequest("failed to create domain key: duplicate key")
	case errors.Is(err, dkimkeys.ErrLastActive):
		return door.BadRequest("cannot %s domain key: %s", doing, dkimkeys.ErrLastActive)
	case errors.Is(err, dkimkeys.ErrTooMany):
		return door.BadRequest("failed to %s domain key: %s", doing, dkimkeys.ErrTooMany)
	case errors.Is(err, dkimkeys.ErrFull):
		return door.BadRequest("failed to %s domain key: %s", doing, dkimkeys.ErrFull)
	}
	return err
}

// deleteKey deletes a DKIM key of a domain. The last one that is active cannot be deleted.
func (c *Calls) deleteKey(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	domain, err := c.signingDomain(r, p)
	if err != nil {
		return err
	}
	if p.Get("selector") == "" {
		return door.BadRequest("selector parameter is missing")
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	selector := strings.ToLower(p.Get("selector"))
	if _, err := c.changeKeys(r, domain.Name, "delete", func(d *store.Domain) error { return dkimkeys.Delete(d, selector) }); err != nil {
		return err
	}
	return door.Say(w, "success")
}

// activateKey lets a DKIM key sign the mail of the domain. It signs from the moment that its record
// is seen in DNS, which is looked for at once.
func (c *Calls) activateKey(w http.ResponseWriter, r *door.Request) error {
	return c.switchKey(w, r, "activate", dkimkeys.Activate, true)
}

// deactivateKey stops a DKIM key from signing. The last one that is active stays.
func (c *Calls) deactivateKey(w http.ResponseWriter, r *door.Request) error {
	return c.switchKey(w, r, "deactivate", dkimkeys.Deactivate, false)
}

// switchKey activates or deactivates a key. One that is activated is looked up at once, so that it
// signs from now on if its record is there.
func (c *Calls) switchKey(w http.ResponseWriter, r *door.Request, doing string, change func(*store.Domain, string) error, active bool) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	selector := strings.ToLower(r.PathValue("selector"))
	d, err := c.changeKeys(r, r.Domain.Name, doing, func(d *store.Domain) error { return change(d, selector) })
	if err != nil {
		return err
	}
	if active {
		ctx, cancel := r.Bounded()
		defer cancel()
		if err := c.lookForKey(ctx, &d, selector); err != nil {
			return err
		}
	}
	return door.Reply(w, struct {
		Message   string `json:"message"`
		Authority string `json:"authority"`
		Selector  string `json:"selector"`
		Active    bool   `json:"active"`
	}{"domain key " + doing + "d", d.Name, selector, active})
}

// lookForKey looks whether the record of one key is there, and notes it if it is.
func (c *Calls) lookForKey(ctx context.Context, d *store.Domain, selector string) error {
	records := slices.DeleteFunc(c.cfg.DNS.Sending(d, d), func(rec domaindns.Record) bool { return rec.Selector != selector })
	now := time.Now().UTC()
	checks := domaindns.Check(ctx, c.deps.Resolver, records, now, c.deps.Log)
	_, err := c.deps.Domains.UpdateDomain(ctx, d.Name, func(d *store.Domain) error {
		for _, check := range checks {
			d.Checks = slices.DeleteFunc(d.Checks, func(old store.DNSCheck) bool { return old.Name == check.Name && old.Type == check.Type })
			d.Checks = append(d.Checks, check)
		}
		markSeen(d, records, checks, now)
		return nil
	})
	return door.Missing(err, errNoDomain)
}

// above returns the name of the domain of the same account above d: the named one, or the nearest
// for the empty name. Empty: there is none.
func (c *Calls) above(ctx context.Context, d *store.Domain, name string) (string, error) {
	for parent := d.Name; strings.Contains(parent, "."); {
		if _, parent, _ = strings.Cut(parent, "."); name != "" && parent != name {
			continue
		}
		switch p, err := c.deps.Domains.Domain(ctx, parent); {
		case err == nil && p.AccountID == d.AccountID:
			return p.Name, nil
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return "", err
		}
	}
	return "", nil
}
