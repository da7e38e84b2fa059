package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"

	"github.com/sealpost/sealpost/internal/store"
)

// Words for how a record was last seen.
const (
	recordValid   = "valid"
	recordInvalid = "invalid"
	recordUnknown = "unknown"
)

// Bounds on what of a domain's DNS is kept and shown.
const (
	maxSeen       = 10
	maxSeenLength = 1 << 10
)

// A recordJSON is a DNS record that a domain's owner is asked to publish.
type recordJSON struct {
	IsActive   bool     `json:"is_active"`
	Cached     []string `json:"cached"`
	Name       string   `json:"name"`
	RecordType string   `json:"record_type"`
	Valid      string   `json:"valid"`
	Value      string   `json:"value"`
}

// A dnsRecord is a record with the rule that says whether what was found will do.
type dnsRecord struct {
	name, value string
	satisfied   func(found []string) bool
}

// records lists what a domain needs to send: the key that its signatures are
// verified with, and the permission for this server to send.
func (a *API) records(d store.Domain) []dnsRecord {
	return []dnsRecord{
		{
			name:      d.DKIM.Selector + "._domainkey." + d.Name,
			value:     d.DKIM.Public,
			satisfied: func(found []string) bool { return publishesKey(found, d.DKIM.Public) },
		},
		{
			name:      d.Name,
			value:     "v=spf1 a:" + a.cfg.Hostname + " ~all",
			satisfied: func(found []string) bool { return permits(found, a.cfg.Hostname) },
		},
	}
}

// recordViews shows the records with what verify last saw.
func (a *API) recordViews(d store.Domain) []recordJSON {
	views := []recordJSON{}
	for i, rec := range a.records(d) {
		v := recordJSON{Cached: []string{}, Name: rec.name, RecordType: "TXT", Valid: recordUnknown, Value: rec.value}
		j := slices.IndexFunc(d.Checks, func(c store.DNSCheck) bool { return c.Name == rec.name && c.Type == "TXT" })
		if j >= 0 {
			v.Valid = d.Checks[j].Valid
			v.Cached = append(v.Cached, d.Checks[j].Seen...)
		}
		// A permission may stand before it is seen; a key signs once it is.
		v.IsActive = i > 0 || v.Valid == recordValid
		views = append(views, v)
	}
	return views
}

// verifyDomain looks the records up. A domain whose records are all there may
// send from then on. One that could send is not stopped by what it finds.
func (a *API) verifyDomain(w http.ResponseWriter, r *door.Request) error {
	ctx, cancel := r.Bounded()
	defer cancel()
	checks := a.check(ctx, r.Domain, time.Now().UTC())
	d, err := a.deps.Domains.UpdateDomain(r.Context(), r.Domain.Name, func(d *store.Domain) error {
		d.Checks = checks
		all := !slices.ContainsFunc(checks, func(c store.DNSCheck) bool { return c.Valid != recordValid })
		if all && d.State == store.DomainUnverified {
			d.State = store.DomainActive
		}
		return nil
	})
	if err != nil {
		return door.Missing(err, door.NotFound("Domain not found"))
	}
	return a.replyDomain(w, d, "Domain DNS records have been updated")
}

// check looks at every record. A lookup that fails leaves what was known as
// unknown, which is not the same as missing.
func (a *API) check(ctx context.Context, d store.Domain, now time.Time) []store.DNSCheck {
	var checks []store.DNSCheck
	for _, rec := range a.records(d) {
		c := store.DNSCheck{Name: rec.name, Type: "TXT", Valid: recordUnknown, CheckedAt: now}
		found, err := a.deps.Resolver.LookupTXT(ctx, rec.name)
		if err != nil {
			a.deps.Log.InfoContext(ctx, "dns record not looked up", "name", rec.name, "error", err.Error())
			checks = append(checks, c)
			continue
		}
		c.Valid = recordInvalid
		if rec.satisfied(found) {
			c.Valid = recordValid
		}
		for _, f := range found[:min(len(found), maxSeen)] {
			c.Seen = append(c.Seen, strings.ToValidUTF8(f[:min(len(f), maxSeenLength)], "\uFFFD"))
		}
		checks = append(checks, c)
	}
	return checks
}

// publishesKey reports whether one of the records is a DKIM key record (RFC 6376
// section 3.6.1) with our public key. Other tags are the owner's choice; more than one key
// record leaves verifiers to chance.
func publishesKey(found []string, want string) bool {
	keys := 0
	same := false
	for _, f := range found {
		got := tags(f)
		if _, ok := got["p"]; !ok {
			continue
		}
		keys++
		version, named := got["v"]
		same = (!named || version == "DKIM1") && got["p"] == tags(want)["p"] && keyType(got) == keyType(tags(want))
	}
	return keys == 1 && same
}

func keyType(tags map[string]string) string {
	if k := tags["k"]; k != "" {
		return strings.ToLower(k)
	}
	return "rsa"
}

// tags reads a tag list (RFC 6376 section 3.2), without white space.
func tags(s string) map[string]string {
	list := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(part, "=")
		if ok {
			list[strings.Join(strings.Fields(name), "")] = strings.Join(strings.Fields(value), "")
		}
	}
	return list
}

// permits reports whether the one SPF record (RFC 7208) lists the host by name. A
// record that permits it by another way is not understood here: the domain's owner can add
// the name, or the operator set the domain active.
func permits(found []string, host string) bool {
	var policies []string
	for _, f := range found {
		version, _, _ := strings.Cut(f, " ")
		if strings.EqualFold(version, "v=spf1") {
			policies = append(policies, f)
		}
	}
	if len(policies) != 1 || host == "" { // two are an error to every receiver (section 4.5)
		return false
	}
	for _, term := range strings.Fields(policies[0])[1:] {
		term = strings.ToLower(strings.TrimPrefix(term, "+"))
		if term == "a:"+strings.ToLower(host) {
			return true
		}
		if strings.HasSuffix(term, "all") && strings.Trim(strings.TrimSuffix(term, "all"), "+-~?") == "" {
			return false // what follows is never looked at (section 5.1)
		}
	}
	return false
}
