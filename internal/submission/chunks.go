package submission

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/internal/accept"
)

const (
	// maxDiscard is the largest chunk that is read only to be thrown away. More than
	// that is a flood, and the session is over.
	maxDiscard = 2 * accept.MaxSize
	// chunkWorth is how many octets of content pay for one BDAT command: many tiny
	// chunks count like other commands (SEC-10), honest ones do not.
	chunkWorth = 1 << 10
)

// errAborted: the client gave the message up between two chunks.
var errAborted = errors.New("message given up by its client")

// A chunk is the arguments of a BDAT command (RFC 3030 section 2).
type chunk struct {
	size int64 // octets that follow the command line
	last bool
}

// parseChunk reads what follows "BDAT ". ok is false also for a size that nobody could
// mean: where the next command begins is then unknown.
func parseChunk(args string) (c chunk, ok bool) {
	size, rest, _ := strings.Cut(args, " ")
	switch {
	case size == "" || len(size) > 20 || strings.Trim(size, "0123456789") != "":
		return chunk{}, false
	case strings.EqualFold(strings.TrimLeft(rest, " "), "LAST"):
		c.last = true
	case rest != "":
		return chunk{}, false
	}
	n, err := strconv.ParseInt(size, 10, 64)
	c.size = n
	return c, err == nil
}

// A chunkReader reads the content of one message that comes by BDAT (RFC 3030): it answers
// every chunk but the last and reads the command for the next, so that the message is one
// stream for the room behind the door. It gives io.EOF only after the last chunk.
type chunkReader struct {
	ss  *session
	ctx context.Context

	chunk        // what is left of the current one
	read   int64 // octets of content
	chunks int   // BDAT commands
	ends   lineEnds
	err    error

	next *command // the command with which the client gave up
	over bool     // the session is, and its last reply was said
}

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	for r.err == nil && r.size == 0 {
		switch {
		case r.last && r.ends.cr:
			r.err = errLineEnd // a CR that nothing follows
		case r.last:
			r.err = io.EOF
		default:
			r.err = r.proceed()
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	if r.ss.br.Buffered() == 0 { // we are about to wait; so may the client, for what we said
		if r.err = r.ss.out.Flush(); r.err != nil {
			return 0, r.err
		}
	}
	if int64(len(p)) > r.size {
		p = p[:r.size]
	}
	n, err := r.ss.br.Read(p)
	r.size -= int64(n)
	r.read += int64(n)
	switch {
	case err == io.EOF:
		r.err = errDataEOF // also when TLS was closed: nothing is read after it (SEC-05)
	case err != nil:
		r.err = err
	case r.read > maxDiscard:
		r.err = errFlood
	case !r.ends.clean(p[:n]):
		r.err = errLineEnd
	}
	if r.err != nil {
		return 0, r.err
	}
	return n, nil
}

// proceed answers the chunk that is complete and reads on to the next one.
func (r *chunkReader) proceed() error {
	r.ss.in.pauseData()
	r.ss.say(&reply{250, "2.0.0", strconv.FormatInt(r.read, 10) + " octets received"})
	for {
		c, err := r.ss.next()
		if err == io.EOF {
			return errDataEOF // a message ends by its last chunk alone
		}
		if err != nil {
			return err
		}
		switch c.verb {
		case "BDAT":
			next, ok := parseChunk(c.args)
			r.chunks++
			if last := r.unusable(next, ok); last != nil {
				r.over = true
				r.ss.close(last)
				return errAborted
			}
			r.chunk = next
			r.ss.in.resumeData()
			return nil
		case "RSET", "QUIT", "EHLO", "HELO":
			r.next = &c
			return errAborted
		case "MAIL", "RCPT", "DATA", "AUTH", "STARTTLS":
			r.over = r.ss.blunder(replySequence)
		default:
			r.over = r.ss.do(r.ctx, c)
		}
		if r.over {
			return errAborted
		}
	}
}

// unusable returns the last word to a BDAT whose octets cannot be taken; nil if they can.
func (r *chunkReader) unusable(c chunk, ok bool) *reply {
	switch {
	case !ok:
		return &reply{501, "5.5.4", "BDAT needs a size, and nothing more than LAST"}
	case c.size > maxDiscard-r.read:
		return replyTooLarge
	case int64(r.chunks) > 100+r.read/chunkWorth:
		return replyTooMany
	}
	return nil
}

// rest reads what is left of the current chunk after the room lost interest: it has to
// come off the line before the refusal is heard as the answer to the chunk (RFC 3030
// section 2).
func (r *chunkReader) rest() {
	for r.err == nil && r.size > 0 {
		var block [4 << 10]byte
		_, r.err = r.Read(block[:min(r.size, int64(len(block)))])
	}
}

// bdat takes a message in chunks, to its last one.
func (ss *session) bdat(ctx context.Context, c command) (last bool) {
	first, ok := parseChunk(c.args)
	content := &chunkReader{ss: ss, ctx: ctx, chunk: first, chunks: 1}
	if last := content.unusable(first, ok); last != nil {
		ss.close(last)
		return true
	}
	if r := ss.mayMail(); r != nil {
		return ss.discard(first, r)
	}
	if !ss.tx.open || len(ss.tx.recipients) == 0 {
		return ss.discard(first, replySequence)
	}
	tx := ss.tx
	ss.in.beginData()
	receipt, err := ss.server.door.Accept(ctx, tx.submission(content))
	content.rest()
	ss.in.endData(err == nil && content.err == io.EOF)
	ss.reset() // whatever the answer will be
	switch {
	case content.over:
		return true
	case content.next != nil:
		ss.log(ctx, slog.LevelInfo, "message given up by its client", "sender", tx.path.String())
		return ss.do(ctx, *content.next)
	case content.err == io.EOF, content.err == nil && err != nil: // refused before the last chunk
		return ss.answerData(ctx, tx, receipt, err, nil)
	case content.err == nil: // taken before its end: not by a room that reads messages
		return ss.answerData(ctx, tx, receipt, err, errDataEOF)
	}
	return ss.answerData(ctx, tx, receipt, err, content.err)
}

// discard reads a chunk that is not wanted and answers it. What follows is the next command.
func (ss *session) discard(c chunk, r *reply) (last bool) {
	if ss.out.Flush() != nil {
		return true
	}
	ss.in.beginData()
	_, err := io.CopyN(io.Discard, ss.br, c.size)
	ss.in.endData(false)
	if err != nil {
		ss.close(readFailure(err))
		return true
	}
	return ss.blunder(r)
}

// lineEnds watches that CR and LF come only as CRLF, and NUL not at all (SEC-01).
type lineEnds struct {
	cr bool // the last octet was a CR
}

// clean takes the next octets of a stream.
func (l *lineEnds) clean(p []byte) bool {
	if bytes.IndexByte(p, 0) >= 0 {
		return false
	}
	for len(p) > 0 {
		if l.cr {
			if p[0] != '\n' {
				return false
			}
			l.cr, p = false, p[1:]
			continue
		}
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			return true
		}
		if p[i] == '\n' {
			return false
		}
		l.cr, p = true, p[i+1:]
	}
	return true
}
