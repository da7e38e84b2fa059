package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type auditCmd struct {
	Domain string `placeholder:"DOMAIN" help:"Of this sending domain, or of overrides for this target."`
	Kind   string `enum:"domain,override,key,credential,evidence,webhook," default:"" placeholder:"KIND" help:"Of one kind: domain, override, key, credential, evidence or webhook."`
	Since  string `placeholder:"TIME" help:"From this time on: 2026-11-23T10:00:00Z, 2026-11-23, seconds since 1970, or how long ago, such as 36h."`
	Until  string `placeholder:"TIME" help:"Before this time."`
	Limit  int    `default:"100" placeholder:"100" help:"At most so many, up to 1000."`
	Before int64  `placeholder:"ID" help:"Only entries before this one, to go on with a long list."`
}

// Run shows who changed what, newest first.
func (c auditCmd) Run(ctx context.Context, s *session) error {
	q := apiclient.AuditQuery{Domain: c.Domain, Kind: c.Kind, Before: c.Before, Limit: c.Limit}
	now := time.Now()
	for _, t := range []struct {
		given string
		into  *string
	}{{c.Since, &q.Since}, {c.Until, &q.Until}} {
		if t.given == "" {
			continue
		}
		moment, err := parseMoment(t.given, now)
		if err != nil {
			return err
		}
		*t.into = moment
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Audit(ctx, q)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ID", "TIME", "ACTOR", "ACTION", "OBJECT", "CHANGES", "REASON"}, none: "nothing was changed"}
	for _, e := range a.Value.Items {
		t.add(fmt.Sprint(e.ID), instant(e.Time), e.Actor, e.Action, e.Kind+" "+e.Object, auditChanges(e), e.Reason)
	}
	if err := s.show(a.JSON, t); err != nil {
		return err
	}
	if n := len(a.Value.Items); n > 0 && n == c.Limit && !s.json() {
		s.note("there may be more; go on with: --before %d", a.Value.Items[n-1].ID)
	}
	return nil
}

// auditChanges tells an entry's change on one line: what differs, or what came to
// be or ceased. A domain has many settings, most of them the usual ones: JSON has those.
func auditChanges(e apiclient.AuditEntry) string {
	var parts []string
	if whole := e.Before == nil || e.After == nil; !whole || e.Kind != "domain" {
		names := maps.Clone(e.Before)
		if names == nil {
			names = map[string]string{}
		}
		maps.Copy(names, e.After)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			before, after := e.Before[name], e.After[name]
			switch {
			case whole:
				parts = append(parts, name+"="+before+after)
			case before != after:
				parts = append(parts, fmt.Sprintf("%s: %s → %s", name, orNone(before), orNone(after)))
			}
		}
	}
	if n, ok := e.Details["queued-messages"]; ok {
		parts = append(parts, fmt.Sprintf("(lowers what %v queued messages require)", n))
	}
	return strings.Join(parts, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
