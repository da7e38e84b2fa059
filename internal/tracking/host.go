package tracking

import (
	"net"
	"net/url"
	"strings"

	"github.com/sealpost/sealpost/internal/store"
)

// Paths of links. A token follows.
const (
	OpenPath        = "/o/"
	ClickPath       = "/c/"
	UnsubscribePath = "/u/"
)

// Hosts knows under which addresses we can be reached by those who follow links.
type Hosts struct {
	public string // address of the API without a slash at its end; may be empty
	host   string // its host name
}

// NewHosts takes the public address of the API; empty if it has none.
func NewHosts(publicURL string) Hosts {
	h := Hosts{public: strings.TrimRight(publicURL, "/")}
	if u, err := url.Parse(h.public); err == nil {
		h.host = strings.ToLower(u.Hostname())
	}
	return h
}

// Base returns what the links of a domain's mail begin with: its tracking host, once that
// was seen to lead to us, until then the public address of the API; empty if there is neither.
func (h Hosts) Base(d *store.Domain) string {
	if d.TrackingHostSeen() {
		return scheme(d) + "://" + d.TrackingHost()
	}
	return h.public
}

// UnsubscribeBase is Base for links to unsubscribe. RFC 8058 section 3.1 wants them to be https, so
// a public address that is goes before a tracking host that is not.
func (h Hosts) UnsubscribeBase(d *store.Domain) string {
	base := h.Base(d)
	if !strings.HasPrefix(base, "https://") && strings.HasPrefix(h.public, "https://") {
		return h.public
	}
	return base
}

func scheme(d *store.Domain) string {
	if d.Settings.WebScheme == "https" {
		return "https"
	}
	return "http"
}

// Serves reports whether a link of the domain's mail may be followed at the host that a request names:
// any name within the domain, which may have had another prefix when the mail went out, or ours. One
// domain's links do not work under another's name, which answers for what it is seen with.
func (h Hosts) Serves(d *store.Domain, host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return strings.HasSuffix("."+host, "."+d.Name) || h.host == "" || host == h.host
}
