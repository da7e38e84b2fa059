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

// Own reports whether a host, as [HostName] gives it, is the one of our public address.
func (h Hosts) Own(host string) bool { return h.host != "" && host == h.host }

// HostName returns the host that a request names, without port, in lower case.
func HostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
