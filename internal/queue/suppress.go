package queue

import (
	"context"
	"time"

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

// freshFor is how long after acceptance mail is attempted on the strength of the look-up that
// the accept room made.
const freshFor = time.Minute

// withheld returns which recipients of a job got onto a list since their mail was accepted. It asks before
// every attempt of mail that waited: by schedule, for its turn, or after a failure.
func (q *Queue) withheld(t *task, j mail.Job, now time.Time) ([]store.SuppressionList, error) {
	if q.roles.Suppressions == nil || t.offer != nil && now.Sub(t.leased) < freshFor {
		return nil, nil
	}
	to := make([]mail.Address, len(j.Recipients))
	for i, r := range j.Recipients {
		to[i] = r.Address
	}
	lists, err := q.roles.Suppressions.Suppressed(context.Background(), j.DomainID, to, t.tags)
	if j.Envelope.Report || j.Envelope.ReversePath.IsZero() { // of the server itself
		for i, l := range lists {
			if !l.StopsNotices() {
				lists[i] = store.NoList
			}
		}
	}
	return lists, err
}

// tryOthers makes the attempt for those recipients that are on no list. The report has a result
// for each of the job's; those of the others are only for the log.
func (q *Queue) tryOthers(ctx context.Context, j mail.Job, withheld []store.SuppressionList) mail.Report {
	if withheld == nil {
		return q.try(ctx, j)
	}
	others := j
	others.Recipients = nil
	for i, r := range j.Recipients {
		if withheld[i] == store.NoList {
			others.Recipients = append(others.Recipients, r)
		}
	}
	var tried mail.Report
	if len(others.Recipients) > 0 {
		tried = q.try(ctx, others)
	}
	r := tried
	r.Results = make([]mail.RecipientResult, len(j.Recipients))
	next := 0
	for i, l := range withheld {
		if l != store.NoList {
			st := l.Failure().Status
			r.Results[i] = mail.RecipientResult{Outcome: mail.Bounced, Reply: mail.LocalReply(st.Code, "", st.Description)}
			continue
		}
		if next < len(tried.Results) {
			r.Results[i] = tried.Results[next]
		}
		next++
	}
	return r
}

// failWithheld makes the rows of suppressed recipients final. Nothing was attempted for them,
// so they have an outcome that no report can have.
func failWithheld(o *store.Outcome, j mail.Job, withheld []store.SuppressionList) {
	for i, l := range withheld {
		if l == store.NoList {
			continue
		}
		rcpt := j.Recipients[i]
		data := l.Failure()
		data.Status.AttemptNo = rcpt.Attempt
		o.Rows[i] = store.RowOutcome{Row: rcpt.Row, Lease: rcpt.Lease, Attempt: rcpt.Attempt, Final: true,
			Event: &event.Record{Type: event.FailedPermanent, Recipient: rcpt.Address.String(), Data: data}}
	}
}
