package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// An overrideJSON is an override. What it does not set is left out.
type overrideJSON struct {
	ID           int64     `json:"id"`
	Domain       string    `json:"domain,omitempty"`
	MXHost       string    `json:"mx-host,omitempty"`
	DANE         string    `json:"dane,omitempty"`
	STS          string    `json:"mta-sts,omitempty"`
	Requirement  string    `json:"requirement,omitempty"`
	MinTLS       string    `json:"min-tls,omitempty"`
	OnUnverified string    `json:"on-unverified,omitempty"`
	ClientCert   string    `json:"client-cert,omitempty"`
	Author       string    `json:"author"`
	Reason       string    `json:"reason"`
	Created      time.Time `json:"created"`
	Expires      time.Time `json:"expires,omitzero"`
	Active       bool      `json:"active"`
	Lowers       bool      `json:"lowers"` // it can lead to less security than there would be without it
}

func overrideView(o mail.Override, now time.Time) overrideJSON {
	v := overrideJSON{
		ID: o.ID, Domain: o.Target, DANE: string(o.DANE), STS: string(o.STS), Requirement: o.Requirement, MinTLS: string(o.MinTLS),
		OnUnverified: string(o.OnUnverified), ClientCert: o.ClientCert, Author: o.Author, Reason: o.Reason,
		Created: o.Created, Expires: o.Expires, Active: o.Active(now), Lowers: o.Lowers(),
	}
	if o.MXHost {
		v.Domain, v.MXHost = "", o.Target
	}
	return v
}

// listOverrides lists overrides, newest first; with active=yes those that count
// now, with active=no those that have ended.
func (a *API) listOverrides(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	limit, skip, err := p.Range(100, 1000)
	if err != nil {
		return err
	}
	active, err := p.Flag("active")
	if err != nil {
		return err
	}
	all, err := a.deps.Overrides.ListOverrides(r.Context())
	if err != nil {
		return err
	}
	now := time.Now()
	all = slices.DeleteFunc(all, func(o mail.Override) bool { return active != mail.Unset && active.Bool() != o.Active(now) })
	items := []overrideJSON{}
	for _, o := range door.Slice(all, skip, limit) {
		items = append(items, overrideView(o, now))
	}
	return door.Reply(w, struct {
		TotalCount int            `json:"total_count"`
		Items      []overrideJSON `json:"items"`
	}{len(all), items})
}

// createOverride makes an exception from TLS settings for one destination, with a reason and an
// end.
func (a *API) createOverride(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	now := time.Now()
	o, err := parseOverride(p, now)
	if err != nil {
		return err
	}
	if o.ClientCert != "" {
		if err := a.deps.CheckClientCert(o.ClientCert); err != nil {
			return door.BadRequest("'client-cert' parameter: %s", err)
		}
	}
	replace, err := p.Flag("replace")
	if err != nil {
		return err
	}
	o.Author = r.Who.Actor()
	err = a.deps.Overrides.CreateOverride(r.Context(), &o, replace.Bool())
	if errors.Is(err, store.ErrExists) {
		return a.overrideConflict(r, o, now)
	}
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message  string       `json:"message"`
		Override overrideJSON `json:"override"`
	}{"Override has been created", overrideView(o, now)})
}

// overrideConflict names the override that is in the way. Two that both count would leave
// it to the order of a table which one does.
func (a *API) overrideConflict(r *door.Request, o mail.Override, now time.Time) error {
	all, err := a.deps.Overrides.ListOverrides(r.Context())
	if err != nil {
		return err
	}
	which := ""
	for _, old := range all {
		if old.Target == o.Target && old.MXHost == o.MXHost && old.Active(now) {
			which = fmt.Sprintf(" (id %d: %s)", old.ID, old)
		}
	}
	return &door.Problem{Status: http.StatusConflict,
		Message: fmt.Sprintf("there is an override for %s already%s; delete it first, or pass replace=yes", o.Target, which)}
}

// deleteOverride ends an override at once.
func (a *API) deleteOverride(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	none := door.NotFound("no override matching id")
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return none
	}
	if err := a.deps.Overrides.DeleteOverride(r.Context(), id); err != nil {
		return door.Missing(err, none)
	}
	return door.Say(w, "Override has been deleted")
}

// certName is what the name of a client certificate may look like: it becomes the name of a file.
var certName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// parseOverride reads an override and refuses what makes no sense or lowers
// security without an end. Whether a client certificate exists is not its business.
func parseOverride(p door.Params, now time.Time) (mail.Override, error) {
	o, err := parseTarget(p)
	if err != nil {
		return o, err
	}
	for _, s := range []struct {
		name  string
		into  func(string)
		words []string
	}{
		{"dane", func(s string) { o.DANE = mail.PolicyMode(s) }, []string{"honor", "audit", "ignore"}},
		{"mta-sts", func(s string) { o.STS = mail.PolicyMode(s) }, []string{"honor", "audit", "ignore"}},
		{"min-tls", func(s string) { o.MinTLS = mail.TLSVersion(s) }, []string{"1.0", "1.1", "1.2", "1.3"}},
		{"on-unverified", func(s string) { o.OnUnverified = mail.OnUnverified(s) }, []string{"plaintext", "encrypt"}},
	} {
		word, err := p.OneOf(s.name, s.words...)
		if err != nil {
			return o, err
		}
		s.into(word)
	}
	switch o.Requirement = strings.ToUpper(strings.TrimSpace(p.Get("requirement"))); o.Requirement {
	case "", "OV", "OA", "RV", "RA":
	default:
		return o, door.BadRequest("'requirement' parameter must be one of: OV, OA, RV, RA")
	}
	if o.ClientCert = p.Get("client-cert"); o.ClientCert != "" && !certName.MatchString(o.ClientCert) {
		return o, door.BadRequest("'client-cert' parameter must be a name of letters, digits, dots, hyphens and underscores")
	}
	switch {
	case len(o.Sets()) == 0:
		return o, door.BadRequest("an override must set something: dane, mta-sts, requirement, min-tls, on-unverified or client-cert")
	case o.OnUnverified != "" && o.Requirement != "" && o.Requirement != "OV":
		return o, door.BadRequest("'on-unverified' parameter means nothing under requirement=%s: only OV delivers in plaintext when a certificate does not verify", o.Requirement)
	}
	if o.Reason = p.Get("reason"); o.Reason == "" {
		return o, door.BadRequest("'reason' parameter is missing: say why, for those who will read it later")
	}
	if o.Expires, err = door.ParseExpires(p.Get("expires"), now); err != nil {
		return o, err
	}
	if o.Lowers() && o.Expires.IsZero() {
		return o, door.BadRequest("'expires' parameter is missing: %s would lower security, and whatever does must have an end (a date, or 14d)", strings.Join(o.Lowering(), " and "))
	}
	return o, nil
}

// parseTarget reads what an override is for: one of the two.
func parseTarget(p door.Params) (mail.Override, error) {
	domain, host := p.Get("domain"), p.Get("mx-host")
	if (domain == "") == (host == "") {
		return mail.Override{}, door.BadRequest("say what the override is for: either 'domain', a recipient domain, or 'mx-host'")
	}
	name := "domain"
	if host != "" {
		name = "mx-host"
	}
	target, err := mail.ParseDomain(cmp.Or(domain, host))
	if err != nil {
		return mail.Override{}, door.BadRequest("'%s' parameter: %s", name, err)
	}
	return mail.Override{Target: target, MXHost: host != ""}, nil
}
