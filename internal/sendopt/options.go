package sendopt

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/handlebars"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/tracking"
)

// Limits on what a sender asks for.
const (
	MaxOptions = 16384 // octets of the names and values of o:, h:, v: and t: parameters together; of control fields likewise
	MaxTags    = 10    // o:tag parameters of a message
	MaxTag     = 128   // octets of a tag
)

// Options is what the sender asked for besides the message. The zero value asks for nothing.
type Options struct {
	TLS         mail.TLSFlags
	RequireTLS  mail.Tri // the REQUIRETLS marking (RFC 8689)
	TLSOptional bool     // TLS-Required: No is among Headers, and takes the place of one of the message's own
	DKIM        mail.Tri
	Track       tracking.Wishes
	TestMode    bool
	Tags        []string      // printable ASCII, up to [MaxTags] of up to [MaxTag] octets, no two alike but for letter case
	Due         time.Time     // when to send, UTC, within the horizon; zero: now
	LocalTime   Clock         // when to send, where the recipient lives; see [Options.DueFor]
	Within      time.Duration // how long to try, 5 minutes to 24 hours; 0: not said
	Variables   map[string]string

	Headers            []compose.Field // h: fields, without those that are options
	MessageID          string          // of h:Message-Id, as given; empty: none
	RecipientVariables string          // JSON, as given; empty: no batch
	Template           Template

	SecondaryDKIM, SecondaryPublic string // domain/selector, as given; empty: not asked for
	SendingIP, SendingPool         string // as given; empty: not asked for

	suppress map[string]bool // lower-case names of our own fields that must not travel
}

// A Template is what a message says of the stored template that it is made from.
type Template struct {
	Name      string             // in lower case; empty: no template is asked for
	Version   string             // in lower case; empty: the active one
	Text      mail.Tri           // text/plain is to be made of it, too
	Variables *handlebars.Object // nil: none
}

// optionReader reads options one by one.
type optionReader struct {
	now     time.Time
	horizon time.Duration
	seen    map[string]string // single-valued options and their first value
	o       Options
}

// Parse reads the parameters of an API call and the control fields of a
// submitted message. A parameter beats a control field of the same meaning. The
// same option twice with different values is refused: we would have to guess. Unknown
// ones are ignored. A moment further ahead than the horizon is refused, one that is past means now.
// Errors are *Error.
func Parse(params, fields []compose.Field, now time.Time, horizon time.Duration) (Options, error) {
	if sizeOf(params) > MaxOptions || sizeOf(fields) > MaxOptions {
		return Options{}, invalid("Send options (parameters starting with o:, h:, or v:) are limited to 16 kB total")
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
			return Options{}, err
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
			return Options{}, err
		}
	}
	if p.o.TLSOptional {
		p.o.Headers = append(slices.DeleteFunc(p.o.Headers, isTLSRequired), compose.Field{Name: TLSRequired, Value: "No"})
	}
	return p.o, nil
}

// TLSRequired is the field of RFC 8689 section 3. A message must not have it twice.
const TLSRequired = "TLS-Required"

func isTLSRequired(f compose.Field) bool { return strings.EqualFold(f.Name, TLSRequired) }

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

// read takes one option. Unknown ones are ignored, as the API promises.
func (p *optionReader) read(key string, f compose.Field) error {
	if strings.ContainsRune(f.Value, 0) {
		return invalid("%s holds a NUL character", Printable(f.Name))
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
		return invalid("%s is given twice with different values", Printable(f.Name))
	}
	p.seen[key] = value
	switch key {
	case "o:require-tls":
		return p.flag(&p.o.TLS.RequireTLS, f)
	case "o:skip-verification":
		return p.flag(&p.o.TLS.SkipVerification, f)
	case "o:requiretls":
		return p.flag(&p.o.RequireTLS, f)
	case "o:tls-required":
		if !strings.EqualFold(value, "no") { // RFC 8689 section 3 knows no other value
			return invalid("%s must be no", Printable(f.Name))
		}
		p.o.TLSOptional = true
	case "o:dkim":
		return p.flag(&p.o.DKIM, f)
	case "o:testmode":
		var t mail.Tri
		err := p.flag(&t, f)
		p.o.TestMode = t.Bool()
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
		if p.o.LocalTime, ok = parseClock(value); !ok {
			return invalid("%s invalid 24 hour time(value of 'o:time-zone-localize')", Printable(value))
		}
	case "o:suppress-headers":
		p.suppressHeaders(value)
	case "o:secondary-dkim":
		p.o.SecondaryDKIM = value
	case "o:secondary-dkim-public":
		p.o.SecondaryPublic = value
	case "o:sending-ip":
		p.o.SendingIP = value
	case "o:sending-ip-pool":
		p.o.SendingPool = value
	case "recipient-variables":
		p.o.RecipientVariables = value
	case "template", "t:version", "t:variables":
		return p.template(key, f)
	case "t:text":
		return p.flag(&p.o.Template.Text, f)
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
		return invalid("%s must be yes, no, true or false", Printable(f.Name))
	}
	*into = t
	return nil
}

func (p *optionReader) header(f compose.Field) error {
	name := f.Name[len("h:"):]
	for i := range len(name) {
		if name[i] >= 0x80 {
			return invalid("Header name must be pure ASCII: %s", Printable(name))
		}
	}
	if strings.EqualFold(name, "Message-Id") {
		if p.o.MessageID != "" && p.o.MessageID != f.Value {
			return invalid("%s is given twice with different values", Printable(f.Name))
		}
		p.o.MessageID = f.Value
		return nil
	}
	p.o.Headers = append(p.o.Headers, compose.Field{Name: name, Value: f.Value})
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
		return invalid("%s holds a control character", Printable(f.Name))
	}
	switch tag = strings.TrimSpace(tag); {
	case tag == "":
		return nil
	case len(tag) > MaxTag:
		return invalid("%s is limited to %d characters", Printable(f.Name), MaxTag)
	case slices.ContainsFunc(p.o.Tags, func(t string) bool { return strings.EqualFold(t, tag) }):
		return nil
	case len(p.o.Tags) == MaxTags:
		return invalid("%s: at most %d tags are allowed", Printable(f.Name), MaxTags)
	}
	p.o.Tags = append(p.o.Tags, tag)
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

// Travels reports whether a field of our own may be added to the message. Its
// name is lower case, without the X-Mailgun- prefix.
func (o *Options) Travels(name string) bool { return !o.suppress["all"] && !o.suppress[name] }

// Printable cuts and cleans a sender's text for an answer or event that quotes it: one line of at most
// 100 octets and "...", without control characters.
func Printable(s string) string {
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
