package domaindns

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// Bounds on what of a domain's DNS is kept and shown.
const (
	maxSeen       = 10
	maxSeenLength = 1 << 10
)

// A Resolver reads the DNS records of sending domains. None, or no such name, is an empty
// list. An error means that we could not find out.
type Resolver interface {
	// LookupTXT returns the TXT records of a name, each with its strings joined.
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// LookupCNAME returns the names that a name is an alias of.
	LookupCNAME(ctx context.Context, name string) ([]string, error)
	// LookupMX returns the MX records of a domain.
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
}

// Check looks at every record, each name and type once. A lookup that fails leaves what was
// known as unknown, which is not the same as missing.
func Check(ctx context.Context, r Resolver, records []Record, now time.Time, log *slog.Logger) []store.DNSCheck {
	type question struct{ name, kind string }
	type answer struct {
		found []string
		err   error
	}
	known := map[question]answer{}
	var checks []store.DNSCheck
	for _, rec := range records {
		q := question{rec.Name, rec.Type}
		a, asked := known[q]
		if !asked {
			a.found, a.err = lookUp(ctx, r, rec.Name, rec.Type)
			if known[q] = a; a.err != nil {
				log.InfoContext(ctx, "dns record not looked up", "name", rec.Name, "type", rec.Type, "error", a.err.Error())
			}
		}
		checks = append(checks, judge(rec, a.found, a.err, now))
	}
	return checks
}

func lookUp(ctx context.Context, r Resolver, name, kind string) ([]string, error) {
	switch kind {
	case "CNAME":
		list, err := r.LookupCNAME(ctx, name)
		var found []string
		for _, host := range list {
			found = append(found, strings.TrimSuffix(host, "."))
		}
		return found, err
	case "MX":
		list, err := r.LookupMX(ctx, name)
		var found []string
		for _, m := range list {
			found = append(found, showMX(m))
		}
		return found, err
	}
	return r.LookupTXT(ctx, name)
}

// judge says what was found of one record.
func judge(rec Record, found []string, err error, now time.Time) store.DNSCheck {
	c := store.DNSCheck{Name: rec.Name, Type: rec.Type, Value: rec.Value, Valid: Unknown, CheckedAt: now}
	if err != nil {
		return c
	}
	c.Valid = Invalid
	if rec.satisfied(found) {
		c.Valid = Valid
	}
	for _, f := range found[:min(len(found), maxSeen)] {
		c.Seen = append(c.Seen, strings.ToValidUTF8(f[:min(len(f), maxSeenLength)], "\uFFFD"))
	}
	return c
}

// Last returns what was last seen of the record; unknown if it was not looked at. What was seen
// of a record that ought to have been another, such as one of a key that was there before, says nothing.
func Last(d *store.Domain, rec Record) store.DNSCheck {
	i := slices.IndexFunc(d.Checks, func(c store.DNSCheck) bool {
		return c.Name == rec.Name && c.Type == rec.Type && (c.Value == rec.Value || c.Value == "")
	})
	if i < 0 {
		return store.DNSCheck{Name: rec.Name, Type: rec.Type, Value: rec.Value, Valid: Unknown}
	}
	return d.Checks[i]
}

// Sufficient reports whether what was found lets a domain send: permission by SPF, and a key
// that its mail can be verified with. Other records may be missing: without a host for its links
// a domain has none that are followed.
func Sufficient(records []Record, checks []store.DNSCheck) bool {
	keys, permitted := false, false
	for i, rec := range records {
		if !rec.Required || checks[i].Valid != Valid {
			continue
		}
		if rec.Selector != "" {
			keys = true
		} else {
			permitted = true
		}
	}
	return keys && permitted
}
