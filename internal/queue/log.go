package queue

import (
	"context"
	"log/slog"
	"slices"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// logAttempt writes one line per recipient: the canonical account of an attempt,
// as Postfix gives it with its four delays. Foreign text is left to slog to
// quote.
func (q *Queue) logAttempt(j mail.Job, r mail.Report, o store.Outcome, lost []mail.ID, how string) {
	for i, row := range o.Rows {
		if row.Event == nil && !row.Final {
			q.log.LogAttrs(context.Background(), slog.LevelInfo, "attempt not counted",
				slog.String("message", j.Message.String()), slog.String("domain", j.Domain),
				slog.String("recipient", j.Recipients[i].Address.String()), slog.String("next-hop", j.NextHop),
				slog.String("why", or(row.LastReply, "abandoned")))
			continue
		}
		var res mail.RecipientResult
		if i < len(r.Results) {
			res = r.Results[i]
		}
		attrs := attemptAttrs(j, j.Recipients[i], r, res, row)
		if how != "" {
			attrs = append(attrs, slog.Bool(how, true))
		}
		if slices.Contains(lost, row.Row) {
			attrs = append(attrs, slog.Bool("lease-lost", true))
		}
		q.log.LogAttrs(context.Background(), slog.LevelInfo, "attempt", attrs...)
	}
}

func attemptAttrs(j mail.Job, rcpt mail.Recipient, r mail.Report, res mail.RecipientResult, row store.RowOutcome) []slog.Attr {
	st := row.Event.Data.Status
	reply := st.Message
	if st.LastMessage != "" {
		reply = st.LastMessage
	}
	attrs := []slog.Attr{
		slog.String("message", j.Message.String()),
		slog.String("message-id", j.MessageID),
		slog.String("domain", j.Domain),
		slog.String("recipient", rcpt.Address.String()),
		slog.String("next-hop", j.NextHop),
		slog.Int("attempt", rcpt.Attempt),
		slog.String("status", statusWord(row)),
		slog.Int("code", st.Code),
		slog.String("enhanced", st.EnhancedCode),
		slog.String("reply", reply),
		slog.Bool("local", st.Local),
	}
	if ses := res.Session; ses != nil {
		attrs = append(attrs,
			slog.String("mx-host", ses.MXHost),
			slog.String("mx-ip", ses.Detail.MXIP),
			slog.Bool("tls", ses.TLS),
			slog.Bool("certificate-verified", ses.TLS && ses.CertificateVerified),
			slog.String("requirement", ses.Detail.Requirement),
			slog.String("result", ses.Detail.Result),
			slog.String("fallback", ses.Detail.Fallback))
	}
	attrs = append(attrs,
		slog.Duration("before-lease", max(j.Leased.Sub(j.Accepted), 0)),
		slog.Duration("in-queue", max(r.Started.Sub(j.Leased), 0)),
		slog.Duration("connecting", r.Connecting),
		slog.Duration("transmitting", r.Transmitting))
	if st.RetrySeconds != nil {
		attrs = append(attrs, slog.Int("retry-in", *st.RetrySeconds))
	}
	return attrs
}

// statusWord is an outcome as the log spells it.
func statusWord(row store.RowOutcome) string {
	switch {
	case row.Event.Type == event.Delivered:
		return "delivered"
	case row.Event.Type == event.FailedTemporary:
		return "deferred"
	case row.Event.Data.Reason == reasonOld:
		return "expired"
	}
	return "bounced"
}
