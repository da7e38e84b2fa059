package compose

import "fmt"

// A FieldError says which field of a submission cannot become part of a message,
// and why. It is the sender's mistake: the HTTP door answers 400 with Problem.
type FieldError struct {
	Field   string // the parameter's name as the sender wrote it: subject, to, h:X-Origin, attachment
	Problem string // a whole sentence that names the field, fit for the sender to read
}

// Error returns the problem.
func (e *FieldError) Error() string { return e.Problem }

// A Refusal says why a submitted message is refused for good. It is the
// sender's mistake: 554 with Enhanced at the SMTP door, 400 at the HTTP door.
type Refusal struct {
	Enhanced string // enhanced status code (RFC 3463), class 5: 5.6.0, 5.4.6
	Problem  string // fit for the sender to read; ASCII, one line
}

// Error returns the problem behind its code.
func (e *Refusal) Error() string { return e.Enhanced + " " + e.Problem }

func malformed(format string, args ...any) error {
	return &Refusal{Enhanced: "5.6.0", Problem: fmt.Sprintf(format, args...)}
}
