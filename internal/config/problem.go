package config

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoFile is the error of Find when there is no configuration file.
var ErrNoFile = errors.New("no configuration file")

// A Problem is one mistake in the settings.
type Problem struct {
	Where  string // file:line or environment variable; empty where something is missing
	Field  string // section.name; empty when the file itself cannot be read
	Value  string // as it was written, perhaps cut; empty when missing
	Remedy string // what is wrong and what to write instead
}

// String writes the problem on one line.
func (p Problem) String() string {
	var parts []string
	if p.Where != "" {
		parts = append(parts, p.Where)
	}
	switch {
	case p.Field != "" && p.Value != "":
		parts = append(parts, p.Field+" = "+p.Value)
	case p.Field != "":
		parts = append(parts, p.Field)
	}
	return strings.Join(append(parts, p.Remedy), ": ")
}

// Error is all mistakes that were found, in the order of the file.
type Error struct{ Problems []Problem }

// Error writes one problem per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if len(lines) == 1 {
		return lines[0]
	}
	return fmt.Sprintf("%d mistakes in the configuration:\n  %s", len(lines), strings.Join(lines, "\n  "))
}
