package tracking

import (
	"errors"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// A Wish is what one message asks: nothing, no, yes, or yes for HTML only.
type Wish uint8

const (
	Unset Wish = iota
	No
	Yes
	HTMLOnly
)

// ParseWish reads a wish as clients send it: yes, no, true, false or htmlonly, in any letter
// case. The empty string is Unset.
func ParseWish(s string) (Wish, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "":
		return Unset, nil
	case "yes", "true":
		return Yes, nil
	case "no", "false":
		return No, nil
	case "htmlonly":
		return HTMLOnly, nil
	}
	return Unset, errors.New("must be yes, no, true, false or htmlonly")
}

// Wishes are what one message asks, whatever its domain does.
type Wishes struct {
	All      Wish // o:tracking: clicks and opens, where they are not asked for on their own
	Clicks   Wish
	Opens    Wish // HTMLOnly is Yes: only HTML can tell
	PixelTop Wish
}

// A Plan is what happens to one message. The zero value is nothing.
type Plan struct {
	Opens    bool
	PixelTop bool
	Clicks   store.Clicks
	// Unsubscribe: footers, and the fields of RFC 2369 and RFC 8058. Placeholders are replaced
	// whether it is set or not.
	Unsubscribe            bool
	HTMLFooter, TextFooter string
}

// The footers of domains that do not have their own.
const (
	DefaultHTMLFooter = "\n<br>\n<p><a href=\"%unsubscribe_url%\">unsubscribe</a></p>\n"
	DefaultTextFooter = "\n\nTo unsubscribe click: <%unsubscribe_url%>\n\n"
)

// Resolve decides what happens to a message: what it asks, else what its domain does.
func Resolve(d store.Tracking, w Wishes) Plan {
	p := Plan{
		Opens: d.Opens, PixelTop: d.PixelTop, Clicks: d.Clicks,
		Unsubscribe: d.Unsubscribe, HTMLFooter: d.HTMLFooter, TextFooter: d.TextFooter,
	}
	if p.HTMLFooter == "" {
		p.HTMLFooter = DefaultHTMLFooter
	}
	if p.TextFooter == "" {
		p.TextFooter = DefaultTextFooter
	}
	if opens := w.Opens.or(w.All); opens != Unset {
		p.Opens = opens != No
	}
	switch w.Clicks.or(w.All) {
	case No:
		p.Clicks = store.ClicksOff
	case Yes:
		p.Clicks = store.ClicksAll
	case HTMLOnly:
		p.Clicks = store.ClicksHTML
	}
	if w.PixelTop != Unset {
		p.PixelTop = w.PixelTop != No
	}
	return p
}

func (w Wish) or(other Wish) Wish {
	if w != Unset {
		return w
	}
	return other
}

// Any reports whether the plan changes anything in messages without placeholders.
func (p Plan) Any() bool { return p.Opens || p.Clicks != store.ClicksOff || p.Unsubscribe }
