package tracking

import (
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tracking/markup"
)

// A Tracker puts links into letters. It is safe for concurrent use.
type Tracker struct {
	keys  *Keyring
	hosts Hosts
}

// New returns a tracker that signs with the keys and leads readers to the hosts.
func New(keys *Keyring, hosts Hosts) *Tracker { return &Tracker{keys, hosts} }

// CanReach reports whether there is an address under which readers of the domain's mail reach us.
func (t *Tracker) CanReach(d *store.Domain) bool { return t.hosts.Base(d) != "" }

// A Letter is one copy of a message, to one recipient.
type Letter struct {
	Message   mail.ID
	Recipient mail.Address
	Tags      []string
}

// A Marker marks up the texts and fields of one letter. It is safe for concurrent use.
type Marker struct {
	tracker *Tracker
	plan    Plan
	domain  int64
	letter  Letter

	base   string            // of links
	places map[string]string // what the placeholders stand for
}

// The placeholders that stand for links to unsubscribe. Until we keep mailing lists apart,
// leaving one is leaving the domain's mail.
const (
	placeAll  = "%unsubscribe_url%"
	placeTags = "%tag_unsubscribe_url%"
	placeList = "%mailing_list_unsubscribe_url%"
)

// Mark returns a marker for a letter of the domain; nil if there is no address that links could have.
func (t *Tracker) Mark(d *store.Domain, p Plan, l Letter) *Marker {
	if !t.CanReach(d) {
		return nil
	}
	m := &Marker{tracker: t, plan: p, domain: d.ID, letter: l, base: t.hosts.Base(d)}
	unsubscribe := t.hosts.UnsubscribeBase(d) + UnsubscribePath
	all := unsubscribe + t.keys.Seal(m.link(Link{Kind: Unsubscribe, Recipient: l.Recipient.String()}))
	tags := all
	if len(l.Tags) > 0 {
		tags = unsubscribe + t.keys.Seal(m.link(Link{Kind: UnsubscribeTags, Recipient: l.Recipient.String(), Tags: l.Tags}))
	}
	m.places = map[string]string{placeAll: all, placeTags: tags, placeList: all}
	return m
}

// link completes what a link of the letter says.
func (m *Marker) link(l Link) Link {
	l.DomainID, l.Message = m.domain, m.letter.Message
	return l
}

// Text returns a text of the letter as its recipient gets it. media is its type; texts of types other than
// text/plain, text/html and text/x-amp-html stay.
func (m *Marker) Text(media, text string) string {
	e := markup.Edit{Places: m.places}
	own := e.Uses(text) // a sender that offers a link needs no footer
	switch media {
	case "text/html":
		if m.plan.Clicks != store.ClicksOff {
			e.Link = m.click
		}
		if m.plan.Opens {
			e.Pixel, e.PixelTop = m.base+OpenPath+m.tracker.keys.Seal(m.link(Link{Kind: Open})), m.plan.PixelTop
		}
		if m.plan.Unsubscribe && !own {
			e.Footer = m.plan.HTMLFooter
		}
		return markup.HTML(text, e)
	case "text/plain":
		if strings.Contains(text, "-----BEGIN PGP ") { // signed or encrypted within the text (RFC 9580 section 7)
			return text
		}
		if m.plan.Clicks == store.ClicksAll {
			e.Link = m.click
		}
		if m.plan.Unsubscribe && !own {
			e.Footer = m.plan.TextFooter
		}
		return markup.Text(text, e)
	case "text/x-amp-html": // its links must be ones that a validator knows
		return markup.Text(text, e)
	}
	return text
}

// click returns the link that leads to u over us. Our own links stay.
func (m *Marker) click(u string) (string, bool) {
	for _, base := range []string{m.base, m.tracker.hosts.public} {
		rest, ok := strings.CutPrefix(u, base)
		if base != "" && ok && (strings.HasPrefix(rest, UnsubscribePath) || strings.HasPrefix(rest, ClickPath)) {
			return "", false
		}
	}
	return m.base + ClickPath + m.tracker.keys.Seal(m.link(Link{Kind: Click, URL: u})), true
}

// Uses reports whether a text or the value of a field holds a placeholder that stands for a link of ours.
func Uses(text string) bool {
	return strings.Contains(text, placeAll) || strings.Contains(text, placeTags) || strings.Contains(text, placeList)
}
