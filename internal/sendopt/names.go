package sendopt

import "strings"

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
