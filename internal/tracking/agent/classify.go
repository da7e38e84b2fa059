package agent

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/event"
)

// Values of event.ClientInfo.Bot.
const (
	Apple   = "apple"   // Mail Privacy Protection
	Gmail   = "gmail"   // the image proxy of Gmail
	Generic = "generic" // any other program
)

const unknown = "unknown"

// MaxUserAgent is how many octets of a User-Agent are kept.
const MaxUserAgent = 512

// Nobody follows a link, or sees an image, sooner than this after the recipient's server has taken
// the message: until then it is scanned, filed and announced. Gateways that pass for browsers
// come at once.
const tooSoonToClick = 3 * time.Second

// A Visit is what is known of a request for a link.
type Visit struct {
	UserAgent string
	Method    string // GET, HEAD, POST
	// Purpose is the Sec-Purpose, Purpose or X-Moz field: "prefetch" by browsers that come before their
	// person does.
	Purpose string
	Click   bool // else it is an open
	// SinceDelivery is the time from the delivery of the message; negative if that is not known.
	SinceDelivery time.Duration
}

// Classify says who visited.
func Classify(v Visit) event.ClientInfo {
	ua := strings.TrimSpace(v.UserAgent)
	c := describe(strings.ToLower(ua))
	c.UserAgent = shown(ua)
	if c.Bot == "" && beforeAnybody(v) {
		c.Bot = Generic
	}
	return c
}

// beforeAnybody reports whether the visit cannot be a person's, whoever it says it is.
func beforeAnybody(v Visit) bool {
	switch {
	case v.Method == "HEAD":
		return true
	case strings.Contains(strings.ToLower(v.Purpose), "prefetch"), strings.Contains(strings.ToLower(v.Purpose), "preview"):
		return true
	}
	return v.Click && v.SinceDelivery >= 0 && v.SinceDelivery < tooSoonToClick
}

// shown returns the text as it is kept: cut, and without what a log could not bear.
func shown(ua string) string {
	if len(ua) > MaxUserAgent {
		ua = ua[:MaxUserAgent]
	}
	ua = strings.ToValidUTF8(ua, "")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, ua)
}

// describe finds the first program whose words are in the text, which is lower case.
func describe(ua string) event.ClientInfo {
	c := event.ClientInfo{ClientType: unknown, ClientOS: unknown, DeviceType: unknown, ClientName: unknown}
	switch {
	case ua == "mozilla/5.0": // and nothing else, since 2021; from addresses of iCloud Private Relay
		c.ClientType, c.ClientName, c.Bot = emailClient, "Apple Mail", Apple
		return c
	case ua == "":
		c.Bot = Generic
		return c
	}
	if p, ok := find(programs, ua); ok {
		c.ClientType, c.ClientName, c.Bot = p.kind, p.name, p.bot
	}
	if c.ClientType == robot || c.ClientType == library {
		c.DeviceType = "other"
		return c
	}
	if s, ok := find(systems, ua); ok {
		c.ClientOS, c.DeviceType = s.name, s.device
	}
	c.DeviceType = tablet(ua, c.DeviceType)
	if c.ClientType == browser && (c.DeviceType == "mobile" || c.DeviceType == "tablet") {
		c.ClientType = mobileBrowser
	}
	return c
}

// tablet tells a tablet from a telephone: Android tablets do not say Mobile.
func tablet(ua, device string) string {
	if device == "mobile" && (strings.Contains(ua, "ipad") || strings.Contains(ua, "tablet") ||
		strings.Contains(ua, "android") && !strings.Contains(ua, "mobile")) {
		return "tablet"
	}
	return device
}

// find returns the first entry one of whose words is in the text.
func find[T interface{ found(ua string) bool }](table []T, ua string) (entry T, ok bool) {
	for _, e := range table {
		if e.found(ua) {
			return e, true
		}
	}
	return entry, false
}
