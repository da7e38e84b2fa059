package accept

import (
	"errors"
	"fmt"
	"time"
)

// An Error is a submission that was not accepted, in words both doors can say.
// Nothing of the submission is stored when one is returned, save perhaps a
// rejected event.
type Error struct {
	Status   int    // HTTP status: 400, 403, 404, 413, 500, 503, 507
	Code     int    // SMTP reply code: 4xx or 5xx
	Enhanced string // enhanced status code (RFC 3463) of the class of Code
	Message  string // for the sender, one line, may hold the sender's own text; fits the {"message": …} of the API
	// RetryAfter is when trying again may help; zero if it will not, or nobody knows.
	RetryAfter time.Duration
	// Err is the cause, for the operator; nil when there is nothing to add.
	Err error

	reject string // reason of the rejected event; empty: no event
}

// Error returns the message with its SMTP code and cause.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s %s", e.Code, e.Enhanced, e.Message)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// invalid is a submission whose parameters or header fields say something that
// cannot be: 400 and 554 5.6.0.
func invalid(format string, args ...any) *Error {
	return &Error{Status: 400, Code: 554, Enhanced: "5.6.0", Message: fmt.Sprintf(format, args...)}
}

// asError returns err as the *Error it is or wraps.
func asError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
