package dsn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// owed returns those failures of a message that its sender is owed a notice of.
//
//   - Nothing is ever sent about a message with the null reverse-path: notices have it, and
//     so none is sent about a notice (RFC 3464 section 2, RFC 5321 section 4.5.5, SEC-62).
//   - Nothing about a message that came by the API: who calls it reads events.
//   - With REQUIRETLS: about every failure (RFC 8689 section 4.2.1).
//   - With TLS-Required: No: where TLS was not to be had and the server takes no plaintext
//     (section 4.2.2).
//   - About others nothing was asked for: we do not offer the extension to ask (docs/adr/0012).
func owed(m *store.Message, failures []store.EventItem) []store.EventItem {
	switch {
	case m.Envelope.ReversePath.IsZero(), m.Envelope.Report, m.Meta.Method != accept.SMTP.String():
		return nil
	case m.Envelope.RequireTLS:
		return failures
	case m.Envelope.TLSOptional:
		return slices.DeleteFunc(slices.Clone(failures), func(item store.EventItem) bool { return !forWantOfTLS(item.Data.Status) })
	}
	return nil
}

// forWantOfTLS reports whether an attempt failed because there was no TLS: we refused the
// session for it, or the server said so.
func forWantOfTLS(st *event.Status) bool {
	if st == nil {
		return false
	}
	if d := st.TLSDetail; d != nil && strings.HasPrefix(d.Result, "refused-") {
		return true
	}
	return tlspolicy.DemandsTLS(mail.Reply{Code: st.Code, Enhanced: st.EnhancedCode, Text: st.Message, Local: st.Local})
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
		MessageID: m.Meta.MessageID, Subject: m.Meta.Subject, Arrival: m.ID.Time(), RequireTLS: m.Envelope.RequireTLS,
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
