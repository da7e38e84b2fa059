package dsn

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// owed decides whether the sender of a message is owed a notice of its failure.
//
//   - Nothing is ever sent about a message with the null reverse-path: notices have it, and
//     so none is sent about a notice (RFC 3464 section 2, RFC 5321 section 4.5.5, SEC-62).
//   - A message that came by the API has no notices: who calls it reads events.
//   - Of those submitted by SMTP, the ones marked with REQUIRETLS have (RFC 8689 section
//     5). Others asked for none: we do not offer the extension to ask (docs/adr/0012).
func owed(e mail.Envelope, m *event.Meta) bool {
	return !e.ReversePath.IsZero() && m.Method == accept.SMTP.String() && e.RequireTLS
}

// candidate tells the same as far as an event alone can, so that the message need not be
// fetched for each failure there is.
func candidate(item *store.EventItem) bool {
	return item.Type == event.FailedPermanent && item.Message != 0 && item.Meta.Method == accept.SMTP.String() && item.Meta.Sender != ""
}

// failureOf reads the failure of one recipient from its event.
func failureOf(item *store.EventItem) (Failure, error) {
	a, err := mail.ParseAddress(item.Recipient)
	if err != nil {
		return Failure{}, fmt.Errorf("event %v: recipient: %w", item.ID, err)
	}
	f := Failure{Recipient: a, At: item.Time}
	st := item.Data.Status
	if st == nil {
		return f, nil
	}
	f.Code, f.Enhanced, f.Text, f.Local = st.Code, st.EnhancedCode, st.Message, st.Local
	if item.Data.Reason == "old" { // the code is the event log's own, not one of SMTP
		f.Expired, f.Code, f.Enhanced, f.Text = true, st.LastCode, "", st.LastMessage
	}
	if st.MXHost != nil {
		f.Host = *st.MXHost
	}
	return f, nil
}

// byMessage groups failures by message, in the order of the first of each.
func byMessage(items []store.EventItem) [][]store.EventItem {
	var groups [][]store.EventItem
	at := map[mail.ID]int{}
	for _, item := range items {
		i, known := at[item.Message]
		if !known {
			i = len(groups)
			at[item.Message] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	return groups
}

// noticeOf gathers the facts of a notice about a message and its failures, without the
// message's header. The notice comes from the postmaster of the sending domain: the address
// must be that of somebody responsible (RFC 3464 section 2), and the domain must be the
// one that signs.
func noticeOf(m *store.Message, failures []store.EventItem, host string) (Notice, error) {
	n := Notice{
		ID: failures[0].ID, ReportingMTA: host,
		From: mail.Address{Local: "postmaster", Domain: m.Meta.Domain}, To: m.Envelope.ReversePath,
		MessageID: m.Meta.MessageID, Subject: m.Meta.Subject, Arrival: m.ID.Time(),
	}
	for i := range failures {
		f, err := failureOf(&failures[i])
		if err != nil {
			return n, err
		}
		n.Failures = append(n.Failures, f)
	}
	return n, nil
}
