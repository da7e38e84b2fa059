package smtpclient

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// A Stage is the step of a session at which something happened.
type Stage uint8

const (
	StageGreeting Stage = iota
	StageHello          // EHLO or HELO
	StageStartTLS       // the command and its reply
	StageHandshake
	StageMail
	StageRcpt
	StageData    // DATA, or BDAT before the last
	StageContent // sending the content
	StageFinal   // the end of the content and its reply
	StageReset
	StageNoop
	StageQuit
)

var stageNames = [...]string{
	"greeting", "EHLO", "STARTTLS", "TLS handshake", "MAIL", "RCPT", "DATA",
	"content", "end of content", "RSET", "NOOP", "QUIT",
}

// String returns the stage's name for people.
func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("stage %d", uint8(s))
}

// What callers branch on. They come wrapped in an [*Error].
var (
	// ErrProtocol: the server said something that does not fit SMTP, or not
	// there, or more than we take. The connection is not usable any more.
	ErrProtocol = errors.New("protocol error")
	// ErrClosing: the server answered 421 and closes. The reply is in the Error.
	ErrClosing = errors.New("server is closing the connection")
	// ErrTimeout: a step took longer than [Timeouts] allows.
	ErrTimeout = errors.New("timed out")
	// ErrLateRejection: TLS 1.3 was up on our side, and the first thing to read
	// was an alert or the end of the connection. It counts as a failed handshake.
	ErrLateRejection = errors.New("rejected after the TLS handshake")
	// ErrBroken: the connection failed in an earlier call.
	ErrBroken = errors.New("connection is not usable")
	// ErrArgument: a name, address or other argument cannot be sent as it is.
	// Nothing was sent (SEC-15).
	ErrArgument = errors.New("argument refused")
	// ErrContent: the content is not made of lines that end in CRLF, holds NUL,
	// differs from the given size, or could not be read. It was never completed,
	// and the connection is closed (SEC-02).
	ErrContent = errors.New("content refused")
	// ErrAbandoned: BeforeFinal said no. The connection is closed.
	ErrAbandoned = errors.New("abandoned before the end of the content")

	// ErrNoStartTLS: StartTLS was called and the server does not offer it.
	ErrNoStartTLS = errors.New("STARTTLS not offered")
	// The server lacks what the message needs. Nothing was sent, and the
	// connection is usable for other messages.
	ErrNo8BitMIME   = errors.New("8BITMIME not offered")
	ErrNoSMTPUTF8   = errors.New("SMTPUTF8 not offered")
	ErrNoRequireTLS = errors.New("REQUIRETLS not offered inside TLS")
	ErrTooBig       = errors.New("message is larger than the offered SIZE")
)

// An Error is a step that did not succeed. Either the server refused (Reply has
// a code) or something broke (Err), or both for 421.
type Error struct {
	Stage Stage
	Reply mail.Reply // zero if the server's words are not the reason
	Err   error      // nil for a plain refusal
}

// Error describes the failure on one line; foreign text is quoted.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Stage.String())
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Reply.Code != 0 {
		fmt.Fprintf(&b, ": server said %q", e.Reply.String())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
