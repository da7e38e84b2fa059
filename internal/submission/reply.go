package submission

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/accept"
)

// A reply is one reply of ours on one line.
type reply struct {
	code     int
	enhanced string // empty where RFC 2034 wants none: greeting, EHLO, 3xx
	text     string
}

// String returns the reply as it is sent. Text that came from outside cannot add
// a line or anything that is not printable ASCII.
func (r *reply) String() string {
	text := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, r.text)
	text = text[:min(len(text), 400)]
	if r.enhanced == "" {
		return fmt.Sprintf("%d %s\r\n", r.code, text)
	}
	return fmt.Sprintf("%d %s %s\r\n", r.code, r.enhanced, text)
}

var (
	replyOK           = &reply{250, "2.0.0", "OK"}
	replyShutdown     = &reply{421, "4.3.2", "Service is shutting down"}
	replyTimeout      = &reply{421, "4.4.2", "Timeout"}
	replyBusy         = &reply{421, "4.3.2", "Too many connections, try again later"}
	replyTooManyOfYou = &reply{421, "4.7.0", "Too many connections from your address"}
	replyTooMany      = &reply{421, "4.7.0", "Too many errors"}
	replySequence     = &reply{503, "5.5.1", "Bad sequence of commands"}
	replyUnknown      = &reply{500, "5.5.2", "Command not recognized"}
	replyNoTLS        = &reply{530, "5.7.0", "Must issue a STARTTLS command first"}
	replyNotYet       = &reply{454, "4.7.0", "TLS is not available yet, try again later"}
	replyNoAuth       = &reply{530, "5.7.0", "Authentication required"}
	replyRelay        = &reply{550, "5.7.1", "Relaying denied"}
	replyLineEnd      = &reply{554, "5.6.0", "Message contains a bare CR, a bare LF or a NUL"}
	replyTooLarge     = &reply{552, "5.3.4", "Message is too large"}
	replyCommand      = &reply{500, "5.5.2", "Line too long, or not ended by CRLF"}
	replyAuthPlain    = &reply{538, "5.7.11", "Encryption required for requested authentication mechanism"}
)

// readFailure is what to say when no more can be read; nil if nobody would hear it.
func readFailure(err error) *reply {
	switch {
	case errors.Is(err, errTimeout), errors.Is(err, errTooSlow):
		return replyTimeout
	case errors.Is(err, errShutdown):
		return replyShutdown
	case errors.Is(err, errShed):
		return replyBusy
	case errors.Is(err, errLineEnd):
		return replyLineEnd
	case errors.Is(err, errFlood):
		return replyTooLarge
	case errors.Is(err, errBadLine):
		return replyCommand
	}
	return nil
}

// answerTo turns an error of the accept room into a reply.
func answerTo(err error) *reply {
	var e *accept.Error
	if errors.As(err, &e) {
		return &reply{e.Code, e.Enhanced, e.Message}
	}
	return &reply{451, "4.3.0", "Local error in processing"}
}
