package smtpclient

import (
	"github.com/sealpost/sealpost/internal/mail"
)

// envelope sends RSET if needed, MAIL, every RCPT, and DATA where it is used. It
// reports whether the server waits for content now.
func (t *transfer) envelope() (proceed bool, err error) {
	if t.pipelined {
		return t.envelopePipelined()
	}
	return t.envelopeLockstep()
}

func (t *transfer) envelopeLockstep() (bool, error) {
	if t.c.dirty {
		if err := t.reset(); err != nil {
			return false, t.noted(err)
		}
	}
	t.writeMail()
	if err := t.flush(StageMail); err != nil {
		return false, err
	}
	if err := t.readMail(); err != nil || t.res.State == StateMailRefused {
		return false, err
	}
	t.c.dirty = true
	for i, a := range t.tx.Recipients {
		t.writeRcpt(a)
		if err := t.flush(StageRcpt); err != nil {
			return false, err
		}
		if err := t.readRcpt(i); err != nil {
			return false, err
		}
	}
	if t.accepted == 0 {
		t.res.State = StateRecipientsRefused
		return false, nil
	}
	if t.res.Chunked {
		return true, nil
	}
	t.w.WriteString("DATA\r\n")
	if err := t.flush(StageData); err != nil {
		return false, err
	}
	return t.readData()
}

// envelopePipelined writes the envelope in as few blocks as is safe (RFC 2920).
func (t *transfer) envelopePipelined() (bool, error) {
	n := len(t.tx.Recipients)
	for start := 0; start < n; start += recipientGroup {
		group := t.tx.Recipients[start:min(start+recipientGroup, n)]
		resetting := start == 0 && t.c.dirty
		if start == 0 {
			if resetting {
				t.w.WriteString("RSET\r\n")
			}
			t.writeMail()
			t.c.dirty = true
		}
		for _, a := range group {
			t.writeRcpt(a)
		}
		last := start+len(group) == n
		if last && !t.res.Chunked {
			t.w.WriteString("DATA\r\n")
		}
		if err := t.flush(StageMail); err != nil {
			return false, err
		}
		if start == 0 {
			if err := t.readOpening(resetting); err != nil {
				return false, err
			}
		}
		for i := range group {
			if err := t.readRcpt(start + i); err != nil {
				return false, err
			}
		}
		if last && !t.res.Chunked {
			return t.readData()
		}
		if t.res.State == StateMailRefused {
			return false, nil
		}
	}
	if t.accepted == 0 {
		t.res.State = StateRecipientsRefused
		return false, nil
	}
	return true, nil
}

// readOpening reads the replies to RSET, if it was sent, and MAIL.
func (t *transfer) readOpening(resetting bool) error {
	if resetting {
		reply, err := t.yesOrNo(StageReset, t.c.cfg.Timeouts.Mail)
		if err != nil {
			return err
		}
		if !reply.Positive() {
			return t.fail(StageReset, protocolError("RSET answered with %d", reply.Code))
		}
	}
	return t.readMail()
}

func (t *transfer) readMail() error {
	reply, err := t.yesOrNo(StageMail, t.c.cfg.Timeouts.Mail)
	if err != nil {
		return err
	}
	t.res.Mail = reply
	if !reply.Positive() {
		t.res.State = StateMailRefused
	}
	return nil
}

func (t *transfer) readRcpt(i int) error {
	reply, err := t.yesOrNo(StageRcpt, t.c.cfg.Timeouts.Rcpt)
	if reply.Code/100 != 3 {
		t.res.Recipients[i] = reply // also when it is the 421 that ends all
	}
	if err == nil && reply.Positive() && t.res.Mail.Positive() {
		t.accepted++
	}
	return err
}

// readData reads the reply to DATA. A server that says 354 although it refused
// every recipient gets an empty message for nobody (RFC 2920 section 3.1).
func (t *transfer) readData() (proceed bool, err error) {
	reply, err := t.await(StageData, t.c.cfg.Timeouts.Data)
	if err != nil {
		return false, err
	}
	if reply.Code != 354 && !reply.Temporary() && !reply.Permanent() {
		// Also a 250: nothing was sent that could have been accepted (SEC-30).
		err = t.c.unexpected(StageData, reply)
		t.note(err)
		return false, err
	}
	if t.accepted > 0 {
		t.res.Data = reply
		if reply.Code != 354 {
			t.res.State = StateDataRefused
		}
		return reply.Code == 354, nil
	}
	refused := StateRecipientsRefused
	if !t.res.Mail.Positive() {
		refused = StateMailRefused
	}
	if reply.Code == 354 {
		t.w.WriteString(".\r\n")
		if err := t.flush(StageData); err != nil {
			return false, err
		}
		if _, err := t.await(StageData, t.c.cfg.Timeouts.Final); err != nil {
			t.res.State = refused // that much is certain
			return false, err
		}
	}
	t.res.State = refused
	return false, nil
}

// sendEarly sends envelope and content without waiting in between. As soon as
// the content is out, a reply that is missing leaves the outcome unknown.
func (t *transfer) sendEarly() error {
	resetting := t.c.dirty
	if resetting {
		t.w.WriteString("RSET\r\n")
	}
	t.writeMail()
	t.c.dirty = true
	for _, a := range t.tx.Recipients {
		t.writeRcpt(a)
	}
	t.writeBDAT(t.tx.Size, true)
	if err := t.pump(t.tx.Size); err != nil {
		return err
	}
	if err := t.complete(); err != nil {
		return err
	}
	if err := t.readOpening(resetting); err != nil {
		return t.certain(err)
	}
	for i := range t.tx.Recipients {
		if err := t.readEarlyRcpt(i); err != nil {
			return t.certain(err)
		}
	}
	reply, err := t.readFinal()
	switch {
	case err != nil:
		return t.certain(err)
	case t.accepted > 0:
		t.finish(reply)
	case reply.Positive() && t.someoneAccepted():
		// MAIL refused, RCPT and content accepted: whatever that means.
		return t.fail(StageFinal, protocolError("content accepted after MAIL was refused"))
	case t.res.State != StateMailRefused:
		t.res.State = StateRecipientsRefused
	}
	return nil
}

// readEarlyRcpt is readRcpt for a message that is already out. Some servers
// refuse single recipients with 421 and go on, so the answer to the content
// still counts after one.
func (t *transfer) readEarlyRcpt(i int) error {
	reply, err := t.c.read(StageRcpt, t.c.cfg.Timeouts.Rcpt, nil)
	if err == nil && reply.Code/100 == 3 {
		err = t.c.unexpected(StageRcpt, reply)
	}
	if err != nil {
		t.note(err)
		return err
	}
	t.res.Recipients[i] = reply
	switch {
	case reply.Code == 421:
		t.res.Closing = reply
	case reply.Positive() && t.res.Mail.Positive():
		t.accepted++
	}
	return nil
}

// certain corrects "outcome unknown" where the replies leave no doubt that the
// message was not accepted for anybody.
func (t *transfer) certain(err error) error {
	switch {
	case t.res.State != StateOutcomeUnknown:
	case t.res.Mail.Temporary(), t.res.Mail.Permanent():
		t.res.State = StateMailRefused
	case t.allRefused():
		t.res.State = StateRecipientsRefused
	}
	return err
}

func (t *transfer) allRefused() bool {
	for _, r := range t.res.Recipients {
		if r.Code == 0 || r.Positive() {
			return false
		}
	}
	return true
}

func (t *transfer) someoneAccepted() bool {
	for _, r := range t.res.Recipients {
		if r.Positive() {
			return true
		}
	}
	return false
}

// noted puts the state right and passes the error on.
func (t *transfer) noted(err error) error {
	t.note(err)
	return err
}

// finish takes the answer to the message.
func (t *transfer) finish(reply mail.Reply) {
	t.res.Final, t.res.State = reply, StateCompleted
	if reply.Code == 421 {
		t.res.Closing = reply
	}
}
