package accept

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tracking"
)

// options is what the sender asked for besides the message.
type options struct {
	tls        mail.TLSFlags
	requireTLS mail.Tri // the REQUIRETLS marking (RFC 8689)
	optional   bool     // TLS-Required: No is to be added
	dkim       mail.Tri
	track      tracking.Wishes
	testMode   bool
	tags       []string
	due        time.Time // zero: now
	localTime  clock
	within     time.Duration
	variables  map[string]string

	headers       []compose.Field // h: fields, without those that are options
	messageID     string          // of h:Message-Id, as given
	recipientVars string          // JSON, as given; empty: no batch
	suppress      map[string]bool // lower-case names of our own fields that must not travel
	template      templateWish

	secondaryDKIM, secondaryPublic string // domain/selector, as given
	sendingIP, sendingPool         string
}

// controls are the X-Mailgun-* fields that mean what an API parameter means.
// Keys are lower case, without the prefix.
var controls = map[string]string{
	"tag":                           "o:tag",
	"dkim":                          "o:dkim",
	"secondary-dkim":                "o:secondary-dkim",
	"secondary-dkim-public":         "o:secondary-dkim-public",
	"deliver-by":                    "o:deliverytime",
	"deliver-within":                "o:deliver-within",
	"drop-message":                  "o:testmode",
	"track":                         "o:tracking",
	"track-clicks":                  "o:tracking-clicks",
	"track-opens":                   "o:tracking-opens",
	"track-pixel-location-top":      "o:tracking-pixel-location-top",
	"require-tls":                   "o:require-tls",
	"skip-verification":             "o:skip-verification",
	"sending-ip":                    "o:sending-ip",
	"sending-ip-pool":               "o:sending-ip-pool",
	"recipient-variables":           "recipient-variables",
	"variables":                     "variables",
	"template-name":                 "template",
	"template-version":              "t:version",
	"template-variables":            "t:variables",
	"time-zone-localize":            "o:time-zone-localize",
	"suppress-headers":              "o:suppress-headers",
	"delivery-time-optimize-period": "o:deliverytime-optimize-period",
}

const controlPrefix = "x-mailgun-"

// ownControls are the X-Sealpost-* fields that mean what a parameter of ours means. The
// name has no hyphen inside, as RFC 8689 writes it: X-Mailgun-Require-TLS is the
// flag about our hop, and another thing.
var ownControls = map[string]string{
	"requiretls": "o:requiretls",
}

const ownPrefix = "x-sealpost-"

// optionReader reads options one by one.
type optionReader struct {
	now     time.Time
	horizon time.Duration
	seen    map[string]string // single-valued options and their first value
	o       options
}

// parseOptions reads the parameters of an API call and the control fields of a
// submitted message. A parameter beats a control field of the same meaning. The
// same option twice with different values is refused: we would have to guess.
// Errors are *Error.
func parseOptions(params, fields []compose.Field, now time.Time, horizon time.Duration) (options, error) {
	if sizeOf(params) > MaxOptions || sizeOf(fields) > MaxOptions {
		return options{}, invalid("Send options (parameters starting with o:, h:, or v:) are limited to 16 kB total")
	}
	given := map[string]bool{}
	for _, p := range params {
		if p.Value != "" {
			given[optionKey(p.Name)] = true
		}
	}
	p := optionReader{now: now, horizon: horizon, seen: map[string]string{}}
	for _, f := range params {
		if err := p.read(optionKey(f.Name), f); err != nil {
			return options{}, err
		}
	}
	for _, f := range fields {
		key := controlKey(f.Name)
		reader := &p
		if strings.HasPrefix(key, "o:secondary-dkim") { // domain,selector in old programs
			f.Value = strings.Replace(f.Value, ",", "/", 1)
		}
		if given[key] && key != "variables" && key != "o:tag" { // beaten, but it must make sense
			reader = &optionReader{now: now, horizon: horizon, seen: map[string]string{}}
		}
		if err := reader.read(key, f); err != nil {
			return options{}, err
		}
	}
	if p.o.optional {
		p.o.headers = append(slices.DeleteFunc(p.o.headers, isTLSRequired), compose.Field{Name: tlsRequired, Value: "No"})
	}
	return p.o, nil
}

// tlsRequired is the field of RFC 8689 section 3. A message must not have it twice.
const tlsRequired = "TLS-Required"

func isTLSRequired(f compose.Field) bool { return strings.EqualFold(f.Name, tlsRequired) }

// sizeOf counts what the limit on options counts.
func sizeOf(list []compose.Field) int {
	n := 0
	for _, f := range list {
		if k := strings.ToLower(f.Name); strings.HasSuffix(k, "recipient-variables") || k == "template" {
			continue
		}
		n += len(f.Name) + len(f.Value)
	}
	return n
}

// optionKey returns the name under which an API parameter is known.
func optionKey(name string) string {
	lower := strings.ToLower(name)
	if h, ok := strings.CutPrefix(lower, "h:"); ok && (strings.HasPrefix(h, controlPrefix) || strings.HasPrefix(h, ownPrefix)) {
		return controlKey(h)
	}
	if strings.HasPrefix(lower, "h:") || strings.HasPrefix(lower, "v:") {
		return lower[:2] // what follows is a name of the sender's
	}
	return lower
}

// controlKey returns the parameter that a control field stands for; empty if none.
func controlKey(name string) string {
	lower := strings.ToLower(name)
	if own, ok := strings.CutPrefix(lower, ownPrefix); ok {
		return ownControls[own]
	}
	return controls[strings.TrimPrefix(lower, controlPrefix)]
}

// read takes one option. Unknown ones are ignored, as the API promises.
func (p *optionReader) read(key string, f compose.Field) error {
	if strings.ContainsRune(f.Value, 0) {
		return invalid("%s holds a NUL character", printable(f.Name))
	}
	switch key {
	case "h:":
		return p.header(f)
	case "v:":
		return p.variable(f.Name[len("v:"):], f.Value)
	case "variables":
		return p.variablesJSON(f)
	case "o:tag":
		return p.tag(f)
	}
	value := strings.TrimSpace(f.Value)
	if value == "" {
		return nil // as if it were not there
	}
	if first, ok := p.seen[key]; ok && first != value && singular(key) {
		return invalid("%s is given twice with different values", printable(f.Name))
	}
	p.seen[key] = value
	switch key {
	case "o:require-tls":
		return p.flag(&p.o.tls.RequireTLS, f)
	case "o:skip-verification":
		return p.flag(&p.o.tls.SkipVerification, f)
	case "o:requiretls":
		return p.flag(&p.o.requireTLS, f)
	case "o:tls-required":
		if !strings.EqualFold(value, "no") { // RFC 8689 section 3 knows no other value
			return invalid("%s must be no", printable(f.Name))
		}
		p.o.optional = true
	case "o:dkim":
		return p.flag(&p.o.dkim, f)
	case "o:testmode":
		var t mail.Tri
		err := p.flag(&t, f)
		p.o.testMode = t.Bool()
		return err
	case "o:tracking", "o:tracking-clicks", "o:tracking-opens", "o:tracking-pixel-location-top":
		return p.track(key, f)
	case "o:deliverytime":
		return p.deliveryTime(value)
	case "o:deliver-within":
		return p.deliverWithin(f.Name, value)
	case "o:deliverytime-optimize-period":
		return p.optimizePeriod(f.Name, value)
	case "o:time-zone-localize":
		var ok bool
		if p.o.localTime, ok = parseClock(value); !ok {
			return invalid("%s invalid 24 hour time(value of 'o:time-zone-localize')", printable(value))
		}
	case "o:suppress-headers":
		p.suppressHeaders(value)
	case "o:secondary-dkim":
		p.o.secondaryDKIM = value
	case "o:secondary-dkim-public":
		p.o.secondaryPublic = value
	case "o:sending-ip":
		p.o.sendingIP = value
	case "o:sending-ip-pool":
		p.o.sendingPool = value
	case "recipient-variables":
		p.o.recipientVars = value
	case "template", "t:version", "t:variables":
		return p.o.template.take(key, f)
	case "t:text":
		return p.flag(&p.o.template.text, f)
	}
	return nil
}

// singular reports whether an option has one value. The two lists that may be
// repeated do not get here.
func singular(key string) bool {
	return strings.HasPrefix(key, "o:") || strings.HasPrefix(key, "t:") || key == "template" || key == "recipient-variables"
}

// flag reads a two-valued option. What cannot be read is refused, never false: an
// unreadable require-tls must not weaken anything.
func (p *optionReader) flag(into *mail.Tri, f compose.Field) error {
	t, err := mail.ParseTri(f.Value)
	if err != nil {
		return invalid("%s must be yes, no, true or false", printable(f.Name))
	}
	*into = t
	return nil
}

func (p *optionReader) header(f compose.Field) error {
	name := f.Name[len("h:"):]
	for i := range len(name) {
		if name[i] >= 0x80 {
			return invalid("Header name must be pure ASCII: %s", printable(name))
		}
	}
	if strings.EqualFold(name, "Message-Id") {
		if p.o.messageID != "" && p.o.messageID != f.Value {
			return invalid("%s is given twice with different values", printable(f.Name))
		}
		p.o.messageID = f.Value
		return nil
	}
	p.o.headers = append(p.o.headers, compose.Field{Name: name, Value: f.Value})
	return nil
}

func (p *optionReader) tag(f compose.Field) error {
	tag := strings.Map(func(r rune) rune {
		if r > '~' {
			return -1
		}
		return r
	}, f.Value)
	if strings.ContainsFunc(tag, func(r rune) bool { return r < ' ' }) {
		return invalid("%s holds a control character", printable(f.Name))
	}
	switch tag = strings.TrimSpace(tag); {
	case tag == "":
		return nil
	case len(tag) > MaxTag:
		return invalid("%s is limited to %d characters", printable(f.Name), MaxTag)
	case slices.ContainsFunc(p.o.tags, func(t string) bool { return strings.EqualFold(t, tag) }):
		return nil
	case len(p.o.tags) == MaxTags:
		return invalid("%s: at most %d tags are allowed", printable(f.Name), MaxTags)
	}
	p.o.tags = append(p.o.tags, tag)
	return nil
}

func (p *optionReader) suppressHeaders(value string) {
	if p.o.suppress == nil {
		p.o.suppress = map[string]bool{}
	}
	for name := range strings.SplitSeq(strings.ToLower(value), ",") {
		name = strings.TrimPrefix(strings.TrimSpace(name), controlPrefix)
		p.o.suppress[name] = true
	}
}

// travels reports whether a field of our own may be added to the message. Its
// name is lower case, without the X-Mailgun- prefix.
func (o *options) travels(name string) bool { return !o.suppress["all"] && !o.suppress[name] }

// printable cuts and cleans a sender's text for a message that quotes it.
func printable(s string) string {
	const most = 100
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		cut := most
		for cut > 0 && s[cut]&0xc0 == 0x80 {
			cut--
		}
		s = s[:cut] + "..."
	}
	return s
}
