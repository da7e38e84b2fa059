package smtpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

const (
	// blockSize is the octets of content read, and written, at a time.
	blockSize = 32 << 10
	// chunkSize is the content of one BDAT command. The server can refuse a large
	// message after each.
	chunkSize = 1 << 20
	// earlySize is the largest message that leaves together with its envelope
	// where PIPELINING and CHUNKING are offered (RFC 3030 section 4.2).
	earlySize = 64 << 10
	// earlyIdle is how recently the server must have spoken for that. A
	// connection that was idle may be dead, and then nobody would know whether
	// the message had arrived.
	earlyIdle = 2 * time.Second
	// recipientGroup is the RCPT commands written before their replies are read.
	// More could fill the buffers of both directions and lock up (RFC 2920
	// section 3.1).
	recipientGroup = 50
)

// writers holds the buffers that transactions write through. A connection that
// idles in a pool of connections has none.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, blockSize) }}

// blocks holds the buffers that content is read through.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// Send hands one message over. The error is nil if the server answered the
// whole dialogue, also with refusals: those are in the Result. Otherwise the
// Result tells how far it came and holds every reply received until then.
func (c *Client) Send(ctx context.Context, tx Transaction) (Result, error) {
	if err := c.check(&tx); err != nil {
		return Result{Recipients: make([]mail.Reply, len(tx.Recipients))}, &Error{Stage: StageMail, Err: err}
	}
	t := c.newTransfer(ctx, &tx)
	if err := c.enter(ctx, StageMail); err != nil {
		return t.res, err // nothing was sent
	}
	defer c.leave()
	c.sent++
	err := t.run()
	if err == nil && t.bdatRefused() {
		// SEC-34: offered, and not known after all. Content that was taken for
		// commands would be answered before the RSET, which then fails.
		c.noBDAT = true
		if err = t.reset(); err != nil {
			// The refusal may have been meant for anything.
			t.res.Data, t.res.Final, t.res.State = mail.Reply{}, mail.Reply{}, StateLost
			return t.res, err
		}
		c.leave() // the first round may have ended under FinalContext
		c.guard(ctx)
		t = c.newTransfer(ctx, &tx)
		err = t.run()
	}
	if err == nil && c.r.Buffered() > 0 {
		c.broken = true // more replies than commands; this message's is in
		_ = c.raw.Close()
	}
	return t.res, err
}

// check refuses what cannot be sent, or not over this session.
func (c *Client) check(tx *Transaction) error {
	switch {
	case len(tx.Recipients) == 0:
		return fmt.Errorf("%w: no recipients", ErrArgument)
	case tx.Open == nil || tx.Size < 0:
		return fmt.Errorf("%w: no content", ErrArgument)
	case !c.ready || c.broken || c.refused:
		return ErrBroken
	}
	if !tx.ReversePath.IsZero() {
		if err := checkPath("reverse-path", tx.ReversePath, tx.NeedUTF8); err != nil {
			return err
		}
	}
	for _, a := range tx.Recipients {
		if err := checkPath("recipient", a, tx.NeedUTF8); err != nil {
			return err
		}
	}
	switch limit := c.caps.Size(); {
	case tx.Need8Bit && !c.caps.Has("8BITMIME"):
		return ErrNo8BitMIME
	case tx.NeedUTF8 && !c.caps.Has("SMTPUTF8"):
		return ErrNoSMTPUTF8
	case tx.RequireTLS && (c.conn == c.raw || !c.caps.Has("REQUIRETLS")):
		return ErrNoRequireTLS
	case limit > 0 && tx.Size > limit:
		return ErrTooBig
	}
	return nil
}

// A transfer is one transaction in progress.
type transfer struct {
	c   *Client
	ctx context.Context
	tx  *Transaction
	res Result

	w         *bufio.Writer
	src       io.ReadCloser
	content   contentWriter
	pipelined bool
	early     bool // the message leaves with its envelope
	final     bool // octets that complete the message were perhaps sent
	accepted  int  // recipients
}

func (c *Client) newTransfer(ctx context.Context, tx *Transaction) *transfer {
	t := &transfer{c: c, ctx: ctx, tx: tx}
	t.res.Recipients = make([]mail.Reply, len(tx.Recipients))
	t.pipelined = c.caps.Has("PIPELINING") && !c.cfg.NoPipelining
	t.res.Pipelined = t.pipelined
	t.res.Chunked = c.caps.Has("CHUNKING") && !c.cfg.NoChunking && !c.noBDAT && tx.Size > 0
	t.early = t.pipelined && t.res.Chunked && !tx.AwaitEnvelope && tx.Size <= earlySize &&
		len(tx.Recipients) <= recipientGroup && time.Since(c.lastTime) <= earlyIdle
	return t
}

// run does the whole of it, and leaves the state in res.
func (t *transfer) run() error {
	src, err := t.tx.Open()
	if err != nil {
		return &Error{Stage: StageContent, Err: fmt.Errorf("%w: open: %w", ErrContent, err)}
	}
	t.src = src
	defer src.Close()
	t.w = writers.Get().(*bufio.Writer)
	t.w.Reset(blockWriter{t.c})
	defer func() {
		t.w.Reset(nil)
		writers.Put(t.w)
		t.w = nil
	}()
	t.content = contentWriter{w: t.w, stuff: !t.res.Chunked}
	t.res.State = StateLost // until something better is known

	if t.early {
		return t.sendEarly()
	}
	proceed, err := t.envelope()
	if err != nil || !proceed {
		return err
	}
	if t.res.Chunked {
		return t.sendChunks()
	}
	return t.sendData()
}

// writeMail writes MAIL with the parameters that the message needs.
func (t *transfer) writeMail() {
	t.w.WriteString("MAIL FROM:<")
	t.w.WriteString(t.tx.ReversePath.String())
	t.w.WriteByte('>')
	if t.tx.Size > 0 && t.c.caps.Has("SIZE") {
		t.w.WriteString(" SIZE=")
		t.w.WriteString(strconv.FormatInt(t.tx.Size, 10))
	}
	if t.tx.Need8Bit {
		t.w.WriteString(" BODY=8BITMIME")
	}
	if t.tx.NeedUTF8 {
		t.w.WriteString(" SMTPUTF8")
	}
	if t.tx.RequireTLS {
		t.w.WriteString(" REQUIRETLS")
	}
	if d := t.dsn(); d != nil {
		if d.Return == mail.ReturnFull || d.Return == mail.ReturnHeader {
			t.w.WriteString(" RET=" + string(d.Return))
		}
		if d.EnvelopeID != "" {
			t.w.WriteString(" ENVID=" + mail.EncodeXtext(d.EnvelopeID))
		}
	}
	t.w.WriteString("\r\n")
}

func (t *transfer) writeRcpt(a mail.Address) {
	t.w.WriteString("RCPT TO:<")
	t.w.WriteString(a.String())
	t.w.WriteByte('>')
	said := t.dsn().Of(a)
	if said.Notify != 0 {
		t.w.WriteString(" NOTIFY=" + said.Notify.String())
	}
	// Written in ASCII it may have become longer than a server has to take. And it is read once
	// more, so that nothing but one parameter goes out, no matter how it came about (SEC-15).
	if o := mail.OriginalRecipientParameter(said.Original); said.Original != "" {
		if _, err := mail.ParseOriginalRecipient(o, false); err == nil {
			t.w.WriteString(" ORCPT=" + o)
		}
	}
	t.w.WriteString("\r\n")
}

// dsn returns what the server is told about notices; nil if it does not offer to hear it.
func (t *transfer) dsn() *mail.DSN {
	if !t.c.caps.Has("DSN") {
		return nil
	}
	return t.tx.DSN
}

func (t *transfer) flush(stage Stage) error {
	if !t.pipelined && t.c.r.Buffered() > 0 && !t.final {
		return t.fail(stage, t.c.unasked()) // no reply is due now
	}
	if err := t.w.Flush(); err != nil {
		return t.writeFailed(stage, err)
	}
	return nil
}

// writeFailed ends a transaction whose connection takes no more octets. The
// server may have said why before it closed.
func (t *transfer) writeFailed(stage Stage, err error) error {
	c := t.c
	if t.ctx.Err() == nil && !c.broken {
		_ = c.raw.SetReadDeadline(time.Now().Add(time.Second))
		if reply, e := readReply(c.r, nil); e == nil {
			t.lastWords(reply)
			if reply.Code == 421 {
				err = &Error{Reply: reply, Err: ErrClosing}
			}
		}
	}
	return t.fail(stage, err)
}

// lastWords takes in a reply that came before the message was complete.
func (t *transfer) lastWords(reply mail.Reply) {
	switch {
	case reply.Code == 421:
		t.res.Closing = reply
	case t.accepted > 0 && !t.final && (reply.Temporary() || reply.Permanent()):
		t.res.Data, t.res.State = reply, StateDataRefused
	}
}

// fail ends the transaction and the connection.
func (t *transfer) fail(stage Stage, err error) error {
	err = t.c.fail(stage, err)
	t.note(err)
	return err
}

// note puts the state right after the connection broke with err.
func (t *transfer) note(err error) {
	var e *Error
	if errors.As(err, &e) && errors.Is(e.Err, ErrClosing) {
		t.res.Closing = e.Reply
	}
	switch {
	case t.res.State == StateDataRefused:
	case t.final && t.res.Closing.Code == 0:
		t.res.State = StateOutcomeUnknown
	case t.final: // a 421 to a command before the content ended it
		t.res.State = StateLost
	case t.ctx.Err() != nil, errors.Is(err, ErrContent), errors.Is(err, ErrAbandoned):
		t.res.State = StateAbandoned
	default:
		t.res.State = StateLost
	}
}

// await reads one reply; 421 and everything out of protocol is an error.
func (t *transfer) await(stage Stage, limit time.Duration) (mail.Reply, error) {
	reply, err := t.c.await(stage, limit, nil)
	if err != nil {
		t.note(err)
	}
	return reply, err
}

// yesOrNo reads the reply to a command that can only be accepted or refused.
func (t *transfer) yesOrNo(stage Stage, limit time.Duration) (mail.Reply, error) {
	reply, err := t.await(stage, limit)
	if err == nil && reply.Code/100 == 3 {
		err = t.c.unexpected(stage, reply)
		t.note(err)
	}
	return reply, err
}

// reset sends RSET after a transaction that the server may hold open.
func (t *transfer) reset() error {
	reply, err := t.c.command(StageReset, "RSET", t.c.cfg.Timeouts.Mail, nil)
	if err == nil && !reply.Positive() {
		err = t.c.fail(StageReset, protocolError("RSET answered with %d", reply.Code))
	}
	if err == nil {
		t.c.dirty = false
	}
	return err
}

// bdatRefused reports whether the server does not know BDAT after all.
func (t *transfer) bdatRefused() bool {
	if !t.res.Chunked || t.accepted == 0 || t.c.broken {
		return false
	}
	code := t.res.Data.Code
	if t.res.State == StateCompleted {
		code = t.res.Final.Code
	}
	return code >= 500 && code <= 504
}
