package dsn

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// occasions are the values of NOTIFY that ask for each action.
var occasions = [...]mail.Notify{Failed: mail.NotifyFailure, Delayed: mail.NotifyDelay, Relayed: mail.NotifySuccess}

// owed returns those items of a message, all of one action, that its sender is owed a
// notice of.
//
//   - Nothing is ever sent about a message with the null reverse-path: notices have it, and
//     so none is sent about a notice (RFC 3464 section 2, RFC 5321 section 4.5.5, SEC-62).
//   - Nothing about a message that came by the API: who calls it reads events.
//   - Nothing about a member of a mailing list: who writes to a list asks about the list, and is not
//     told who is on it (RFC 3461 section 5.2.7.3).
//   - What NOTIFY says about a recipient counts, whatever else is true of the message (RFC
//     3461 section 4.1).
//   - Else with REQUIRETLS: every failure (RFC 8689 section 4.2.1).
//   - Else with TLS-Required: No: failures where TLS was not to be had and the server takes no
//     plaintext (section 4.2.2).
//   - About others nothing was asked for (docs/adr/0012, docs/adr/0015).
func owed(m *store.Message, action Action, items []store.EventItem) []store.EventItem {
	if m.Envelope.ReversePath.IsZero() || m.Envelope.Report || m.Meta.Method != accept.SMTP.String() || m.Meta.MailingList != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(items), func(item store.EventItem) bool { return !owedOne(m, action, &item) })
}

func owedOne(m *store.Message, action Action, item *store.EventItem) bool {
	a, err := mail.ParseAddress(item.Recipient)
	said := m.Envelope.DSN.Notify(a)
	switch {
	case err == nil && said != 0:
		return said.Has(occasions[action])
	case action != Failed:
		return false
	case m.Envelope.RequireTLS:
		return true
	}
	return m.Envelope.TLSOptional && forWantOfTLS(item.Data.Status)
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
// fetched for each event there is.
func candidate(item *store.EventItem) bool {
	if item.Message == 0 || item.Meta.Method != accept.SMTP.String() || item.Meta.Sender == "" || item.Meta.MailingList != nil {
		return false
	}
	action, ok := actionOf(item)
	return ok && (action == Failed || item.Meta.Notify)
}

// delayAfter is how old a message is when its sender hears that it is delayed.
const delayAfter = time.Hour

// actionOf returns what an event would make a notice tell; ok is false if nothing.
func actionOf(item *store.EventItem) (action Action, ok bool) {
	switch item.Type {
	case event.FailedPermanent:
		return Failed, true
	case event.Delivered:
		// To a next hop with DSN everything was passed on: the rest is its matter (RFC 3461 section
		// 5.2.1). A test message went nowhere.
		return Relayed, !item.Data.DSNPassed && !item.Meta.TestMode
	case event.FailedTemporary:
		return Delayed, turnsLate(item)
	}
	return 0, false
}

// turnsLate reports whether with this failure it is certain that the message will be late: it
// is not yet, and will be when it is tried the next time. So it is said early, and once if nobody has
// it tried out of turn.
func turnsLate(item *store.EventItem) bool {
	st := item.Data.Status
	if st == nil || st.RetrySeconds == nil {
		return false
	}
	since := item.Message.Time()
	if item.Meta.ScheduledFor.After(since) {
		since = item.Meta.ScheduledFor
	}
	late, next := since.Add(delayAfter), item.Time.Add(time.Duration(*st.RetrySeconds)*time.Second)
	return item.Time.Before(late) && !next.Before(late)
}

// fateOf reads the failure of one recipient from its event.
func fateOf(item *store.EventItem) (Fate, error) {
	a, err := mail.ParseAddress(item.Recipient)
	if err != nil {
		return Fate{}, fmt.Errorf("event %v: recipient: %w", item.ID, err)
	}
	f := Fate{Recipient: a, At: item.Time}
	st := item.Data.Status
	if st == nil {
		return f, nil
	}
	f.WantOfTLS = forWantOfTLS(st)
	f.Code, f.Enhanced, f.Text, f.Local = st.Code, st.EnhancedCode, st.Message, st.Local
	if item.Data.Reason == "old" { // the code is the event log's own, not one of SMTP
		f.Expired, f.Code, f.Enhanced, f.Text = true, st.LastCode, "", st.LastMessage
	}
	if st.MXHost != nil {
		f.Host = *st.MXHost
	}
	return f, nil
}

// byNotice groups events by message and action, in the order of the first of each.
func byNotice(items []store.EventItem) [][]store.EventItem {
	type notice struct {
		message mail.ID
		action  Action
	}
	var groups [][]store.EventItem
	at := map[notice]int{}
	for _, item := range items {
		n := notice{message: item.Message}
		n.action, _ = actionOf(&item)
		i, known := at[n]
		if !known {
			i = len(groups)
			at[n] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	return groups
}

// noticeOf gathers the facts of a notice about a message and some events of it, without the
// message's header. The notice comes from the postmaster of the sending domain: the address
// must be that of somebody responsible (RFC 3464 section 2), and the domain must be the
// one that signs.
func noticeOf(m *store.Message, action Action, items []store.EventItem, host string) (Notice, error) {
	n := Notice{
		Action: action, ID: items[0].ID, ReportingMTA: host,
		From: mail.Address{Local: "postmaster", Domain: m.Meta.Domain}, To: m.Envelope.ReversePath,
		MessageID: m.Meta.MessageID, Subject: m.Meta.Subject, Arrival: m.ID.Time(), RequireTLS: m.Envelope.RequireTLS,
		TLSOptional: m.Envelope.TLSOptional,
	}
	if d := m.Envelope.DSN; d != nil {
		n.EnvelopeID = d.EnvelopeID
		n.Whole = d.Return == mail.ReturnFull && action == Failed && !n.RequireTLS
	}
	for i := range items {
		f, err := fateOf(&items[i])
		if err != nil {
			return n, err
		}
		f.Original = m.Envelope.DSN.Of(f.Recipient).Original
		n.Fates = append(n.Fates, f)
	}
	return n, nil
}
