package submission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/mail"
)

// do answers one command. It returns true when the session is over.
func (ss *session) do(ctx context.Context, c command) (last bool) {
	if ss.commands++; ss.commands > 2*len(ss.tx.recipients)+100 {
		ss.close(replyTooMany)
		return true
	}
	switch c.verb {
	case "EHLO", "HELO":
		return ss.hello(c)
	case "STARTTLS":
		return ss.startTLS(ctx, c)
	case "AUTH":
		return ss.auth(ctx, c)
	case "MAIL":
		return ss.mail(ctx, c)
	case "RCPT":
		return ss.rcpt(c)
	case "DATA":
		return ss.data(ctx, c)
	case "RSET":
		ss.reset()
		ss.say(replyOK)
	case "NOOP":
		ss.say(replyOK)
	case "VRFY": // SEC-12
		ss.say(&reply{252, "2.5.0", "Cannot VRFY user, but will accept message and attempt delivery"})
	case "HELP":
		ss.say(&reply{214, "2.0.0", "See RFC 5321 and RFC 6409"})
	case "QUIT":
		ss.say(&reply{221, "2.0.0", "Bye"})
		ss.out.Flush()
		return true
	case "EXPN", "TURN", "ETRN":
		return ss.blunder(&reply{502, "5.5.1", "Command not implemented"})
	case "BDAT":
		return ss.bdat(ctx, c)
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "PROXY":
		ss.close(replyUnknown) // another protocol; its next lines are somebody's text (SEC-13)
		return true
	default:
		return ss.blunder(replyUnknown)
	}
	return false
}

// blunder answers what a client should not send; too many end the session.
func (ss *session) blunder(r *reply) (last bool) {
	if ss.bad++; ss.bad > maxBad {
		ss.close(replyTooMany)
		return true
	}
	ss.say(r)
	return false
}

func (ss *session) hello(c command) (last bool) {
	if !validHello(c.args) {
		return ss.blunder(&reply{501, "5.5.4", "Hostname expected"})
	}
	ss.reset()
	ss.helo, ss.esmtp = true, c.verb == "EHLO"
	if !ss.esmtp {
		ss.say(&reply{250, "", ss.server.cfg.Hostname})
		return false
	}
	lines := []string{ss.server.cfg.Hostname, "PIPELINING", fmt.Sprintf("SIZE %d", accept.MaxSize), "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN"}
	if ss.server.mayTLS() && !ss.secure {
		lines = append(lines, "STARTTLS")
	}
	if ss.mayAuth() {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	if ss.secure {
		lines = append(lines, "REQUIRETLS")
	}
	for _, l := range lines {
		fmt.Fprintf(ss.out, "250-%s\r\n", l)
	}
	ss.say(&reply{250, "", "ENHANCEDSTATUSCODES"})
	return false
}

func (ss *session) startTLS(ctx context.Context, c command) (last bool) {
	switch {
	case ss.server.tls == nil:
		return ss.blunder(&reply{502, "5.5.1", "STARTTLS is not offered"})
	case ss.secure:
		return ss.blunder(&reply{503, "5.5.1", "Already in TLS"})
	case c.args != "":
		return ss.blunder(&reply{501, "5.5.4", "STARTTLS takes no parameters"})
	case !ss.server.mayTLS(): // RFC 3207 section 4
		return ss.blunder(replyNotYet)
	}
	ss.say(&reply{220, "2.0.0", "Go ahead"})
	if ss.out.Flush() != nil {
		return true
	}
	// SEC-03: whatever came behind the command is gone with the buffer, and the
	// session begins anew.
	if !ss.handshake(ctx) {
		return true
	}
	ss.helo, ss.esmtp = false, false
	ss.login, ss.domain = "", "" // perhaps not the client's own, where AUTH is taken in the clear
	ss.reset()
	return false
}

// mayMail returns why this client may not send at all; nil if it may.
func (ss *session) mayMail() *reply {
	switch {
	case ss.login != "" || ss.trusted:
		return nil
	case !ss.mayAuth() && ss.server.tls != nil && !ss.server.mayTLS(): // temporary: who sends 5xx bounces mail
		return replyNotYet
	case !ss.mayAuth() && ss.server.tls != nil:
		return replyNoTLS
	}
	return replyNoAuth
}

func (ss *session) mail(ctx context.Context, c command) (last bool) {
	if r := ss.mayMail(); r != nil {
		return ss.blunder(r)
	}
	if !ss.helo || ss.tx.open {
		return ss.blunder(replySequence)
	}
	a, err := parseMail(c.args, accept.MaxSize, ss.secure)
	if err != nil {
		return ss.refused(err)
	}
	sender := accept.Sender{
		Door: accept.SMTP, Domain: ss.domain, Authenticated: ss.login != "", KeyID: ss.login,
		OriginIP: ss.addr.String(), Protocol: ss.protocol(a.utf8),
	}
	if ss.login == "" && !a.path.IsZero() {
		if sender.Domain, err = ss.server.door.SendingDomain(ctx, a.path); err != nil {
			ss.say(answerTo(err))
			return false
		}
	}
	if err := ss.server.door.CheckReversePath(ctx, sender, a.path); err != nil {
		ss.say(answerTo(err))
		return false
	}
	ss.tx = transaction{open: true, sender: sender, path: a.path, utf8: a.utf8, requireTLS: a.requireTLS,
		dsn: mail.DSN{Return: a.ret, EnvelopeID: a.envelopeID}}
	ss.say(&reply{250, "2.1.0", "OK"})
	return false
}

// protocol is the transmission type for the trace (RFC 3848, RFC 6531).
func (ss *session) protocol(utf8 bool) string {
	p := "SMTP"
	switch {
	case utf8:
		p = "UTF8SMTP"
	case ss.esmtp:
		p = "ESMTP"
	}
	if ss.secure {
		p += "S"
	}
	if ss.login != "" {
		p += "A"
	}
	return p
}

func (ss *session) rcpt(c command) (last bool) {
	if ss.mayMail() != nil { // SEC-07
		return ss.blunder(replyRelay)
	}
	if !ss.tx.open {
		return ss.blunder(replySequence)
	}
	if len(ss.tx.recipients) >= accept.MaxRecipients {
		ss.say(&reply{452, "4.5.3", "Too many recipients"})
		return false
	}
	a, err := parseRcpt(c.args, ss.tx.utf8)
	if err != nil {
		return ss.refused(err)
	}
	ss.tx.add(a)
	ss.say(&reply{250, "2.1.5", "OK"})
	return false
}

// refused answers arguments that were not acceptable. A bad address is not a
// blunder: it is data.
func (ss *session) refused(err error) (last bool) {
	var r *refusal
	if !errors.As(err, &r) {
		return ss.blunder(errSyntax.(*refusal).reply.copy())
	}
	if r.reply.code == 501 || r.reply.code == 555 {
		return ss.blunder(r.reply.copy())
	}
	ss.say(r.reply.copy())
	return false
}

func (ss *session) data(ctx context.Context, c command) (last bool) {
	if r := ss.mayMail(); r != nil {
		return ss.blunder(r)
	}
	switch {
	case !ss.tx.open || len(ss.tx.recipients) == 0:
		return ss.blunder(replySequence)
	case c.args != "":
		return ss.blunder(&reply{501, "5.5.4", "DATA takes no parameters"})
	}
	tx := ss.tx
	ss.reset() // whatever the answer will be
	ss.say(&reply{354, "", "Start mail input; end with <CRLF>.<CRLF>"})
	if ss.out.Flush() != nil {
		return true
	}
	ss.in.beginData()
	content := newDataReader(ss.br, 2*accept.MaxSize)
	receipt, err := ss.server.door.Accept(ctx, tx.submission(content))
	// The room may have made up its mind early; the client has not.
	end := content.drain()
	ss.in.endData(err == nil && end == nil)
	return ss.answerData(ctx, tx, receipt, err, end)
}

// answerData tells what became of a message. end is nil if it came to its dot.
func (ss *session) answerData(ctx context.Context, tx transaction, receipt accept.Receipt, err, end error) (last bool) {
	if end != nil {
		ss.log(ctx, slog.LevelInfo, "message not received", "sender", tx.path.String(), "cause", end)
		ss.close(readFailure(end))
		return true
	}
	if err != nil {
		r := answerTo(err)
		ss.log(ctx, slog.LevelInfo, "message refused", "sender", tx.path.String(), "domain", tx.sender.Domain, "reply", strings.TrimSpace(r.String()))
		if r.code == 421 {
			ss.close(r)
			return true
		}
		ss.say(r)
		return false
	}
	ss.commands = 0
	ss.log(ctx, slog.LevelInfo, "message accepted", "message", receipt.ID.String(), "message-id", receipt.MessageID,
		"sender", tx.path.String(), "domain", tx.sender.Domain, "recipients", len(tx.recipients))
	ss.say(&reply{250, "2.0.0", "OK: queued as " + receipt.ID.String()})
	return false
}

func (r reply) copy() *reply { return &r }
