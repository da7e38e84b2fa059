package mtasts

import (
	"errors"
	"fmt"
	"strings"
)

// recordPrefix marks the TXT records that count (RFC 8461 section 3.1). The grammar
// there would allow white space before the semicolon, the text does not; the text wins
// (erratum 6285).
const recordPrefix = "v=STSv1;"

// maxID is the length of an id at most (RFC 8461 section 3.1).
const maxID = 32

// ErrNoRecord is what ParseRecord returns when none of the TXT records is about MTA-STS.
var ErrNoRecord = errors.New("no MTA-STS record")

// ParseRecord returns the policy id out of the TXT records of _mta-sts.<domain>, each
// with its strings joined. Records that do not begin with "v=STSv1;" do not count.
// It returns ErrNoRecord when none is left and another error when there are several or the
// one is malformed; in either case the domain publishes no policy (RFC 8461
// section 3.1). Errors quote foreign text.
func ParseRecord(texts []string) (id string, err error) {
	found := ""
	for _, text := range texts {
		if !strings.HasPrefix(text, recordPrefix) {
			continue
		}
		if found != "" {
			return "", errors.New("there are several MTA-STS records, so none counts: the domain must publish one")
		}
		found = text
	}
	if found == "" {
		return "", ErrNoRecord
	}
	return parseRecord(found)
}

// parseRecord reads one record that begins with the prefix. Of a field that is there
// twice the first counts, as in a policy.
func parseRecord(text string) (id string, err error) {
	rest := text[len(recordPrefix):]
	for more := true; more; {
		var field string
		field, rest, more = strings.Cut(rest, ";")
		field = strings.Trim(field, " \t")
		if field == "" {
			if more {
				return "", fmt.Errorf("MTA-STS record %s has an empty field", quote(text))
			}
			break // the delimiter at the end
		}
		name, value, ok := strings.Cut(field, "=")
		if !ok || !isFieldName(name) || !isFieldValue(value) {
			return "", fmt.Errorf("MTA-STS record %s: field %s is malformed", quote(text), quote(field))
		}
		if name != "id" || id != "" {
			continue
		}
		if !isID(value) {
			return "", fmt.Errorf("MTA-STS record %s: id %s is not 1 to %d letters and digits", quote(text), quote(value), maxID)
		}
		id = value
	}
	if id == "" {
		return "", fmt.Errorf("MTA-STS record %s has no id", quote(text))
	}
	return id, nil
}

func isID(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= maxID
}

// isFieldName is sts-ext-name and sts-policy-ext-name.
func isFieldName(s string) bool {
	if len(s) < 1 || len(s) > 32 || !isAlnum(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// isFieldValue is sts-ext-value: visible ASCII without semicolon, which is cut at
// already, and equals sign.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '=' || c == ';' {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// quote makes foreign text fit for a log line.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%+q", s)
}
