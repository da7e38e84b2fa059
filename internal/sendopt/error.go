package sendopt

import "fmt"

// An Error is an option that says something that cannot be.
type Error struct {
	// Problem is for the sender: one line, with the sender's own text made [Printable].
	Problem string
}

// Error returns the problem.
func (e *Error) Error() string { return e.Problem }

func invalid(format string, args ...any) *Error { return &Error{Problem: fmt.Sprintf(format, args...)} }
