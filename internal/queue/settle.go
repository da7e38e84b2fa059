package queue

import (
	"math"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/refusal"
	"github.com/sealpost/sealpost/internal/store"
)

// Reasons and codes of failures in the event log's vocabulary.
const (
	reasonGeneric = "generic"
	reasonBounce  = "bounce"
	reasonOld     = "old"
	reasonBlock   = "espblock"

	bounceHard = "hard"
	bounceSoft = "soft"

	codeNoMX   = 498
	codeTooOld = 602
)

// Settle says what a report means for the rows of its job. It is a pure function. The
// report says when the attempt ended, which decides about expiry; where it does not,
// that is now. Waits count from now, which is later than the end where the report was made
// for another message and is shared.
//
//   - Delivered is final. So is Bounced, but only with a 5xx reply: what contradicts
//     itself, or is missing, is a deferral. Unknown is temporary.
//   - Deferred waits for the next step of the schedule. It becomes final, "too
//     old", if the attempt ended past the recipient's expiry, and never without an
//     attempt or while the clock is in doubt (REL-27). Then code and message
//     are 602 "Too old" with an empty description, as clients know them; the last
//     attempt's reply stands in last-code and last-message, and its TLS evidence in
//     tls-detail, so the reason why TLS was not to be had is not lost.
//   - Deferred with ScopePolicy becomes final too once the sending domain's patience
//     with missing TLS is over (require-tls-give-up-after). It keeps the reason: the
//     deciding reply turns from 4xx into 550 and from 4.7.x into 5.7.x (RFC 3463 section
//     2: only the class changes), and the description names the setting. It is not a bounce, for
//     nothing is wrong with the address. The attempt that finds patience at its end is made
//     right then, and not up to one long step later.
//   - Deferred with ScopeSelf says nothing about the recipient: no event, attempt not
//     counted, due after [SelfWait] (REL-31, REL-34).
//   - Abandoned changes nothing: no event, not counted, due now. [Queue] releases such rows
//     instead of settling them, which keeps their last reply too.
//
// A report whose results do not match the recipients one to one defers those
// without a result.
func Settle(j mail.Job, r mail.Report, s Schedule, now time.Time) store.Outcome {
	s = s.For(j.Settings)
	ended := now
	if !r.Finished.IsZero() {
		ended = r.Finished
	}
	if now.Before(ended) {
		now = ended
	}
	o := store.Outcome{Message: j.Message, DomainID: j.DomainID, Rows: make([]store.RowOutcome, len(j.Recipients))}
	for i, rcpt := range j.Recipients {
		res := mail.RecipientResult{Reply: internalError()}
		if i < len(r.Results) {
			res = r.Results[i]
		}
		o.Rows[i] = settleOne(j, rcpt, span{r.Started, ended}, sane(res, j.NextHop), s, now)
	}
	return o
}

// internalError is said when we have nothing better to say.
func internalError() mail.Reply {
	return mail.LocalReply(451, "4.3.0", "internal error, will be tried again")
}

// sane resolves contradictions in a result towards "temporary" and fills in the
// words that a missing reply leaves open.
func sane(res mail.RecipientResult, nextHop string) mail.RecipientResult {
	switch {
	case res.Outcome == mail.Delivered && res.Reply.Code == 0:
		res.Reply = mail.LocalReply(250, "", "OK")
	case res.Outcome == mail.Delivered && !res.Reply.Positive(),
		res.Outcome == mail.Bounced && !res.Reply.Permanent(),
		res.Outcome > mail.Abandoned:
		res.Outcome = mail.Deferred
	}
	if res.Outcome != mail.Deferred {
		res.NoMX = false
		return res
	}
	if res.NoMX {
		res.Reply = mail.LocalReply(codeNoMX, "", "No MX for ["+nextHop+"]")
		res.Reason = reasonGeneric
	} else if res.Reply.Code == 0 {
		text := res.Reply.Text
		if res.Reply = internalError(); text != "" {
			res.Reply.Text = text
		}
	}
	return res
}

// A span is when an attempt began and ended.
type span struct{ started, ended time.Time }

func settleOne(j mail.Job, rcpt mail.Recipient, attempt span, res mail.RecipientResult, s Schedule, now time.Time) store.RowOutcome {
	out := store.RowOutcome{Row: rcpt.Row, Lease: rcpt.Lease, Attempt: rcpt.Attempt, LastReply: res.Reply.String()}
	rec := &event.Record{Recipient: rcpt.Address.String(), Data: event.Data{Status: status(j, rcpt, attempt.started, res)}}
	if res.Session != nil {
		rec.Data.SendingIP = res.Session.SendingIP
	}
	st := rec.Data.Status

	switch {
	case res.Outcome == mail.Abandoned:
		out.Due, out.Attempt, out.LastReply = now, max(rcpt.Attempt-1, 0), ""
		return out

	case res.Outcome == mail.Deferred && res.Scope == mail.ScopeSelf:
		out.Due, out.Attempt = now.Add(SelfWait+time.Duration(float64(SelfWait)*s.Jitter)), max(rcpt.Attempt-1, 0)
		return out

	case res.Outcome == mail.Delivered:
		out.Final, out.LastReply = true, ""
		rec.Type = event.Delivered
		rec.Data.DSNPassed = j.Envelope.DSN != nil && res.Session != nil && res.Session.DSN

	case res.Outcome == mail.Bounced:
		out.Final = true
		rec.Type = event.FailedPermanent
		rec.Data.Reason, st.BounceType = bounceOf(res)

	case attempt.ended.After(s.expires(j, rcpt)) && !s.ClockDoubted:
		out.Final = true
		rec.Type = event.FailedPermanent
		rec.Data.Reason = reasonOld
		st.LastCode, st.LastMessage = st.Code, st.Message
		st.Code, st.EnhancedCode, st.Message, st.Description, st.Local = codeTooOld, "", "Too old", "", true

	case res.Scope == mail.ScopePolicy && s.outOfPatience(j, attempt.ended):
		out.Final = true
		rec.Type = event.FailedPermanent
		rec.Data.Reason = reasonGeneric
		giveUp(st, j.Settings.GiveUpAfter)

	default:
		wait := s.wait(j, rcpt, res.NoMX, now)
		if res.Scope == mail.ScopePolicy {
			wait = untilGiveUp(j, wait, now)
		}
		if expiry := s.expires(j, rcpt); now.After(expiry) && !attempt.ended.After(expiry) {
			wait = min(wait, lastChance) // too old, but no attempt has said so yet
		}
		out.Due = now.Add(wait)
		rec.Type = event.FailedTemporary
		rec.Data.Reason = or(res.Reason, reasonGeneric)
		seconds := int(math.Round(wait.Seconds()))
		st.RetrySeconds = &seconds
	}
	out.Event = rec
	return out
}

// bounceOf says what a final refusal is about. Hard is only what concerns the address:
// its host refused it in the answer to RCPT and not for who we are or what we send, or there is no such
// domain or it takes no mail. Automatic bounces are made of the former.
func bounceOf(res mail.RecipientResult) (reason, bounceType string) {
	switch res.Reason {
	case "", reasonBounce:
	default:
		return res.Reason, bounceSoft
	}
	if res.Reply.Local {
		if strings.HasPrefix(res.Reply.Enhanced, "5.1.") {
			return reasonBounce, bounceHard
		}
		return reasonGeneric, bounceSoft
	}
	switch refusal.Of(res.Reply) {
	case refusal.Block:
		return reasonBlock, bounceSoft
	case refusal.Address:
		if res.Scope == mail.ScopeRecipient {
			return reasonBounce, bounceHard
		}
	}
	return reasonGeneric, bounceSoft
}

// giveUp makes a policy's temporary failure the last one. See tls-policy's own
// permanent refusals for the codes (RFC 8689 section 4.2.1 has 5.7.10).
func giveUp(st *event.Status, after time.Duration) {
	st.LastCode, st.LastMessage = st.Code, st.Message
	st.Code, st.Local, st.BounceType = 550, true, bounceSoft
	if class, detail, ok := strings.Cut(st.EnhancedCode, "."); ok && class == "4" {
		st.EnhancedCode = "5." + detail
	} else {
		st.EnhancedCode = "5.7.0"
	}
	when := "at the first failure"
	if after > 0 {
		when = after.String() + " after acceptance"
	}
	st.Description = "given up " + when + " (require-tls-give-up-after)"
}

// status tells one attempt for one recipient as events carry it.
func status(j mail.Job, rcpt mail.Recipient, started time.Time, res mail.RecipientResult) *event.Status {
	st := &event.Status{
		AttemptNo:    rcpt.Attempt,
		Code:         res.Reply.Code,
		EnhancedCode: res.Reply.Enhanced,
		Message:      res.Reply.Text,
		Local:        res.Reply.Local,
	}
	if res.NoMX {
		st.Description = res.Reply.Text
	}
	if rcpt.Attempt == 1 && !started.IsZero() && !j.Accepted.IsZero() {
		first := max(started.Sub(j.Accepted).Seconds(), 0)
		st.FirstAttemptSeconds = &first
	}
	if ses := res.Session; ses != nil {
		st.SessionSeconds = ses.Duration.Seconds()
		facts := *ses                                                  // the event must not change when the session's owner goes on
		facts.CertificateVerified = ses.TLS && ses.CertificateVerified // what travelled in clear was verified by nobody
		st.TLS, st.CertificateVerified, st.MXHost, st.UTF8 = &facts.TLS, &facts.CertificateVerified, &facts.MXHost, &facts.UTF8
		st.TLSDetail = &facts.Detail
	}
	return st
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
