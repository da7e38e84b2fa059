package mail

import (
	"errors"
	"strings"
)

// A Tri is a setting that may be left unset. Every sender flag is stored as a
// Tri; only its effective value is two-valued. The zero value is Unset.
type Tri int8

const (
	Unset Tri = iota
	False
	True
)

// ParseTri reads a flag as clients send it: yes, no, true or false in any
// letter case. The empty string is Unset; anything else is an error, never
// False: an unreadable require-tls must not weaken anything.
func ParseTri(s string) (Tri, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "":
		return Unset, nil
	case "yes", "true":
		return True, nil
	case "no", "false":
		return False, nil
	}
	return Unset, errors.New("must be yes, no, true or false")
}

// TriOf returns True or False.
func TriOf(b bool) Tri {
	if b {
		return True
	}
	return False
}

// Bool returns whether t is True.
func (t Tri) Bool() bool { return t == True }

// String returns unset, false or true.
func (t Tri) String() string {
	switch t {
	case True:
		return "true"
	case False:
		return "false"
	}
	return "unset"
}

// TLSFlags are the two TLS sending connection settings at one level, the
// domain's or the message's. The zero value sets neither.
type TLSFlags struct {
	RequireTLS       Tri `json:"require-tls,omitempty"`
	SkipVerification Tri `json:"skip-verification,omitempty"`
}
