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

// A Marker marks up the texts and fields of one letter. It is used by one goroutine at a time.
type Marker struct {
	tracker *Tracker
	plan    Plan
	domain  *store.Domain
	letter  Letter
	base    string            // of links
	places  map[string]string // what the placeholders stand for, once somebody asked
}

// The placeholders that stand for links to unsubscribe. Until we keep mailing lists apart,
// leaving one is leaving the domain's mail.
const (
	placeAll  = "%unsubscribe_url%"
	placeTags = "%tag_unsubscribe_url%"
	placeList = "%mailing_list_unsubscribe_url%"
)

// maxTags is how many octets the tags in a link may have, so that it fits on a line of a header. Who
// unsubscribes from the first tags of a message gets none with all of them.
const maxTags = 300

// Mark returns a marker for a letter of the domain; nil if there is no address that links could have.
func (t *Tracker) Mark(d *store.Domain, p Plan, l Letter) *Marker {
	if !t.CanReach(d) {
		return nil
	}
	return &Marker{tracker: t, plan: p, domain: d, letter: l, base: t.hosts.Base(d)}
}

// links returns what the placeholders stand for.
func (m *Marker) links() map[string]string {
	if m.places != nil {
		return m.places
	}
	unsubscribe := func(l Link) string {
		l.Recipient = m.letter.Recipient.String()
		return m.tracker.hosts.UnsubscribeBase(m.domain) + UnsubscribePath + m.seal(l)
	}
	all := unsubscribe(Link{Kind: Unsubscribe})
	m.places = map[string]string{placeAll: all, placeTags: all, placeList: all}
	n, size := 0, 0
	for _, tag := range m.letter.Tags {
		if size += len(tag); size > maxTags {
			break
		}
		n++
	}
	if n > 0 {
		m.places[placeTags] = unsubscribe(Link{Kind: UnsubscribeTags, Tags: m.letter.Tags[:n]})
	}
	return m.places
}

// seal completes what a link of the letter says, and seals it.
func (m *Marker) seal(l Link) string {
	l.DomainID, l.Message = m.domain.ID, m.letter.Message
	return m.tracker.keys.Seal(l)
}

// Text returns a text of the letter as its recipient gets it. media is its type; texts of types other than
// text/plain, text/html and text/x-amp-html stay.
func (m *Marker) Text(media, text string) string {
	var e markup.Edit
	own := Uses(text) // a sender that offers a link needs no footer
	footer := m.plan.Unsubscribe && !own
	if own || footer {
		e.Places = m.links()
	}
	switch media {
	case "text/html":
		if m.plan.Clicks != store.ClicksOff {
			e.Link = m.click
		}
		if m.plan.Opens {
			e.Pixel, e.PixelTop = m.base+OpenPath+m.seal(Link{Kind: Open}), m.plan.PixelTop
		}
		if footer {
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
		if footer {
			e.Footer = m.plan.TextFooter
		}
		return markup.Text(text, e)
	case "text/x-amp-html": // its links must be ones that a validator knows
		return markup.Text(text, markup.Edit{Places: e.Places})
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
	return m.base + ClickPath + m.seal(Link{Kind: Click, URL: u}), true
}

// Uses reports whether a text or the value of a field holds a placeholder that stands for a link of ours.
func Uses(text string) bool {
	return strings.Contains(text, placeAll) || strings.Contains(text, placeTags) || strings.Contains(text, placeList)
}
