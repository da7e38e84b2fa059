package domains

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/dkimkeys"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// updateAuthority sets whose DKIM keys sign: the domain's own, or those of the domain above it.
func (c *Calls) updateAuthority(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	self, err := p.Flag("self")
	if err != nil {
		return err
	}
	if self == mail.Unset {
		return door.BadRequest("self parameter is missing")
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	name := ""
	if self == mail.False {
		if name, err = c.above(r.Context(), &r.Domain, ""); err != nil {
			return err
		}
	}
	d, err := c.changeDomain(r, func(d *store.Domain) error {
		d.Settings.DKIMAuthority = name
		return nil
	})
	if err != nil {
		return err
	}
	authority, err := c.authority(r.Context(), &d)
	if err != nil {
		return err
	}
	changed := cmp.Or(r.Domain.Settings.DKIMAuthority, d.Name) != cmp.Or(name, d.Name)
	text := "Domain DKIM authority has been changed"
	if !changed {
		text = "Domain DKIM authority has not been changed"
	}
	return door.Reply(w, struct {
		Message string        `json:"message"`
		Changed bool          `json:"changed"`
		Sending []*recordJSON `json:"sending_dns_records"`
	}{text, changed, c.sendingViews(&d, authority)})
}

// updateSelector gives the DKIM key that signs another selector. If its record was seen it signs
// under the old one until the new one is seen too.
func (c *Calls) updateSelector(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	selector := strings.ToLower(strings.TrimSpace(p.Get("dkim_selector")))
	if selector == "" {
		return door.BadRequest("dkim_selector parameter is missing")
	}
	if !signing.IsSelector(selector) {
		return door.BadRequest("'dkim_selector' parameter is not a valid selector")
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	_, err = c.changeKeys(r, r.Domain.Name, "change", func(d *store.Domain) error { return dkimkeys.Rename(d, selector, time.Now()) })
	if err != nil {
		return err
	}
	return door.Say(w, "DKIM selector changed")
}

// A rotationProblem is an error of the calls about rotation, whose errors have a shape of their own.
func rotationProblem(text string) error {
	return &door.Problem{Status: http.StatusBadRequest, Message: text, Body: struct {
		Message string `json:"message"`
		Reason  string `json:"Reason"`
	}{text, text}}
}

// A rotationJSON is how a domain's keys are rotated.
type rotationJSON struct {
	ID             string               `json:"id"`
	AccountID      string               `json:"account_id"`
	SID            string               `json:"sid"`
	Name           string               `json:"name"`
	State          string               `json:"state"`
	ActiveSelector string               `json:"active_selector"`
	Enabled        string               `json:"rotation_enabled"`
	Interval       string               `json:"rotation_interval"`
	Records        []rotationRecordJSON `json:"records"`
}

type rotationRecordJSON struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Identifier string `json:"identifier"`
	Value      string `json:"value"`
	Comment    string `json:"comment"`
}

// updateRotation sets whether and how often the domain's DKIM keys are rotated.
func (c *Calls) updateRotation(w http.ResponseWriter, r *door.Request) error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	enabled, err := p.Flag("rotation_enabled")
	if err != nil || enabled == mail.Unset {
		return rotationProblem("rotation_enabled parameter must be true or false")
	}
	interval := r.Domain.Settings.DKIMRotation
	if s := p.Get("rotation_interval"); s != "" {
		if interval, err = parseInterval(s); err != nil {
			return err
		}
	}
	switch {
	case enabled == mail.False:
		interval = 0
	case interval == 0:
		interval = defaultRotation
	}
	if err := r.Reason(p); err != nil {
		return err
	}
	d, err := c.changeDomain(r, func(d *store.Domain) error {
		d.Settings.DKIMRotation = interval
		return nil
	})
	if err != nil {
		return err
	}
	v, err := c.rotationView(r, &d)
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Domain rotationJSON `json:"domain"`
	}{v})
}

const (
	defaultRotation = 120 * 24 * time.Hour
	maxRotation     = 2 * 365 * 24 * time.Hour
)

// parseInterval reads a number of days or hours: 5d, 240h.
func parseInterval(s string) (time.Duration, error) {
	unit := time.Duration(0)
	digits := s
	switch {
	case strings.HasSuffix(s, "d"):
		unit, digits = 24*time.Hour, strings.TrimSuffix(s, "d")
	case strings.HasSuffix(s, "h"):
		unit, digits = time.Hour, strings.TrimSuffix(s, "h")
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || unit == 0 || time.Duration(n)*unit < dkimkeys.MinRotation || time.Duration(n)*unit > maxRotation {
		return 0, rotationProblem("rotation_interval parameter must be from 5d to 730d")
	}
	return time.Duration(n) * unit, nil
}

func (c *Calls) rotationView(r *door.Request, d *store.Domain) (rotationJSON, error) {
	view, err := c.view(r.Context(), d)
	if err != nil {
		return rotationJSON{}, err
	}
	account, err := c.deps.Accounts.Account(r.Context(), d.AccountID)
	if err != nil {
		return rotationJSON{}, err
	}
	v := rotationJSON{
		ID: view.ID, AccountID: account.Ref, SID: view.ID, Name: d.Name, State: view.State,
		Enabled: strconv.FormatBool(d.Settings.DKIMRotation > 0), Interval: strconv.Itoa(int(d.Settings.DKIMRotation/(24*time.Hour))) + "d",
		Records: []rotationRecordJSON{},
	}
	if keys := d.SigningKeys(); len(keys) > 0 {
		v.ActiveSelector = keys[len(keys)-1].Selector
	}
	for _, k := range c.keyViews(d) {
		v.Records = append(v.Records, rotationRecordJSON{
			Name: k.Record.Name, Type: k.Record.RecordType, Identifier: k.Selector, Value: k.Record.Value, Comment: comment(d, k),
		})
	}
	return v, nil
}

// comment says in a sentence what to do about a key's record.
func comment(d *store.Domain, k keyJSON) string {
	key := d.DKIM[dkimkeys.Find(d, k.Selector)]
	switch {
	case k.KeepUntil != "":
		return "rotated out; keep it published until " + k.KeepUntil
	case k.Record.IsActive:
		return "signs"
	case key.Successor:
		return "publish it; it takes over once it is seen"
	case key.Active:
		return "publish it"
	}
	return "inactive"
}

// rotate begins a rotation of the domain's DKIM keys: a new key is made, and signs once its record
// is seen in DNS.
func (c *Calls) rotate(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	if len(r.Domain.DKIM) == 0 {
		return errNoKey
	}
	now := time.Now()
	key, err := dkimkeys.Generate(dkimkeys.NextSelector(&r.Domain, now), dkimkeys.RSA2048, now)
	if err != nil {
		return err
	}
	if _, err = c.changeKeys(r, r.Domain.Name, "rotate", func(d *store.Domain) error { return dkimkeys.Rotate(d, key, now) }); err != nil {
		return err
	}
	return door.Say(w, "DKIM key rotation has begun: the new key signs once its record is seen in DNS")
}
