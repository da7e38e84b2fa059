package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/tlspolicy"
)

// Limits of RFC 8461 section 3.2 and 3.3.
const (
	// MaxPolicySize is the size of a policy in octets at most.
	MaxPolicySize = 64 << 10
	// MaxAge is how long a policy can live; what asks for more gets this.
	MaxAge = 31_557_600 * time.Second
)

// A Mode says what a policy asks senders to do (RFC 8461 section 5). The zero value is
// no mode.
type Mode string

const (
	Enforce Mode = "enforce" // deliver only to listed MX hosts, over TLS that verifies
	Testing Mode = "testing" // deliver as if there were no policy, and report
	None    Mode = "none"    // there is no policy any more
)

// State returns the mode as the decision knows it.
func (m Mode) State() tlspolicy.STS {
	switch m {
	case Enforce:
		return tlspolicy.STSEnforce
	case Testing:
		return tlspolicy.STSTesting
	case None:
		return tlspolicy.STSNone
	}
	return tlspolicy.STSNoPolicy
}

// A Policy is what a recipient domain published. Its slices are shared: do not
// change them. The zero value is no policy and lists no host.
type Policy struct {
	ID      string // of the TXT record at the time of the fetch
	Mode    Mode
	MX      []string      // patterns in lower case, in the order published; may be empty for None
	MaxAge  time.Duration // as published, but at most MaxAge
	Fetched time.Time     // UTC
	Expires time.Time     // UTC; the policy holds until then
	Lines   []string      // as published, without line ends and empty lines; foreign text, for TLS reports
}

// ParsePolicy reads a policy as its web server gave it (RFC 8461 section 3.2). Fields
// it does not know are ignored; of those that may be there once the first counts. It
// leaves ID, Fetched and Expires to its caller. Errors quote foreign text.
//
// Empty lines are tolerated beyond the grammar, because many files end with some.
func ParsePolicy(body string) (Policy, error) {
	if len(body) > MaxPolicySize {
		return Policy{}, fmt.Errorf("policy is larger than %d octets", MaxPolicySize)
	}
	var p parser
	for rest, more := body, true; more; {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		if more {
			line = strings.TrimSuffix(line, "\r")
		}
		line = strings.TrimRight(line, " \t")
		if line == "" {
			continue
		}
		if err := p.field(line); err != nil {
			return Policy{}, err
		}
	}
	return p.finish()
}

// A parser collects the fields of a policy.
type parser struct {
	policy  Policy
	version bool
	age     bool
}

// field takes one line without its end.
func (p *parser) field(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isFieldName(name) {
		return fmt.Errorf("policy line %s is no field", quote(line))
	}
	value = strings.TrimLeft(value, " \t")
	if !isText(value) {
		return fmt.Errorf("policy line %s has an empty or unreadable value", quote(line))
	}
	p.policy.Lines = append(p.policy.Lines, line)
	switch name {
	case "version":
		if !p.version && value != "STSv1" {
			return fmt.Errorf("policy version %s is not STSv1", quote(value))
		}
		p.version = true
	case "mode":
		if p.policy.Mode != "" {
			break
		}
		if p.policy.Mode = Mode(value); p.policy.Mode.State() == tlspolicy.STSNoPolicy {
			return fmt.Errorf("policy mode %s is none of enforce, testing, none", quote(value))
		}
	case "max_age":
		if p.age {
			break
		}
		age, err := parseAge(value)
		if err != nil {
			return err
		}
		p.policy.MaxAge, p.age = age, true
	case "mx":
		pattern := strings.ToLower(value)
		if !isPattern(pattern) {
			return fmt.Errorf("policy mx %s is neither a host name nor *. and one", quote(value))
		}
		p.policy.MX = append(p.policy.MX, pattern)
	}
	return nil
}

func (p *parser) finish() (Policy, error) {
	switch {
	case !p.version:
		return Policy{}, errors.New("policy has no version")
	case p.policy.Mode == "":
		return Policy{}, errors.New("policy has no mode")
	case !p.age:
		return Policy{}, errors.New("policy has no max_age")
	case len(p.policy.MX) == 0 && p.policy.Mode != None:
		return Policy{}, errors.New("policy has no mx")
	}
	return p.policy, nil
}

// parseAge reads a number of seconds: one to ten digits.
func parseAge(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 10 || s[0] == '+' {
		return 0, fmt.Errorf("policy max_age %s is not a number of seconds", quote(s))
	}
	return time.Duration(min(n, uint64(MaxAge/time.Second))) * time.Second, nil
}

// isText is sts-policy-ext-value: UTF-8 without control characters, not empty.
func isText(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return s != "" && utf8.ValidString(s)
}

// isPattern reports whether s, in lower case, is a host name of A-labels, with or
// without "*." in front. A wildcard further inside is none.
func isPattern(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			// The underscore is in no host name of RFC 5321 and in some of the world.
			if c := label[i]; !isAlnum(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Lists reports whether the policy names the MX host (RFC 8461 section 4.1). A
// pattern that begins with "*." stands for exactly one label there: *.example.net is
// mx.example.net, and neither example.net nor a.mx.example.net.
func (p Policy) Lists(mxHost string) bool {
	host := strings.ToLower(strings.TrimSuffix(mxHost, "."))
	first, parent, _ := strings.Cut(host, ".")
	for _, pattern := range p.MX {
		if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
			if first != "" && suffix == parent {
				return true
			}
		} else if pattern == host && host != "" {
			return true
		}
	}
	return false
}
