package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sealpost/sealpost/internal/mail"
)

// sendData sends the content after 354 and waits for the answer to it.
func (t *transfer) sendData() error {
	if err := t.pump(-1); err != nil {
		return err
	}
	if err := t.complete(); err != nil {
		return err
	}
	return t.readAnswer()
}

// sendChunks sends the content as BDAT commands (RFC 3030). One chunk is on its
// way while the answer to the one before is awaited, where pipelining allows it.
func (t *transfer) sendChunks() error {
	waiting, depth := 0, 1
	if t.pipelined {
		depth = 2
	}
	for left := t.tx.Size; ; {
		n := min(left, chunkSize)
		last := n == left
		for waiting > 0 && (last || waiting == depth) {
			if refused, err := t.readChunk(); err != nil || refused {
				return err
			}
			waiting--
		}
		t.writeBDAT(n, last)
		if err := t.pump(n); err != nil {
			return err
		}
		if last {
			break
		}
		if err := t.content.release(); err != nil {
			return t.writeFailed(StageContent, err)
		}
		if err := t.flush(StageContent); err != nil {
			return err
		}
		left -= n
		waiting++
	}
	if err := t.complete(); err != nil {
		return err
	}
	return t.readAnswer()
}

func (t *transfer) writeBDAT(n int64, last bool) {
	fmt.Fprintf(t.w, "BDAT %d", n)
	if last {
		t.w.WriteString(" LAST")
	}
	t.w.WriteString("\r\n")
}

// readChunk reads the reply to a BDAT before the last.
func (t *transfer) readChunk() (refused bool, err error) {
	reply, err := t.yesOrNo(StageData, t.c.cfg.Timeouts.Data)
	if err != nil || reply.Positive() {
		return false, err
	}
	t.res.Data, t.res.State = reply, StateDataRefused
	// A chunk may still be on its way, and its reply with it. Nobody else
	// should have to sort that out.
	if t.content.n > chunkSize {
		t.c.broken = true
		_ = t.c.raw.Close()
	}
	return true, nil
}

// pump copies n octets of content to the connection, or all of them if n is
// negative. Octets that end a line stay held back.
func (t *transfer) pump(n int64) error {
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	for idle := 0; n != 0; {
		buf := block[:]
		if n > 0 {
			buf = buf[:min(n, blockSize)]
		}
		got, err := t.src.Read(buf)
		if got > 0 {
			idle = 0
			if _, werr := t.content.Write(buf[:got]); errors.Is(werr, ErrContent) {
				return t.fail(StageContent, werr)
			} else if werr != nil {
				return t.writeFailed(StageContent, werr)
			}
			if n > 0 {
				n -= int64(got)
			}
		} else if idle++; err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
		switch {
		case err == io.EOF && n > 0:
			return t.fail(StageContent, contentError("%d octets instead of %d", t.content.n, t.tx.Size))
		case err == io.EOF:
			return nil
		case err != nil:
			return t.fail(StageContent, fmt.Errorf("%w: read: %w", ErrContent, err))
		}
	}
	return nil
}

// complete checks that the message may be completed, and does it. From the
// moment octets of the end may have left, nothing but the answer says what
// became of the message, so the caller's context no longer cuts.
func (t *transfer) complete() error {
	if err := t.wholeContent(); err != nil {
		return t.fail(StageContent, err)
	}
	if !t.early {
		if err := t.answeredEarly(); err != nil {
			return err
		}
	}
	if f := t.tx.BeforeFinal; f != nil {
		if err := f(t.ctx); err != nil {
			return t.fail(StageFinal, fmt.Errorf("%w: %w", ErrAbandoned, err))
		}
	}
	if !t.c.leave() {
		return t.fail(StageFinal, t.ctx.Err())
	}
	wait := t.tx.FinalContext
	if wait == nil {
		wait = context.Background()
	}
	t.final = true
	t.c.guard(wait)
	if err := t.content.end(); err != nil {
		return t.writeFailed(StageFinal, err)
	}
	return t.flush(StageFinal)
}

// wholeContent checks that the content is complete lines of the given size.
func (t *transfer) wholeContent() error {
	if t.tx.Size > 0 && t.content.n != t.tx.Size {
		return contentError("%d octets instead of %d", t.content.n, t.tx.Size)
	}
	if t.res.Chunked {
		var more [1]byte
		if n, _ := io.ReadFull(t.src, more[:]); n > 0 {
			return contentError("more than %d octets", t.tx.Size)
		}
	}
	return t.content.check()
}

// answeredEarly returns an error if the server spoke before the message was
// complete: a refusal counts, everything else is out of protocol (SEC-30).
func (t *transfer) answeredEarly() error {
	c := t.c
	switch spoke, ended := c.spoke(); {
	case ended:
		return t.fail(StageContent, io.ErrUnexpectedEOF)
	case !spoke:
		return nil
	}
	_ = c.raw.SetReadDeadline(time.Now().Add(time.Second))
	reply, err := readReply(c.r, nil)
	if err != nil {
		return t.fail(StageContent, err)
	}
	t.lastWords(reply)
	if reply.Code == 421 {
		return t.fail(StageContent, &Error{Reply: reply, Err: ErrClosing})
	}
	return t.fail(StageContent, protocolError("answered before the end of the content: %q", reply.String()))
}

// readFinal reads the reply to the end of the content, a 421 too: it is an
// answer like any other, and the server closes.
func (t *transfer) readFinal() (mail.Reply, error) {
	reply, err := t.c.read(StageFinal, t.c.cfg.Timeouts.Final, nil)
	switch {
	case err != nil:
	case reply.Code/100 == 3:
		err = t.c.unexpected(StageFinal, reply)
	case reply.Code == 421:
		t.c.broken = true
		_ = t.c.raw.Close()
	}
	if err != nil {
		t.note(err)
		return mail.Reply{}, err
	}
	// RFC 3030 section 2: a BDAT that failed leaves the transaction to a RSET.
	t.c.dirty = t.res.Chunked && !reply.Positive()
	return reply, nil
}

func (t *transfer) readAnswer() error {
	reply, err := t.readFinal()
	if err == nil {
		t.finish(reply)
	}
	return err
}
