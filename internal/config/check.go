package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/sealpost/sealpost/internal/mail"
)

// Ranges of durations.
const (
	minWait, maxWait         = 100 * time.Millisecond, 24 * time.Hour
	minLifetime, maxLifetime = time.Second, 5 * 24 * time.Hour
	maxRetention             = 365 * 24 * time.Hour
	maxWaits                 = 50
)

// check applies the checks of single fields, then those of fields that belong together.
func (r *reader) check() {
	for _, s := range sections() {
		for _, f := range s.fields {
			if f.check == nil || r.origin[f.key].bad {
				continue
			}
			if err := f.check(&r.config); err != nil {
				r.complain(f.key, err.Error())
			}
		}
	}
	r.checkPair("http", &r.config.HTTP.CertFile, &r.config.HTTP.KeyFile)
	r.checkPair("submission", &r.config.Submission.CertFile, &r.config.Submission.KeyFile)
	r.checkTogether()
}

// complain adds a problem with a field that could be read.
func (r *reader) complain(key, remedy string) {
	o := r.origin[key]
	r.problems = append(r.problems, Problem{o.where, key, o.value, remedy})
}

func (r *reader) checkPair(section string, cert, key *string) {
	switch {
	case *cert != "" && *key == "":
		r.complain(section+".key_file", "is missing; it must name the key of "+section+".cert_file")
	case *cert == "" && *key != "":
		r.complain(section+".cert_file", "is missing; it must name the certificate of "+section+".key_file")
	}
}

func (r *reader) checkTogether() {
	h, s := r.config.HTTP, r.config.Submission
	if h.TLS == TLSFiles && h.CertFile == "" && h.KeyFile == "" {
		r.complain("http.tls", "needs a certificate; set http.cert_file and http.key_file")
	}
	if h.TLS != TLSFiles && h.CertFile != "" && h.KeyFile != "" {
		r.complain("http.cert_file", `is not used while http.tls is `+quote(string(h.TLS))+`; write http.tls = "files", or remove the file names`)
	}
	if len(s.Listen) > 0 && !s.usable() {
		r.complain("submission.listen", "nobody could submit here: AUTH needs TLS; set submission.cert_file and submission.key_file")
	}
	if s.TLS == TLSOff && len(s.ListenTLS) > 0 {
		r.complain("submission.listen_tls", "needs a certificate; set submission.cert_file and submission.key_file")
	}
	if s.TLS == TLSFiles && s.CertFile == "" && s.KeyFile == "" {
		r.complain("submission.tls", "needs a certificate; set submission.cert_file and submission.key_file")
	}
	if s.TLS != TLSFiles && s.CertFile != "" && s.KeyFile != "" {
		r.complain("submission.cert_file", `is not used while submission.tls is `+quote(string(s.TLS))+`; write submission.tls = "files", or remove the file names`)
	}
	if r.config.UsesACME() && r.config.ACME.Listen == "" && h.TLS != TLSACME {
		r.complain("acme.listen", `is needed: without it the authority could only ask at the API, and there http.tls is `+quote(string(h.TLS)))
	}
	if d := r.config.Delivery; d.MaxConnectionsPerNextHop > d.MaxConnections {
		r.complain("delivery.max_connections_per_next_hop", "is more than delivery.max_connections allows altogether; make it smaller")
	}
	r.checkListeners()
}

// checkListeners refuses two listeners on the same address.
func (r *reader) checkListeners() {
	c := r.config
	first := make(map[string]string)
	all := []Setting{{"http.listen", c.HTTP.Listen}, {"http.admin_listen", c.HTTP.AdminListen}}
	for _, address := range c.Submission.Listen {
		all = append(all, Setting{"submission.listen", address})
	}
	for _, address := range c.Submission.ListenTLS {
		all = append(all, Setting{"submission.listen_tls", address})
	}
	if c.UsesACME() {
		all = append(all, Setting{"acme.listen", c.ACME.Listen})
	}
	for _, l := range all {
		if l.Value == "" || strings.HasSuffix(l.Value, ":0") {
			continue
		}
		if other, taken := first[l.Value]; taken {
			r.complain(l.Key, "is the address of "+other+" already; choose another port")
			continue
		}
		first[l.Value] = l.Key
	}
}

func checkHostname(c *Config) error {
	name := strings.TrimSuffix(c.Server.Hostname, ".")
	if name == "" {
		return errors.New(`is missing; write the full name of this host, such as "mx.example.com"`)
	}
	ascii, err := hostname(name)
	if err == nil {
		c.Server.Hostname = ascii
	}
	return err
}

// hostname returns the name of a host in A-labels.
func hostname(name string) (string, error) {
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
	ascii, err := profile.ToASCII(name)
	if err == nil {
		_, notAddress := netip.ParseAddr(ascii)
		if notAddress == nil || !strings.Contains(ascii, ".") {
			err = errors.New("not the name of a host")
		}
	}
	if err != nil {
		return "", errors.New(`is not the full name of a host; write one with a domain, such as "mx.example.com"`)
	}
	return ascii, nil
}

// checkEvidence allows as long as events (0), or longer: evidence that goes before its
// event would be of no use to those who look for it there.
func checkEvidence(c *Config) error {
	r := c.Retention
	if r.Evidence == 0 {
		return nil
	}
	if r.Evidence < r.Events {
		return errors.New(`is shorter than retention.events; write "0s" for as long as events, or a longer time`)
	}
	return between(r.Evidence, 24*time.Hour, 10*maxRetention, formatDuration)
}

func checkPublicURL(c *Config) error {
	if c.HTTP.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.HTTP.PublicURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New(`is not the address of a site; write http:// or https:// and a host, such as "https://mail.example.com"`)
	}
	c.HTTP.PublicURL = strings.TrimRight(c.HTTP.PublicURL, "/")
	return nil
}

func checkHTTPTLS(c *Config) error { return oneOf(c.HTTP.TLS, TLSOff, TLSFiles, TLSACME) }

func checkDirectory(c *Config) error {
	u, err := url.Parse(c.ACME.Directory)
	if err != nil || u.Host == "" || u.Scheme != "https" || u.User != nil {
		return errors.New(`is not the URL of an ACME directory; write https:// and a host, such as "https://acme-v02.api.letsencrypt.org/directory"`)
	}
	return nil
}

// maxNames is how many names a certificate may have; Let's Encrypt allows as many.
const maxNames = 100

func checkNames(c *Config) error {
	if len(c.ACME.Names) > maxNames {
		return fmt.Errorf("has %d names; a certificate may have up to %d", len(c.ACME.Names), maxNames)
	}
	seen := make(map[string]bool)
	for i, name := range c.ACME.Names {
		ascii, err := hostname(name)
		switch {
		case err != nil:
			return fmt.Errorf("%s %w", quote(cut(name)), err)
		case seen[ascii]:
			return fmt.Errorf("%s is there twice; remove one", ascii)
		}
		seen[ascii], c.ACME.Names[i] = true, ascii
	}
	return nil
}

func checkDatabase(c *Config) error {
	u := c.Database.URL
	switch {
	case u == "":
		return nil
	case strings.HasPrefix(u, "postgres://"), strings.HasPrefix(u, "postgresql://"):
		return errors.New("PostgreSQL is not available in this version; leave database.url empty")
	}
	return errors.New("is not a database that this version knows; leave database.url empty")
}

// checkNetworks refuses networks that are everybody. why tells what would come of it, and what to write.
func checkNetworks(networks []netip.Prefix, why string) error {
	for _, p := range networks {
		if p.Bits() == 0 {
			return fmt.Errorf("%s is everybody: %s", p, why)
		}
	}
	return nil
}

func checkResolver(c *Config) error {
	if c.Delivery.Resolver == "" {
		return nil
	}
	// A name would need a resolver to be found.
	if a, err := netip.ParseAddrPort(c.Delivery.Resolver); err != nil || a.Port() == 0 {
		return errors.New(`is not an IP address with a port; write it as "127.0.0.1:53" or "[::1]:53"`)
	}
	return nil
}

func checkSourceAddresses(c *Config) error {
	seen := make(map[netip.Addr]bool)
	for _, a := range c.Delivery.SourceAddresses {
		switch {
		case a.IsUnspecified(), a.IsMulticast():
			return fmt.Errorf("%s is not an address of a host; leave the list empty to let the system choose", a)
		case seen[a]:
			return fmt.Errorf("%s is there twice; remove one", a)
		}
		seen[a] = true
	}
	return nil
}

func checkRetry(c *Config) error { return checkWaits(c.Delivery.Retry) }

func checkWebhookRetry(c *Config) error { return checkWaits(c.Webhooks.Retry) }

func checkAllowPrivate(c *Config) error {
	for _, p := range c.Webhooks.AllowPrivate {
		if p.Addr().Is4In6() {
			return fmt.Errorf("%s is a network of IPv4 in the form of IPv6; write it as one of IPv4", p)
		}
	}
	return nil
}

func checkWaits(waits []time.Duration) error {
	if len(waits) == 0 || len(waits) > maxWaits {
		return fmt.Errorf(`has %d waits; write 1 to %d, such as ["10m", "30m", "2h"]`, len(waits), maxWaits)
	}
	for _, w := range waits {
		if err := between(w, minWait, maxWait, formatDuration); err != nil {
			return fmt.Errorf("%s: %w", formatDuration(w), err)
		}
	}
	return nil
}

// checkAddress refuses what is no mail address; empty is none.
func checkAddress(s string) error {
	if s == "" {
		return nil
	}
	a, err := mail.ParseAddress(s)
	switch {
	case err != nil:
		return fmt.Errorf(`is not a mail address (%w); write one such as "tls-reports@example.com"`, err)
	case a.NeedsUTF8():
		return errors.New("needs SMTPUTF8, which not every receiver offers; write an address in ASCII")
	}
	return nil
}

func checkOrganization(c *Config) error {
	name := c.TLSRPT.Organization
	if utf8.RuneCountInString(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("must be one line of at most 100 characters; write the name of your organization")
	}
	return nil
}

// listenAddress refuses what net.Listen could not take; empty is off.
func listenAddress(s string) error {
	if s == "" {
		return nil
	}
	remedy := errors.New(`is not an address with a port; write it as "127.0.0.1:8080", "[::1]:8080" or ":8080"`)
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return remedy
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return remedy
	}
	if host == "" || host == "localhost" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return remedy
	}
	return nil
}

func notEmpty(s, example string) error {
	if s == "" {
		return errors.New("must not be empty; write a value " + example)
	}
	return nil
}

func oneOf[T ~string](got T, allowed ...T) error {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if got == a {
			return nil
		}
		names[i] = quote(string(a))
	}
	last := len(names) - 1
	return errors.New("is not one of the choices; write " + strings.Join(names[:last], ", ") + " or " + names[last])
}

func between[T cmp.Ordered](got, least, most T, show func(T) string) error {
	if got < least || got > most {
		return fmt.Errorf("is out of range; write a value from %s to %s", show(least), show(most))
	}
	return nil
}
