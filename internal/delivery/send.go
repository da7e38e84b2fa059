package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/smtpclient"
	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// How a transaction left the session.
type ending uint8

const (
	sessionEnded     ending = iota // decided as far as it could be
	sessionStale                   // a reused connection was gone before the server said a word
	plaintextRefused               // "must issue STARTTLS first": nothing was decided
)

// send hands the message over on a connection that was judged fit, and decides
// about the recipients for which the server's replies do. The connection goes back
// to the pool or is closed.
func (a *attempt) send(ctx context.Context, l *link, c candidate, v tlspolicy.Verdict) ending {
	l.messages++
	reused := l.messages > 1
	session := a.session(l, c, v)
	if utf8 := a.refuseUTF8(l, session); utf8 && len(a.open) == 0 {
		a.d.pool.put(l)
		return sessionEnded
	}
	tx := smtpclient.Transaction{
		ReversePath: a.job.Envelope.ReversePath,
		Recipients:  make([]mail.Address, len(a.open)),
		Open:        a.job.Open,
		Size:        a.job.Size,
		Need8Bit:    a.job.Envelope.Need8Bit,
		NeedUTF8:    a.job.Envelope.NeedUTF8 || a.anyUTF8(),
		// In strict mode the verdict saw to the announcement; in hop mode the wish is
		// handed on where it is understood (RFC 8689 section 4.2.1).
		RequireTLS: a.to.marking.REQUIRETLS() && l.session.Announced,
		DSN:        a.job.Envelope.DSN,
		// A server that demands TLS refuses MAIL. Content that followed at once would have
		// travelled in the clear for nothing, and Postfix 3.7 takes it for commands. A server
		// that hangs up between two messages would leave the outcome of content that
		// is on its way already unknown, and the message waiting for its next attempt.
		AwaitEnvelope: l.plain || reused,
	}
	for k, i := range a.open {
		tx.Recipients[k] = a.job.Recipients[i].Address
	}
	start := time.Now()
	res, err := l.client.Send(ctx, tx)
	session.Duration = time.Since(start)
	a.report.Transmitting += session.Duration
	if !reused {
		session.Duration = time.Since(l.opened) // the session began with the connection
	}

	if reused && ctx.Err() == nil && isStale(res, err) {
		l.client.Close()
		l.messages--
		return sessionStale
	}
	if l.plain && refusesPlaintext(res) {
		l.quit()
		return plaintextRefused
	}
	a.settle(ctx, l, res, err, session)
	a.release(l, res)
	return sessionEnded
}

// isStale reports whether a connection was gone before the server said a word about
// this transaction, and nothing of it can have been accepted.
func isStale(res smtpclient.Result, err error) bool {
	if res.State == smtpclient.StateNotStarted {
		_, decided := incapable(err)
		return !decided
	}
	return res.State == smtpclient.StateLost && res.Mail.Code == 0 && res.Closing.Code == 0
}

// anyUTF8 reports whether an open recipient's address needs SMTPUTF8.
func (a *attempt) anyUTF8() bool {
	return slices.ContainsFunc(a.open, func(i int) bool { return a.job.Recipients[i].Address.NeedsUTF8() })
}

// refuseUTF8 decides about recipients whose address cannot be sent to a server
// without SMTPUTF8 (SEC-18: never altered to fit), so that the others are not
// refused with them. It reports whether there were any.
func (a *attempt) refuseUTF8(l *link, session *mail.Session) bool {
	if l.client.Capabilities().Has("SMTPUTF8") || a.job.Envelope.NeedUTF8 || !a.anyUTF8() {
		return false
	}
	refusal, _ := incapable(smtpclient.ErrNoSMTPUTF8)
	refusal.Session = untravelled(session)
	a.open = slices.DeleteFunc(a.open, func(i int) bool {
		if !a.job.Recipients[i].Address.NeedsUTF8() {
			return false
		}
		a.report.Results[i] = refusal
		return true
	})
	return true
}

// untravelled returns the session for a message that we did not hand to it: the
// evidence stays, but nothing was carried at that level.
func untravelled(s *mail.Session) *mail.Session {
	c := *s
	c.TLS, c.CertificateVerified = false, false
	return &c
}

// session is what will be shown for recipients that this connection decides about.
func (a *attempt) session(l *link, c candidate, v tlspolicy.Verdict) *mail.Session {
	d := l.detail
	a.describe(&d, c)
	d.Result = string(v.Result)
	d.MessageNumber = l.messages
	if d.Fallback == "" {
		d.Fallback = "none"
		if d.SmallHello {
			d.Fallback = "small-hello"
		}
	}
	untried := a.untried
	d.MXUntried = &untried
	d.Attempts = append([]mail.TLSDetail(nil), a.trail...)
	return &mail.Session{
		MXHost: l.host, TLS: !l.plain, CertificateVerified: !l.plain && v.Verified,
		UTF8: l.client.Capabilities().Has("SMTPUTF8"), DSN: l.client.Capabilities().Has("DSN"), SendingIP: l.local, Detail: d,
	}
}

// release gives the connection back in a clean state, or closes it.
func (a *attempt) release(l *link, res smtpclient.Result) {
	if !l.client.Usable() {
		l.client.Close()
		return
	}
	if res.State != smtpclient.StateCompleted && res.State != smtpclient.StateNotStarted {
		ctx, cancel := context.WithTimeout(context.Background(), abandonedQuitTime)
		defer cancel()
		if l.client.Reset(ctx) != nil {
			l.client.Close()
			return
		}
	}
	a.d.pool.put(l)
}

// settle decides about every open recipient that the transaction decided about.
func (a *attempt) settle(ctx context.Context, l *link, res smtpclient.Result, err error, session *mail.Session) {
	var undecided []int
	for k, i := range a.open {
		r, ok := a.judgeRecipient(res, k, err)
		if !ok {
			undecided = append(undecided, i)
			continue
		}
		if r.Session = session; res.State == smtpclient.StateNotStarted {
			r.Session = untravelled(session)
		}
		a.report.Results[i] = r
	}
	a.open = undecided
	if len(undecided) > 0 {
		if ctx.Err() == nil {
			a.tried++
			a.fail(failure{reply: sendReply(res, err, l.host), host: l.host, local: l.local, scope: mail.ScopeHost})
		}
		d := session.Detail
		d.Attempts = nil
		d.Outcome = clip(fmt.Sprintf("%s: %v", res.State, err), 300)
		a.trail = append(a.trail, d)
	}
}

// judgeRecipient says what the transaction means for recipient k of it, and false
// if it means nothing: another host may be tried.
func (a *attempt) judgeRecipient(res smtpclient.Result, k int, err error) (mail.RecipientResult, bool) {
	reply := res.Reply(k)
	switch {
	case res.Delivered(k):
		return mail.RecipientResult{Outcome: mail.Delivered, Reply: reply}, true
	case res.State == smtpclient.StateOutcomeUnknown && res.Recipients[k].Code < 400:
		// RFC 1047: the server may have the message, also if it was sent behind a
		// RCPT that was never answered. Not at once to the next host (SEC-29), and
		// unknown is temporary.
		text := "outcome unknown: the connection ended after the message was sent"
		return mail.RecipientResult{
			Outcome: mail.Deferred, Scope: mail.ScopeMessage, Reason: "generic",
			Reply: mail.LocalReply(451, "4.4.2", text),
		}, true
	case errors.Is(err, smtpclient.ErrContent):
		// Our own copy is damaged or unreadable: no host can change that.
		return mail.RecipientResult{
			Outcome: mail.Deferred, Scope: mail.ScopeMessage, Reason: "generic",
			Reply: mail.LocalReply(451, "4.3.0", "the stored message could not be read"),
		}, true
	case res.State == smtpclient.StateNotStarted:
		return incapable(err)
	case res.Closing.Code != 0 && reply == res.Closing:
		return mail.RecipientResult{}, false // 421: try the next host
	case reply.Code == 0 || reply.Positive() || reply.Code < 400:
		return mail.RecipientResult{}, false
	}
	out := mail.RecipientResult{Outcome: mail.Deferred, Reply: reply, Reason: "generic", Scope: replyScope(res, k)}
	if reply.Permanent() {
		out.Outcome, out.Reason = mail.Bounced, "bounce"
	}
	return out, true
}

// incapable turns what the server lacks for this message into a refusal of ours.
func incapable(err error) (mail.RecipientResult, bool) {
	var reply mail.Reply
	switch {
	case errors.Is(err, smtpclient.ErrNoSMTPUTF8):
		reply = mail.LocalReply(553, "5.6.7", "the address needs SMTPUTF8, which the server does not offer")
	case errors.Is(err, smtpclient.ErrNo8BitMIME):
		reply = mail.LocalReply(554, "5.6.3", "the message is 8-bit and signed as such, and the server does not offer 8BITMIME")
	case errors.Is(err, smtpclient.ErrTooBig):
		reply = mail.LocalReply(552, "5.3.4", "the message is larger than the server says it accepts")
	case errors.Is(err, smtpclient.ErrArgument):
		reply = mail.LocalReply(553, "5.1.3", "the address cannot be sent as it is")
	default:
		return mail.RecipientResult{}, false
	}
	return mail.RecipientResult{Outcome: mail.Bounced, Reason: "bounce", Scope: mail.ScopeMessage, Reply: reply}, true
}

// replyScope says how far a refusal of recipient k reaches.
func replyScope(res smtpclient.Result, k int) mail.Scope {
	if res.Mail.Positive() && k < len(res.Recipients) && res.Recipients[k].Code >= 400 {
		return mail.ScopeRecipient
	}
	// MAIL names the sender: its refusal says nothing about other senders' mail.
	return mail.ScopeMessage
}

// refusesPlaintext reports whether the server refused the transaction because it
// was not encrypted.
func refusesPlaintext(res smtpclient.Result) bool {
	if tlspolicy.DemandsTLS(res.Mail) {
		return true
	}
	if res.State != smtpclient.StateRecipientsRefused {
		return tlspolicy.DemandsTLS(res.Data)
	}
	for _, r := range res.Recipients {
		if !tlspolicy.DemandsTLS(r) {
			return false
		}
	}
	return len(res.Recipients) > 0
}

// sendReply says why a transaction decided nothing.
func sendReply(res smtpclient.Result, err error, host string) mail.Reply {
	if res.Closing.Code != 0 {
		return res.Closing
	}
	return mail.LocalReply(451, "4.4.2", clip(fmt.Sprintf("session with %s: %v", host, err), 500))
}

// connectReply says why no session came about, in the server's words if it had any.
func connectReply(err error, host string, addr netip.Addr) mail.Reply {
	var e *smtpclient.Error
	if errors.As(err, &e) && e.Reply.Code >= 400 {
		// A refusal of the session says nothing about the recipients: whatever its
		// class, the message is tried elsewhere or later.
		r := e.Reply
		if r.Permanent() {
			r = mail.LocalReply(451, "4.3.2", fmt.Sprintf("%s refused the session: %s", host, r))
		}
		return r
	}
	return mail.LocalReply(451, "4.4.1", clip(fmt.Sprintf("connect to %s [%s]: %v", host, addr, err), 500))
}
