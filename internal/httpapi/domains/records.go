package domains

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/dkimkeys"
	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
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

// An mxJSON is a record by which a domain receives. It has no name: it is the domain's.
type mxJSON struct {
	IsActive   bool     `json:"is_active"`
	Cached     []string `json:"cached"`
	Priority   string   `json:"priority"`
	RecordType string   `json:"record_type"`
	Valid      string   `json:"valid"`
	Value      string   `json:"value"`
}

// sendingViews shows the records that the domain needs to send, with what was last seen of them.
func (c *Calls) sendingViews(d, authority *store.Domain) []*recordJSON {
	views := []*recordJSON{}
	for _, rec := range c.cfg.DNS.Sending(d, authority) {
		views = append(views, recordView(d, authority, rec))
	}
	return views
}

// recordView shows a record. What was seen of a key may have been seen for the one domain or the other.
func recordView(d, authority *store.Domain, rec domaindns.Record) *recordJSON {
	last := domaindns.Last(d, rec)
	if last.Valid == domaindns.Unknown && rec.Selector != "" {
		last = domaindns.Last(authority, rec)
	}
	return &recordJSON{
		IsActive: rec.Active, Cached: append([]string{}, last.Seen...), Name: rec.Name, RecordType: rec.Type, Valid: last.Valid, Value: rec.Value,
	}
}

func receivingView(d *store.Domain, rec domaindns.Record) mxJSON {
	last := domaindns.Last(d, rec)
	return mxJSON{
		IsActive: rec.Active, Cached: append([]string{}, last.Seen...), Priority: strconv.Itoa(rec.Priority),
		RecordType: rec.Type, Valid: last.Valid, Value: rec.Value,
	}
}

// verifyDomain looks the DNS records of the domain up. A domain whose records are there may send
// from then on. One that could send is not stopped by what it finds.
func (c *Calls) verifyDomain(w http.ResponseWriter, r *door.Request) error {
	ctx, cancel := r.Bounded()
	defer cancel()
	authority, err := c.authority(ctx, &r.Domain)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	records := append(c.cfg.DNS.Sending(&r.Domain, authority), c.cfg.DNS.Receiving(&r.Domain)...)
	checks := domaindns.Check(ctx, c.deps.Resolver, records, now, c.deps.Log)
	if authority.Name != r.Domain.Name {
		if err := c.noteSeen(r.Context(), authority.Name, records, checks, now); err != nil {
			return err
		}
	}
	d, err := c.deps.Domains.UpdateDomain(r.Context(), r.Domain.Name, func(d *store.Domain) error {
		d.Checks = checks
		if domaindns.Sufficient(records, checks) && d.State == store.DomainUnverified {
			d.State = store.DomainActive
		}
		markSeen(d, records, checks, now)
		return nil
	})
	if err != nil {
		return door.Missing(err, errNoDomain)
	}
	return c.replyDomain(w, r, &d, "Domain DNS records have been updated")
}

// noteSeen tells the domain that signs for another which of its keys were seen.
func (c *Calls) noteSeen(ctx context.Context, name string, records []domaindns.Record, checks []store.DNSCheck, now time.Time) error {
	_, err := c.deps.Domains.UpdateDomain(ctx, name, func(d *store.Domain) error {
		markSeen(d, records, checks, now)
		return nil
	})
	return door.Missing(err, errNoDomain)
}

// markSeen notes which of the domain's keys were found, if they are what they were when one looked.
func markSeen(d *store.Domain, records []domaindns.Record, checks []store.DNSCheck, now time.Time) {
	for i, rec := range records {
		if rec.Selector == "" || rec.Authority != d.Name || checks[i].Valid != domaindns.Valid {
			continue
		}
		if k := dkimkeys.Find(d, rec.Selector); k >= 0 && d.DKIM[k].Public == rec.Value {
			dkimkeys.Seen(d, rec.Selector, now)
		}
	}
	dkimkeys.Advance(d, now)
}
