package tracking

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	links "github.com/sealpost/sealpost/internal/tracking"
	"github.com/sealpost/sealpost/internal/tracking/visit"
)

// maxFooter is how long a footer may be, in octets.
const maxFooter = 16 << 10

// Domains changes sending domains, as store.Domains does.
type Domains interface {
	UpdateDomain(ctx context.Context, name string, change func(*store.Domain) error) (store.Domain, error)
}

// A Surface is the group of calls. It is safe for concurrent use.
type Surface struct {
	domains Domains
	visitor *visit.Visitor
	rotate  func(context.Context) error
	page    page
}

// New returns the calls. rotate makes a new key the one that signs links.
func New(domains Domains, visitor *visit.Visitor, rotate func(context.Context) error) *Surface {
	return &Surface{domains: domains, visitor: visitor, rotate: rotate, page: newPage()}
}

// Routes lists the calls.
func (s *Surface) Routes() []door.Route {
	return []door.Route{
		door.On("GET", "/v3/domains/{domain}/tracking", door.Manage, s.show),
		door.On("PUT", "/v3/domains/{domain}/tracking/open", door.Manage, s.setOpen),
		door.On("PUT", "/v3/domains/{domain}/tracking/click", door.Manage, s.setClick),
		door.On("PUT", "/v3/domains/{domain}/tracking/unsubscribe", door.Manage, s.setUnsubscribe),
		door.On("PUT", "/v3/domains/{domain}/web_prefix", door.Manage, s.setWebPrefix),
		door.On("POST", "/v1/sealpost/tracking/key", door.Operate, s.rotateKey),

		door.On("GET", links.OpenPath+"{link}", door.Public, s.open),
		door.On("GET", links.ClickPath+"{link}", door.Public, s.click),
		door.On("GET", links.UnsubscribePath+"{link}", door.Public, s.askToUnsubscribe),
		door.On("POST", links.UnsubscribePath+"{link}", door.Public, s.unsubscribe),
	}
}

type openJSON struct {
	Active        bool `json:"active"`
	PlaceAtTheTop bool `json:"place_at_the_top"`
}

type clickJSON struct {
	Active any `json:"active"` // false, true or "htmlonly"
}

type unsubscribeJSON struct {
	Active     bool   `json:"active"`
	HTMLFooter string `json:"html_footer"`
	TextFooter string `json:"text_footer"`
}

func openView(t store.Tracking) openJSON { return openJSON{t.Opens, t.PixelTop} }

func clickView(t store.Tracking) clickJSON {
	switch t.Clicks {
	case store.ClicksAll:
		return clickJSON{true}
	case store.ClicksHTML:
		return clickJSON{string(store.ClicksHTML)}
	}
	return clickJSON{false}
}

func unsubscribeView(t store.Tracking) unsubscribeJSON {
	p := links.Resolve(t, links.Wishes{})
	return unsubscribeJSON{t.Unsubscribe, p.HTMLFooter, p.TextFooter}
}

// show shows what the domain tracks.
func (s *Surface) show(w http.ResponseWriter, r *door.Request) error {
	type settings struct {
		Open        openJSON        `json:"open"`
		Click       clickJSON       `json:"click"`
		Unsubscribe unsubscribeJSON `json:"unsubscribe"`
		WebScheme   string          `json:"web_scheme"`
	}
	t := r.Domain.Settings.Tracking
	return door.Reply(w, map[string]settings{"tracking": {
		openView(t), clickView(t), unsubscribeView(t), cmp.Or(r.Domain.Settings.WebScheme, "http"),
	}})
}

const updated = "Domain tracking settings have been updated"

// change lets a call change the settings of its domain.
func (s *Surface) change(r *door.Request, change func(d *store.Domain, p door.Params) error) (store.Domain, error) {
	p, err := r.Params()
	if err == nil {
		err = r.Reason(p)
	}
	if err != nil {
		return store.Domain{}, err
	}
	d, err := s.domains.UpdateDomain(r.Context(), r.Domain.Name, func(d *store.Domain) error { return change(d, p) })
	return d, door.Missing(err, door.NotFound("Domain not found"))
}

// setFlag puts a parameter that is given into a setting.
func setFlag(into *bool, p door.Params, name string) error {
	t, err := p.Flag(name)
	if err == nil && t != mail.Unset {
		*into = t.Bool()
	}
	return err
}

// setOpen switches the tracking of opens for the domain, and says where the image goes.
func (s *Surface) setOpen(w http.ResponseWriter, r *door.Request) error {
	d, err := s.change(r, func(d *store.Domain, p door.Params) error {
		t := &d.Settings.Tracking
		return errors.Join(setFlag(&t.Opens, p, "active"), setFlag(&t.PixelTop, p, "place_at_the_top"))
	})
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string   `json:"message"`
		Open    openJSON `json:"open"`
	}{updated, openView(d.Settings.Tracking)})
}

// setClick switches the tracking of clicks for the domain: off, on, or in HTML only.
func (s *Surface) setClick(w http.ResponseWriter, r *door.Request) error {
	d, err := s.change(r, func(d *store.Domain, p door.Params) error {
		wish, err := links.ParseWish(p.Get("active"))
		if err != nil {
			return door.BadRequest("'active' parameter must be yes, no, true, false or htmlonly")
		}
		switch wish {
		case links.Yes:
			d.Settings.Tracking.Clicks = store.ClicksAll
		case links.HTMLOnly:
			d.Settings.Tracking.Clicks = store.ClicksHTML
		case links.No:
			d.Settings.Tracking.Clicks = store.ClicksOff
		}
		return nil
	})
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message string    `json:"message"`
		Click   clickJSON `json:"click"`
	}{updated, clickView(d.Settings.Tracking)})
}

// setUnsubscribe switches links to unsubscribe for the domain, and sets the footers that have them.
func (s *Surface) setUnsubscribe(w http.ResponseWriter, r *door.Request) error {
	d, err := s.change(r, func(d *store.Domain, p door.Params) error {
		t := &d.Settings.Tracking
		return errors.Join(setFlag(&t.Unsubscribe, p, "active"),
			setFooter(&t.HTMLFooter, p, "html_footer", links.DefaultHTMLFooter),
			setFooter(&t.TextFooter, p, "text_footer", links.DefaultTextFooter))
	})
	if err != nil {
		return err
	}
	return door.Reply(w, struct {
		Message     string          `json:"message"`
		Unsubscribe unsubscribeJSON `json:"unsubscribe"`
	}{updated, unsubscribeView(d.Settings.Tracking)})
}

// setFooter takes a footer that is given. The default, like an empty one, is kept as none, so that it
// follows what we take for a good default.
func setFooter(into *string, p door.Params, name, standard string) error {
	if !p.Has(name) {
		return nil
	}
	footer := strings.ReplaceAll(p.Get(name), "\r\n", "\n")
	switch {
	case len(footer) > maxFooter:
		return door.BadRequest("'%s' parameter is longer than %d octets", name, maxFooter)
	case !utf8.ValidString(footer) || strings.Contains(footer, "\x00"):
		return door.BadRequest("'%s' parameter is not valid UTF-8 text", name)
	case footer == standard:
		footer = ""
	}
	*into = footer
	return nil
}

// setWebPrefix names the host under which the domain's links are.
func (s *Surface) setWebPrefix(w http.ResponseWriter, r *door.Request) error {
	_, err := s.change(r, func(d *store.Domain, p door.Params) error {
		prefix := strings.ToLower(strings.TrimSpace(p.Get("web_prefix")))
		if prefix == "" {
			return door.BadRequest("'web_prefix' parameter is missing")
		}
		if host, err := mail.ParseDomain(prefix + "." + d.Name); err != nil || host != prefix+"."+d.Name {
			return door.BadRequest("'web_prefix' parameter is not a valid host name")
		}
		d.Settings.WebPrefix = prefix
		return nil
	})
	if err != nil {
		return err
	}
	return door.Say(w, "Domain web prefix updated")
}

// rotateKey lets a new key sign links from now on. Links that are out stay good.
func (s *Surface) rotateKey(w http.ResponseWriter, r *door.Request) error {
	if err := r.ReasonOnly(); err != nil {
		return err
	}
	if err := s.rotate(r.Context()); err != nil {
		return err
	}
	return door.Say(w, "Links are signed with a new key from now on")
}
