package domains

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// maxTTL is the longest message_ttl in seconds: a month.
const maxTTL = 31 * 24 * 3600

// applyDomain puts the parameters that are given into d.
func (c *Calls) applyDomain(r *door.Request, d *store.Domain, p door.Params) error {
	if err := applyTLS(d, p); err != nil {
		return err
	}
	set := &d.Settings
	for _, word := range []struct {
		name  string
		words []string
		into  *string
	}{
		{"spam_action", []string{"disabled", "block", "tag"}, &set.SpamAction},
		{"web_scheme", []string{"http", "https"}, &set.WebScheme},
	} {
		s, err := p.OneOf(word.name, word.words...)
		if err != nil {
			return err
		}
		if s != "" {
			*word.into = s
		}
	}
	for name, into := range map[string]*bool{
		"wildcard": &set.Wildcard, "use_automatic_sender_security": &set.AutomaticSender, "encrypt_incoming_message": &set.EncryptIncoming,
	} {
		t, err := p.Flag(name)
		if err != nil {
			return err
		}
		if t != mail.Unset {
			*into = t.Bool()
		}
	}
	if s := strings.ToLower(p.Get("web_prefix")); s != "" {
		if !signing.IsSelector(s) {
			return door.BadRequest("'web_prefix' parameter is not a valid host name")
		}
		set.WebPrefix = s
	}
	if err := applyHosts(d, p); err != nil {
		return err
	}
	return c.applySources(r, d, p)
}

// applyHosts puts what concerns other hosts, and how long things are kept there, into d.
func applyHosts(d *store.Domain, p door.Params) error {
	if s := p.Get("mailfrom_host"); s != "" {
		host, err := mail.ParseDomain(s)
		if err != nil || host != d.Name && !strings.HasSuffix(host, "."+d.Name) {
			return door.BadRequest("'mailfrom_host' parameter must be a host name of domain %s", d.Name)
		}
		d.Settings.MailFromHost = host
	}
	if s := p.Get("archive_to"); s != "" {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(s) > 2000 {
			return door.BadRequest("'archive_to' parameter is not a valid http or https URL")
		}
		d.Settings.ArchiveTo = s
	}
	if p.Get("message_ttl") != "" {
		ttl, err := p.Number("message_ttl", 0, 0)
		if err != nil {
			return err
		}
		if ttl > maxTTL {
			return door.BadRequest("'message_ttl' parameter can't be larger than %d", maxTTL)
		}
		d.Settings.MessageTTL = ttl
	}
	return nil
}

// applySources puts the addresses that the domain's mail leaves from into d: a list, or a pool.
func (c *Calls) applySources(r *door.Request, d *store.Domain, p door.Params) error {
	given, pool := strings.Join(p.Values["ips"], ","), p.Get("pool_id")
	if given == "" && pool == "" {
		return nil
	}
	if given != "" && pool != "" {
		return door.BadRequest("only one of 'ips' and 'pool_id' parameters is allowed")
	}
	var words []string
	var ips []netip.Addr
	for word := range strings.SplitSeq(given, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		addr, err := netip.ParseAddr(word)
		if err != nil || len(ips) == 100 {
			return door.BadRequest("'ips' parameter must be at most 100 IP addresses, separated by commas")
		}
		ips, words = append(ips, addr.Unmap()), append(words, addr.Unmap().String())
	}
	err := c.deps.Egress.MayUse(r.Context(), d.AccountID, words, pool)
	if errors.Is(err, store.ErrNotFound) {
		return door.BadRequest("%s can't be used by this account", door.Shown(given+pool))
	}
	if err != nil {
		return err
	}
	d.Settings.IPs, d.Settings.Pool = ips, pool
	return nil
}

// applyAuthority settles whose keys sign for a new domain: its own, unless it is asked for those
// of a domain above it.
func (c *Calls) applyAuthority(r *door.Request, d *store.Domain, p door.Params) error {
	self, err := p.Flag("force_dkim_authority")
	if err != nil {
		return err
	}
	root, err := p.Flag("force_root_dkim_host")
	if err != nil {
		return err
	}
	host := p.Get("dkim_host_name")
	switch {
	case self == mail.True || host == "" && root != mail.True:
		return nil
	case host != "":
		name, err := mail.ParseDomain(host)
		if err != nil {
			return door.BadRequest("'dkim_host_name' parameter is not a valid domain name")
		}
		if name == d.Name {
			return nil
		}
		above, err := c.above(r.Context(), d, name)
		if err != nil {
			return err
		}
		if above == "" {
			return door.BadRequest("'dkim_host_name' parameter must be a domain of this account above %s", d.Name)
		}
		d.Settings.DKIMAuthority = above
		return nil
	}
	d.Settings.DKIMAuthority, err = c.above(r.Context(), d, "")
	return err
}

// applyTLS puts the two flags that are given into d. Both spellings of their
// names are in use.
func applyTLS(d *store.Domain, p door.Params) error {
	require, err := p.FlagOf("require_tls", "require-tls")
	if err != nil {
		return err
	}
	skip, err := p.FlagOf("skip_verification", "skip-verification")
	if err != nil {
		return err
	}
	if require != mail.Unset {
		d.TLS.RequireTLS = require
	}
	if skip != mail.Unset {
		d.TLS.SkipVerification = skip
	}
	return nil
}
