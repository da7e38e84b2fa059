package tlsrpt

import (
	"context"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// Reports returns matching reports, sent and to be sent, latest day first. It answers
// from the store, also while reports are off.
func (r *Room) Reports(ctx context.Context, q store.TLSReportQuery) ([]store.TLSReport, error) {
	return r.deps.Store.TLSReports(ctx, q)
}

// Preview returns the JSON of the report of a day to a policy domain, as it would go out
// if the day ended now. store.ErrNotFound if nothing was counted, or it was dropped because
// the domain does not ask for reports.
func (r *Room) Preview(ctx context.Context, domain, day string) ([]byte, error) {
	if r.Enabled() {
		if err := r.flush(ctx); err != nil {
			return nil, fmt.Errorf("write what was counted: %w", err)
		}
	}
	counts, err := r.deps.Store.TLSCounts(ctx, day, domain)
	if err != nil {
		return nil, err
	}
	if len(counts) == 0 {
		return nil, fmt.Errorf("TLS sessions with %s on %s: %w", domain, day, store.ErrNotFound)
	}
	planned, err := plan(day, domain, r.cfg.From.Domain, time.Now())
	if err != nil {
		return nil, err
	}
	doc, err := document(r.cfg, planned.ID, day, counts)
	if err != nil {
		return nil, err
	}
	return doc.Encode()
}
