package accept

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// A Suppressor says who must get none of a domain's mail, as store.Suppressions does: for each address the
// list that it is on, or nil if none of them is on any. It must be cheap for a domain that
// suppresses nobody.
type Suppressor interface {
	Suppressed(ctx context.Context, domainID int64, to []mail.Address, tags []string) ([]store.SuppressionList, error)
}

// withhold takes suppressed recipients out of messages that are about to be stored, whichever door they came
// by (SEC-63). Their mail is accepted all the same, so that senders hear of it where they look for
// it: as a failure that comes right behind the acceptance, in the same transaction.
func (j *job) withhold(ctx context.Context, messages []*store.NewMessage) error {
	if j.room.cfg.Suppressions == nil {
		return nil
	}
	var to []mail.Address
	for _, m := range messages {
		for _, row := range m.Rows {
			to = append(to, row.Recipient)
		}
	}
	if len(to) == 0 { // test mode: it shows what would be if nothing stood in the way
		return nil
	}
	lists, err := j.room.cfg.Suppressions.Suppressed(ctx, j.domain.ID, to, j.opts.Tags)
	if err != nil {
		return fmt.Errorf("look for suppressed recipients: %w", err)
	}
	if lists == nil {
		return nil
	}
	for _, m := range messages {
		own := lists[:len(m.Rows)]
		lists = lists[len(m.Rows):]
		j.drop(m, own)
	}
	return nil
}

// drop gives the rows of recipients on a list no place in the queue.
func (j *job) drop(m *store.NewMessage, lists []store.SuppressionList) {
	notice := j.s.Report || j.s.Notice
	kept := slices.Clone(m.Rows)[:0]
	for i, row := range m.Rows {
		if l := lists[i]; l == store.NoList || notice && !l.StopsNotices() {
			kept = append(kept, row)
		} else {
			m.Events = append(m.Events, j.record(m.ID, event.FailedPermanent, row.Recipient.String(), l.Failure()))
		}
	}
	m.Rows = kept
}
